//! What the policies answer to the users of the test. Each stage's answers are a part of the run of their
//! own: a test that was broken off decodes no stage twice.

use std::fs;
use std::path::Path;

use serde::Serialize;
use sidereal_data::{HeldOut as _, Sample};
use sidereal_files::write_whole;
use sidereal_policy::{BeamSearch, Decoder};
use sidereal_prompts::Task;

use super::domains::{in_domain_file, in_domain_part, rank_in_domains};
use super::{rankings_file, rankings_part, thoughts_file, thoughts_part};
use crate::LabError;
use crate::parts::training::prompts_of;
use crate::pipeline::Context;
use crate::recipe::pool::is_over_pool;
use crate::run::{Run, SETTINGS};
use crate::{Pipeline, Stage};
use sidereal_train::Binding;
use sidereal_train::Observer;
use sidereal_train::{Batching, Ranking, rank};
use sidereal_train::{Encoder, Prompt};

impl Pipeline<'_> {
    /// Rankings of every stage, by constrained beam search, over the catalogue or over pools, and
    /// thoughts of the stages that think.
    pub(crate) fn decode(
        &self,
        run: &mut Run,
        context: &Context<'_>,
        observer: &mut dyn Observer,
    ) -> Result<(), LabError> {
        let Context { split, catalog, prompts, texts, tokenizer, .. } = context;
        let tasks = self.tasks(catalog, prompts, texts, None)?;
        let encoder = Encoder::new(tokenizer, catalog, prompts)?;
        let samples: Vec<Sample<'_>> = split.test.samples().collect();
        let mut asked: Option<Vec<Prompt>> = None;
        for stage in &self.recipe.stages {
            let file = rankings_file(&stage.name);
            let part = rankings_part(stage);
            let settings = run.settings(&part, &self.recipe.for_answers(stage))?;
            let inputs = self.decoded_from(run, context, stage, settings)?;
            run.stage(&part, inputs, &[&file], |run| {
                let model = self.open(&run.path(&stage.name), context)?;
                let rankings = if is_over_pool(stage.task) {
                    self.rank_in_pools(stage, &model, context, observer)?
                } else {
                    let asked = match &mut asked {
                        Some(asked) => asked,
                        none => {
                            none.insert(prompts_of(&tasks, &encoder, Task::NextItem, &samples)?)
                        }
                    };
                    let search = self.search(stage, &model, context);
                    let job = format!("test {}", stage.name);
                    rank(&search, asked, self.batching(context, &job), observer)?
                };
                check_scores(stage, &rankings)?;
                save(&run.path(&file), &rankings)
            })?;
        }
        for stage in self.stages_over_all() {
            let Some(domains) = self.dataset.domains() else { break };
            let file = in_domain_file(stage);
            let part = in_domain_part(stage);
            let settings = run.settings(&part, &self.recipe.for_answers(stage))?;
            let inputs = self.decoded_from(run, context, stage, settings)?;
            run.stage(&part, inputs, &[&file], |run| {
                let model = self.open(&run.path(&stage.name), context)?;
                let asked = match &mut asked {
                    Some(asked) => asked,
                    none => none.insert(prompts_of(&tasks, &encoder, Task::NextItem, &samples)?),
                };
                let search = self.search(stage, &model, context);
                let job = format!("test {} by domain", stage.name);
                let batching = self.batching(context, &job);
                let rankings = rank_in_domains(domains, &search, asked, batching, observer)?;
                check_scores(stage, &rankings)?;
                save(&run.path(&file), &rankings)
            })?;
        }
        for stage in self.thinking_stages() {
            let file = thoughts_file(stage);
            let part = thoughts_part(stage);
            let settings = run.settings(&part, &self.recipe.for_thoughts(stage))?;
            let inputs = self.decoded_from(run, context, stage, settings)?;
            run.stage(&part, inputs, &[&file], |run| {
                let Some(test) = self.thought_test(context, &tasks, &encoder, &samples)? else {
                    return Ok(());
                };
                let model = self.open(&run.path(&stage.name), context)?;
                let results = test.results(stage, &model, observer)?;
                check_scores(stage, results.iter().map(|result| &result.ranking))?;
                save(&run.path(&file), &results)
            })?;
        }
        Ok(())
    }

    /// How the users of `job` are decoded.
    pub(crate) fn batching<'b>(&self, context: &Context<'_>, job: &'b str) -> Batching<'b> {
        let (pad, batch_size) = (context.tokenizer.pad(), self.recipe.evaluate.batch_size);
        Batching { pad, batch_size, job }
    }

    /// The search of a stage's test over the catalogue.
    fn search<'m>(
        &self,
        stage: &Stage,
        model: &'m Decoder,
        context: &'m Context<'_>,
    ) -> BeamSearch<'m> {
        BeamSearch {
            model,
            constraint: &context.constraint,
            beam_width: self.recipe.evaluate.beam_width,
            scoring: stage.training.scoring(),
        }
    }

    /// What answers of a stage depend on; `settings` stands for those of the test that change them.
    fn decoded_from(
        &self,
        run: &Run,
        context: &Context<'_>,
        stage: &Stage,
        settings: String,
    ) -> Result<Binding, LabError> {
        let mut inputs = context.binding.clone();
        let file = format!("{}/model.safetensors", stage.name);
        inputs.insert("policy".to_owned(), run.output_hash(&stage.name, &file));
        inputs.insert(SETTINGS.to_owned(), settings);
        self.bind_pool(&mut inputs)?;
        Ok(inputs)
    }
}

/// Accepts rankings that have an order.
pub(crate) fn check_scores<'r>(
    stage: &Stage,
    rankings: impl IntoIterator<Item = &'r Ranking>,
) -> Result<(), LabError> {
    let mut rankings = rankings.into_iter();
    match rankings.find(|ranking| ranking.scores.iter().any(|score| score.is_nan())) {
        Some(ranking) => Err(LabError::Scores { stage: stage.name.clone(), id: ranking.id }),
        None => Ok(()),
    }
}

/// Writes answers in one line: those of twenty thousand users are a million items.
fn save(path: &Path, answers: &impl Serialize) -> Result<(), LabError> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).map_err(|source| LabError::Io { path: dir.into(), source })?;
    }
    let text = serde_json::to_vec(answers)
        .map_err(|source| LabError::Json { path: path.to_owned(), source })?;
    Ok(write_whole(path, |out| out.write_all(&text))?)
}

#[cfg(test)]
mod tests {
    use sidereal_data::{ItemId, SampleId, UserId};

    use super::*;

    #[test]
    fn a_ranking_without_an_order_is_refused_by_stage_and_sample() {
        let ranking = |user, scores: &[f32]| Ranking {
            id: SampleId::Event { user: UserId(user), position: 3 },
            target: ItemId(0),
            found: scores.iter().map(|_| vec![ItemId(0)]).collect(),
            scores: scores.to_vec(),
        };
        let stage = "name = 'rl'\nrl = {}";
        let stage: Stage = toml::from_str(stage).unwrap();
        let found = [ranking(1, &[-1.0, f32::NEG_INFINITY]), ranking(2, &[-1.0, f32::NAN])];
        check_scores(&stage, &found[..1]).unwrap();
        let error = check_scores(&stage, &found).unwrap_err().to_string();
        let named = format!("stage `rl` to sample {} has a score that is not", found[1].id);
        assert!(error.contains(&named), "{error}");
        // What older versions wrote can be read, and what is written reads back.
        let text = serde_json::to_string(&found).unwrap();
        assert!(text.contains(r#"[-1.0,"-inf"]"#), "{text}");
        let old = text.replace("\"NaN\"", "null").replace("\"-inf\"", "null");
        for text in [text, old] {
            let read: Vec<Ranking> = serde_json::from_str(&text).unwrap();
            assert!(read[1].scores[1].is_nan() && read[1].found == found[1].found);
        }
    }
}
