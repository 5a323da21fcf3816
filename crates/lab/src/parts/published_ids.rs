//! Semantic IDs that were published with the data.

use sidereal_data::{Split, TrainSet};
use sidereal_quantizer::{JudgedCodes, QualityReport};
use sidereal_sid::{Catalog, TokenStyle};
use sidereal_train::{Binding, Observer};

use crate::error::LabError;
use crate::judged_codes::judged;
use crate::parts::semantic_ids::{FILES, NAME, SemanticIds};
use crate::run::part::{Folder, Part, PartFiles, Remarks};

/// What is published with some data.
#[derive(Debug, Clone, Copy)]
pub struct Published<'a> {
    /// Semantic IDs of the items; `None` for data that came with a split alone.
    pub catalog: Option<&'a Catalog>,
    /// The published split.
    pub split: &'a Split,
}

/// The published Semantic IDs, in the folder of the run.
pub(crate) struct PublishedIds<'a> {
    pub(crate) catalog: Catalog,
    /// The events that a run learns from.
    pub(crate) train: &'a TrainSet,
}

impl<'a> PublishedIds<'a> {
    /// Those of published data, for a run that learns from these events, written in `style` or, without one, as
    /// they were published.
    ///
    /// # Errors
    /// [`LabError::Setting`] for data that came without any.
    pub(crate) fn of(
        published: Option<Published<'_>>,
        train: &'a TrainSet,
        style: Option<TokenStyle>,
    ) -> Result<Self, LabError> {
        let Some(catalog) = published.and_then(|published| published.catalog) else {
            let (field, found) = ("sids".to_owned(), "missing".to_owned());
            let needed = "a table `[sids]`, or data that was published with Semantic IDs";
            return Err(LabError::Setting { field, found, needed });
        };
        let style = style.unwrap_or_else(|| catalog.spec().style().clone());
        Ok(Self { catalog: catalog.clone().with_style(style), train })
    }
}

impl Part for PublishedIds<'_> {
    type Output = SemanticIds;

    fn name(&self) -> String {
        NAME.to_owned()
    }

    fn inputs(&self) -> Result<Binding, LabError> {
        Ok(Binding::from([
            ("catalogue".to_owned(), self.catalog.hash()),
            ("train".to_owned(), self.train.hash()),
        ]))
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
        let codes = JudgedCodes::OfUnknownOrigin;
        let quality = judged(quality, &self.catalog, self.train, codes)?;
        SemanticIds::write(folder, &self.catalog, &quality)?;
        Ok(Remarks::default())
    }

    fn read(&self, folder: &Folder) -> Result<SemanticIds, LabError> {
        SemanticIds::read(folder)
    }
}
