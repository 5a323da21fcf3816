//! What a stage's policy writes freely when it is asked for the title of the next item.

use std::collections::BTreeSet;

use rand::seq::SliceRandom as _;
use serde::{Deserialize, Serialize};
use sidereal_data::{ItemId, Sample};
use sidereal_files::{read_json, write_json};
use sidereal_policy::{
    Policy as _, SamplingConfig, TextEnd, TextSampler, TokenBatch, as_language_model,
};
use sidereal_train::{Binding, EncodedPrompt, Observer};

use crate::error::LabError;
use crate::parts::answers::{Respondent, TestUsers};
use crate::recipe::Recipe;
use crate::recipe::evaluate::EvaluateConfig;
use crate::recipe::evaluate_written::EvaluateWritten;
use crate::run::part::{Folder, Part, PartFiles, Remarks};
use crate::seed::{Purpose, stream};

/// What a policy wrote for a user, the most probable token at each step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct WrittenAnswer {
    /// Titles of the history, earliest first.
    pub history: Vec<String>,
    /// Title of the item that the user chose next.
    pub chosen: String,
    /// The text.
    pub text: String,
    /// Whether it ended by itself, within the budget.
    pub ended: bool,
    /// Whether it is the title of an item of the catalogue.
    pub is_title: bool,
}

/// The texts of a stage.
pub(crate) struct Written<'a> {
    pub(crate) by: Respondent<'a>,
    pub(crate) users: &'a TestUsers<'a>,
    pub(crate) config: &'a EvaluateWritten,
}

/// The name of the part of a stage.
pub(crate) fn name(stage: &str) -> String {
    format!("texts of {stage}")
}

/// The file of a stage's texts within the run's folder.
pub(crate) fn file(stage: &str) -> String {
    format!("written/{stage}.json")
}

impl Part for Written<'_> {
    type Output = Vec<WrittenAnswer>;

    fn name(&self) -> String {
        name(&self.by.stage.name)
    }

    fn settings(&self) -> Option<Recipe> {
        let mut own = self.by.search.of_answers(self.by.stage);
        own.evaluate.beam_width = EvaluateConfig::blank().beam_width;
        own.evaluate.written = Some(*self.config);
        Some(own)
    }

    fn inputs(&self) -> Result<Binding, LabError> {
        self.by.inputs()
    }

    fn files(&self) -> PartFiles {
        PartFiles::always([file(&self.by.stage.name)])
    }

    fn make(
        &self,
        folder: &Folder,
        _: &Binding,
        observer: &mut dyn Observer,
    ) -> Result<Remarks, LabError> {
        folder.within("written")?;
        write_json(&folder.path(&file(&self.by.stage.name)), &self.answers(observer)?)?;
        Ok(Remarks::default())
    }

    fn read(&self, folder: &Folder) -> Result<Vec<WrittenAnswer>, LabError> {
        Ok(read_json(&folder.path(&file(&self.by.stage.name)))?)
    }
}

impl Written<'_> {
    fn answers(&self, observer: &mut dyn Observer) -> Result<Vec<WrittenAnswer>, LabError> {
        let Respondent { bench, stage, search, .. } = self.by;
        let words = bench.words("a text about the next item")?;
        let mut samples: Vec<Sample<'_>> = self.users.samples();
        samples.shuffle(&mut stream(bench.seed, Purpose::Written, 0));
        samples.truncate(self.config.users);
        let asked = bench.prompts(self.config.task, &samples)?;
        let model = self.by.open()?;
        let (writer, budget) = (as_language_model(&model, "free texts")?, self.config.budget);
        let stops = [vec![words.tokenizer.end_of_turn()]];
        let sampler = TextSampler {
            model: writer,
            num_ids: words.tokenizer.vocab_size(),
            sampling: SamplingConfig::greedy(),
            budget,
            stops: &stops,
            seed: bench.seed,
        };
        let items = bench.dataset.items();
        let titles: BTreeSet<&str> = items.iter().map(|item| item.title.trim()).collect();
        let title = |item: &ItemId| {
            bench.dataset.item(*item).map_or_else(|| item.to_string(), |item| item.title.clone())
        };
        let limit = model.longest_prompt(budget);
        let (job, mut answers) = (format!("texts {}", stage.name), Vec::new());
        let size = search.batch_size.max(1);
        for (users, prompts) in samples.chunks(size).zip(asked.chunks(size)) {
            let rows: Vec<&[u32]> =
                prompts.iter().map(|prompt: &EncodedPrompt| prompt.ids.as_slice()).collect();
            let tokens = TokenBatch::new(&rows, bench.pad(), limit, model.device())?;
            // Nothing is drawn at random, so equal keys do no harm.
            let texts = sampler.write(&tokens, &vec![0; rows.len()], 1)?;
            for (sample, text) in users.iter().zip(texts.into_iter().flatten()) {
                let ended = matches!(text.end, TextEnd::Stop(_));
                let mut ids: Vec<u32> = text.tokens.iter().map(|token| token.id).collect();
                if ended {
                    ids.pop();
                }
                let text = words.tokenizer.decode(&ids)?.trim().to_owned();
                answers.push(WrittenAnswer {
                    history: sample.history.iter().map(title).collect(),
                    chosen: title(&sample.target),
                    ended,
                    is_title: titles.contains(text.as_str()),
                    text,
                });
            }
            observer.on_progress(&job, "users", answers.len(), samples.len());
        }
        Ok(answers)
    }
}
