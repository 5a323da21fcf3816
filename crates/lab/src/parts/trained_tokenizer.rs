//! A tokenizer that is trained on all texts that a run reads and writes, with a token for each
//! code.

use std::collections::BTreeSet;
use std::fs;

use sidereal_data::{Dataset, TrainSet};
use sidereal_files::hash_json;
use sidereal_policy::SidTokenizer;
use sidereal_prompts::{Chat, Message, Prompt, Rendered, Task, Tasks, Wording, without_codes};
use sidereal_sid::{SidSpec, TokenStyle};
use sidereal_train::{Binding, Observer};

use crate::error::LabError;
use crate::parts::vocabulary;
use crate::pool_task::shows_pool;
use crate::recipe::Recipe;
use crate::recipe::model::TokenizerConfig;
use crate::recipe::pool::CandidatePools;
use crate::recipe::slate::SlateConfig;
use crate::run::part::{Folder, Part, PartFiles, Remarks};
use crate::workbench::pools;
use crate::workbench::texts::Texts;

/// The pieces of all texts that are read and written, and a token for each code.
pub(crate) struct TrainedTokenizer<'a> {
    pub(crate) seed: u64,
    pub(crate) config: &'a TokenizerConfig,
    pub(crate) dataset: &'a Dataset,
    pub(crate) spec: &'a SidSpec,
    /// Tasks of all mixtures.
    pub(crate) used: BTreeSet<Task>,
    pub(crate) tasks: &'a Tasks<'a>,
    pub(crate) train: &'a TrainSet,
    pub(crate) texts: &'a Texts,
    pub(crate) pool: Option<&'a CandidatePools>,
    pub(crate) slate: Option<SlateConfig>,
}

impl Part for TrainedTokenizer<'_> {
    type Output = SidTokenizer;

    fn name(&self) -> String {
        vocabulary::NAME.to_owned()
    }

    fn settings(&self) -> Option<Recipe> {
        Some(vocabulary::depends_on(self.seed, Some(self.config), None, &self.used))
    }

    fn inputs(&self) -> Result<Binding, LabError> {
        let mut inputs = Binding::from([
            ("dataset".to_owned(), self.dataset.hash()),
            ("spec".to_owned(), hash_json(self.spec)?),
        ]);
        if !self.used.is_empty() {
            let prompts = self.tasks.prompts();
            inputs.insert("train".to_owned(), self.train.hash());
            inputs.insert("tasks".to_owned(), hash_json(&(&self.used, prompts.hash()))?);
            inputs.insert("texts".to_owned(), self.texts.hash.clone());
            pools::bind(self.pool, self.slate, self.seed, &mut inputs)?;
        }
        Ok(inputs)
    }

    fn files(&self) -> PartFiles {
        vocabulary::files(&[])
    }

    fn make(
        &self,
        folder: &Folder,
        _: &Binding,
        _: &mut dyn Observer,
    ) -> Result<Remarks, LabError> {
        let dir = folder.path(vocabulary::NAME);
        fs::create_dir_all(&dir).map_err(|source| LabError::Io { path: dir.clone(), source })?;
        // The texts of the prompts belong to the text that the model reads.
        let titles = self
            .dataset
            .items()
            .iter()
            .map(|item| format!("title: {} sid:title: {} next:", item.title, item.title));
        let lines: Vec<String> = titles.chain(self.tasks_text()?).collect();
        SidTokenizer::train(lines.iter(), self.config.pieces, self.spec)?.save(&dir)?;
        Ok(Remarks::default())
    }

    fn read(&self, folder: &Folder) -> Result<SidTokenizer, LabError> {
        Ok(SidTokenizer::load(&folder.path(vocabulary::NAME), self.spec)?)
    }
}

/// Number of samples of a task over candidates on which a tokenizer is trained. These prompts
/// repeat dozens of titles, which it reads anyway.
const POOL_SAMPLES: usize = 1000;

impl TrainedTokenizer<'_> {
    /// Every sample of the tasks and every conversation as text without codes; for tasks over
    /// candidates only the first samples.
    fn tasks_text(&self) -> Result<Vec<String>, LabError> {
        let (Self { tasks, train, .. }, style) = (self, self.spec.style());
        let (over_pools, used): (Vec<Task>, Vec<Task>) =
            self.used.iter().copied().partition(|task| shows_pool(*task));
        let wording = Wording::Varied { seed: self.seed, epoch: 0 };
        let mut lines = tasks
            .train(train, &used, wording)
            .map(|sample| Ok(text_of(&sample?, style)))
            .collect::<Result<Vec<String>, LabError>>()?;
        for task in over_pools {
            for sample in tasks.train(train, &[task], wording).take(POOL_SAMPLES) {
                lines.push(text_of(&sample?, style));
            }
        }
        let chats = (0..).zip(&self.texts.chats);
        lines.extend(chats.map(|(row, chat): (u32, &Chat)| text_of(&chat.render(row), style)));
        Ok(lines)
    }
}

/// A sample with its completion as text without codes.
fn text_of(sample: &Rendered, style: &TokenStyle) -> String {
    let mut text = match &sample.prompt {
        Prompt::Plain(text) => text.clone(),
        Prompt::Chat(messages) => {
            let line =
                |message: &Message| format!("{}: {}\n", message.role.name(), message.content);
            messages.iter().map(line).collect()
        }
    };
    text.push_str(&sample.completion_text());
    without_codes(&text, style)
}
