//! Semantic IDs that were published with the data.

use sidereal_data::Split;
use sidereal_quantizer::QualityReport;
use sidereal_sid::{Catalog, TokenStyle};
use sidereal_train::{Binding, Observer};

use crate::error::LabError;
use crate::parts::semantic_ids::{FILES, NAME, SemanticIds};
use crate::run::part::{Folder, Part, PartFiles, Remarks};

/// What is published with some data.
#[derive(Debug, Clone, Copy)]
pub struct Published<'a> {
    /// Semantic IDs of the items.
    pub catalog: &'a Catalog,
    /// The published split.
    pub split: &'a Split,
}

/// The published Semantic IDs, in the folder of the run.
pub(crate) struct PublishedIds {
    pub(crate) catalog: Catalog,
}

impl PublishedIds {
    /// Those of published data, written in `style` or, without one, as they were published.
    ///
    /// # Errors
    /// [`LabError::Setting`] for data that came without any.
    pub(crate) fn of(
        published: Option<Published<'_>>,
        style: Option<TokenStyle>,
    ) -> Result<Self, LabError> {
        let Some(Published { catalog, .. }) = published else {
            let (field, found) = ("sids".to_owned(), "missing".to_owned());
            let needed = "a table `[sids]`, or data that was published with Semantic IDs";
            return Err(LabError::Setting { field, found, needed });
        };
        let style = style.unwrap_or_else(|| catalog.spec().style().clone());
        Ok(Self { catalog: catalog.clone().with_style(style) })
    }
}

impl Part for PublishedIds {
    type Output = SemanticIds;

    fn name(&self) -> String {
        NAME.to_owned()
    }

    fn inputs(&self) -> Result<Binding, LabError> {
        Ok(Binding::from([("catalogue".to_owned(), self.catalog.hash())]))
    }

    fn files(&self) -> PartFiles {
        PartFiles::always(FILES)
    }

    fn make(
        &self,
        folder: &Folder,
        _: &Binding,
        _: &mut dyn Observer,
    ) -> Result<Remarks, LabError> {
        let quality = QualityReport::from_catalog(&self.catalog);
        SemanticIds::write(folder, &self.catalog, &quality)?;
        Ok(Remarks::default())
    }

    fn read(&self, folder: &Folder) -> Result<SemanticIds, LabError> {
        SemanticIds::read(folder)
    }
}
