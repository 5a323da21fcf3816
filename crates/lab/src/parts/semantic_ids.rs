//! Semantic IDs in the folder of a run, made by any part.

use std::num::NonZeroUsize;

use sidereal_files::{read_json, write_json};
use sidereal_quantizer::QualityReport;
use sidereal_sid::Catalog;

use crate::error::LabError;
use crate::run::part::Folder;

/// The name of the part that makes them.
pub(crate) const NAME: &str = "quantize";

/// The folder of a tree within the folder of a run. For tree 1, whose Semantic IDs are the catalogue of the
/// run, it is the folder of the run itself.
pub(crate) fn tree_folder(tree: NonZeroUsize) -> String {
    if tree == NonZeroUsize::MIN { String::new() } else { format!("trees/{tree}/") }
}

/// The files of all Semantic IDs.
pub(crate) const FILES: [&str; 2] = [CATALOG, QUALITY];

const CATALOG: &str = "catalog.json";
const QUALITY: &str = "quality.json";

/// The Semantic IDs of a run.
#[derive(Debug)]
pub(crate) struct SemanticIds {
    pub(crate) catalog: Catalog,
    /// Quality of the codes before collisions were resolved.
    pub(crate) quality: QualityReport,
}

impl SemanticIds {
    pub(crate) fn write(
        folder: &Folder,
        catalog: &Catalog,
        quality: &QualityReport,
    ) -> Result<(), LabError> {
        write_json(&folder.path(QUALITY), quality)?;
        Ok(catalog.save(&folder.path(CATALOG))?)
    }

    pub(crate) fn read(folder: &Folder) -> Result<Self, LabError> {
        let catalog = Catalog::load(&folder.path(CATALOG))?;
        Ok(Self { catalog, quality: read_json(&folder.path(QUALITY))? })
    }
}
