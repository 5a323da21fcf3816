//! The vocabulary of a pretrained model, which gets a token for each code.

use std::collections::BTreeSet;

use sidereal_files::{hash_file, hash_json};
use sidereal_policy::{SidTokenizer, extend_pretrained};
use sidereal_sid::SidSpec;
use sidereal_train::{Binding, Observer};

use crate::error::LabError;
use crate::parts::vocabulary;
use crate::recipe::Recipe;
use crate::recipe::base::{base_folder, files_of_base};
use crate::recipe::model::PretrainedConfig;
use crate::run::part::{Folder, Part, PartFiles, Remarks};

/// A pretrained model with a token for each code, in the folder of the tokenizer.
pub(crate) struct ExtendedBase<'a> {
    pub(crate) config: &'a PretrainedConfig,
    pub(crate) spec: &'a SidSpec,
}

impl Part for ExtendedBase<'_> {
    type Output = SidTokenizer;

    fn name(&self) -> String {
        vocabulary::NAME.to_owned()
    }

    fn settings(&self) -> Option<Recipe> {
        Some(vocabulary::depends_on(0, None, Some(self.config), &BTreeSet::new()))
    }

    fn inputs(&self) -> Result<Binding, LabError> {
        let mut inputs = Binding::from([("spec".to_owned(), hash_json(self.spec)?)]);
        for path in files_of_base(&base_folder(&self.config.base))? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            inputs.insert(format!("base/{name}"), hash_file(&path)?);
        }
        Ok(inputs)
    }

    fn files(&self) -> PartFiles {
        vocabulary::files(&[vocabulary::SHAPE, vocabulary::WEIGHTS])
    }

    fn make(
        &self,
        folder: &Folder,
        _: &Binding,
        _: &mut dyn Observer,
    ) -> Result<Remarks, LabError> {
        let PretrainedConfig { base, vocabulary: rows } = self.config;
        extend_pretrained(&base_folder(base), self.spec, rows, &folder.path(vocabulary::NAME))?;
        Ok(Remarks::default())
    }

    fn read(&self, folder: &Folder) -> Result<SidTokenizer, LabError> {
        Ok(SidTokenizer::load(&folder.path(vocabulary::NAME), self.spec)?)
    }
}
