//! Answers out of a pool of candidates, in titles: settings, checks, and what may be written.

use serde::{Deserialize, Serialize};
use sidereal_corpus::{
    Dataset, NegativeKind, Negatives, PoolConfig, Pools, Task, TrainSet, Variable,
};
use sidereal_policy::{Constraint, Scoring, SidTokenizer};
use sidereal_sid::Catalog;
use tch::Device;

use super::run::hash_of;
use super::{Pipeline, Stage, Training};
use crate::TrainError;
use crate::checkpoint::Binding;
use crate::preference::NegativeSource;
use crate::setting::{check_counts, of_stage};

/// The candidates that prompts show, and the test over them.
///
/// A pool follows from the run's seed and the sample alone: it is the same in every stage, epoch and
/// paraphrase. It holds the target once, at a place by chance, and items that the user never chose
/// before, none with the target's Semantic ID, none untitled and no two of one title: an item whose
/// title a pool has already is passed over when its turn comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CandidatePools {
    /// Candidates of a prompt, the target among them. Range `2..`.
    pub size: usize,
    /// How the others are drawn.
    #[serde(default = "random")]
    pub negatives: NegativeKind,
    /// Test users, drawn by seed; all where there are no more. Range `1..`.
    pub users: usize,
}

const fn random() -> NegativeKind {
    NegativeKind::Random
}

/// Whether a task is answered out of a pool.
pub(super) const fn is_over_pool(task: Task) -> bool {
    matches!(task, Task::TitleChoice)
}

/// Accepts pools that are used, and stages whose training fits what they are asked.
pub(super) fn check(pool: Option<&CandidatePools>, stages: &[Stage]) -> Result<(), TrainError> {
    let refuse = |field: &str, found: String, needed| {
        Err(TrainError::Setting { field: field.to_owned(), found, needed })
    };
    let learned = |stage: &Stage| match &stage.training {
        Training::Sft(config) => {
            config.mixture.iter().flat_map(|mix| &mix.tasks).any(|task| shows_pool(*task))
        }
        _ => false,
    };
    let used = stages.iter().any(|stage| is_over_pool(stage.task) || learned(stage));
    match pool {
        None if used => {
            let needed = "settings, for tasks that show candidates";
            return refuse("pool", "missing".to_owned(), needed);
        }
        Some(_) if !used => {
            let needed = "a stage whose task, or one of its mixture, shows candidates";
            return refuse("pool", "without use".to_owned(), needed);
        }
        Some(pool) if pool.size < 2 => {
            return refuse("pool.size", pool.size.to_string(), "at least 2");
        }
        Some(pool) => check_counts(&[("pool.users", pool.users)])?,
        None => {}
    }
    stages.iter().try_for_each(|stage| {
        of_stage(&stage.name, check_stage(stage, pool.map_or(0, |pool| pool.size)))
    })
}

/// Whether the prompts of a task show candidates.
pub(super) fn shows_pool(task: Task) -> bool {
    task.inputs().contains(&Variable::Candidates)
}

fn check_stage(stage: &Stage, pool_size: usize) -> Result<(), TrainError> {
    let refuse = |field: &str, found: String, needed| {
        Err(TrainError::Setting { field: field.to_owned(), found, needed })
    };
    match stage.task {
        Task::NextItem => return Ok(()),
        task if is_over_pool(task) => {}
        task => return refuse("task", format!("`{task}`"), "`next-item` or `title-choice`"),
    }
    if stage.training.scoring() != Scoring::Full {
        let table = stage.training.table();
        let needed = "`full`: words are scored against the whole vocabulary";
        return refuse(&format!("{table}.scoring"), "`renormalised`".to_owned(), needed);
    }
    match &stage.training {
        Training::Sft(config) => {
            let tasks = config.mixture.as_ref().map_or(&[][..], |mixture| &mixture.tasks);
            if tasks.contains(&stage.task) {
                return Ok(());
            }
            let needed = "a mixture that holds the stage's task";
            refuse("sft.mixture.tasks", format!("without `{}`", stage.task), needed)
        }
        Training::Preference(config) => {
            let (count, source) = (config.num_negatives, config.negatives);
            if !matches!(source, NegativeSource::Random | NegativeSource::Beam) {
                let needed = "`random` or `beam`: titles are rejected out of the prompt's pool";
                return refuse("preference.negatives", format!("{source:?}"), needed);
            }
            if count >= pool_size {
                let needed = "fewer than `pool.size`: they come out of the prompt's pool";
                return refuse("preference.num_negatives", count.to_string(), needed);
            }
            Ok(())
        }
        Training::Rl { .. } => {
            refuse("task", format!("`{}`", stage.task), "`next-item` for reinforcement")
        }
    }
}

impl Pipeline<'_> {
    /// The candidates of samples; `None` for a recipe without any.
    pub(super) fn pools<'c>(
        &self,
        train: &TrainSet,
        catalog: &'c Catalog,
    ) -> Result<Option<Pools<'c>>, TrainError> {
        let Some(pool) = &self.recipe.pool else { return Ok(None) };
        let negatives = Negatives::new(pool.negatives, train, catalog)?;
        let config =
            PoolConfig { size: pool.size, slate_size: 1, ..PoolConfig::new(self.recipe.seed) };
        Ok(Some(Pools::new(config, negatives, train)?))
    }

    /// Adds what pools depend on, besides what is bound anyway, to what a part reads.
    pub(super) fn bind_pool(&self, inputs: &mut Binding) -> Result<(), TrainError> {
        if let Some(pool) = &self.recipe.pool {
            inputs.insert("pool".to_owned(), hash_of(&(pool, self.recipe.seed))?);
        }
        Ok(())
    }
}

/// Every item as its title and the end of the turn. An item without a title is the end alone; no pool
/// holds one.
pub(super) fn titles(
    dataset: &Dataset,
    tokenizer: &SidTokenizer,
    device: Device,
) -> Result<Constraint, TrainError> {
    let sequences = dataset
        .items()
        .iter()
        .map(|item| {
            let mut ids = tokenizer.encode(&item.title)?;
            ids.push(tokenizer.end_of_turn());
            Ok(ids)
        })
        .collect::<Result<Vec<_>, TrainError>>()?;
    Ok(Constraint::from_sequences(&sequences, device)?)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::Recipe;

    const HEAD: &str = "seed = 1\nmax_history = 5\nprompts = 'titles'\n\
        [pretrained]\nbase = 'base'\n\
        [evaluate]\nbeam_width = 1\nbatch_size = 1\nvalid_users = 1\nresamples = 1\n";
    const POOL: &str = "[pool]\nsize = 4\nusers = 9\n";
    const SFT: &str = "[[stage]]\nname = 'sft'\ntask = 'title-choice'\n\
        sft = { mixture = { tasks = ['title-choice'] } }\n";

    fn refusal(stages: &str, pool: &str) -> String {
        let text = format!("{HEAD}{pool}{stages}");
        Recipe::parse(&text, Path::new("text"))
            .map_or_else(|error| error.to_string(), |_| String::new())
    }

    #[test]
    fn settings_that_do_not_fit_the_task_are_named() {
        assert_eq!(refusal(SFT, POOL), "");
        let stage = |rest: &str| {
            format!("{SFT}[[stage]]\nname = 'next'\nfrom = 'sft'\ntask = 'title-choice'\n{rest}\n")
        };
        assert_eq!(refusal(&stage("preference = { num_negatives = 3 }"), POOL), "");
        for (rest, named) in [
            ("preference = { num_negatives = 4 }", "`stage.next.preference.num_negatives` is 4"),
            (
                "preference = { negatives = 'sibling' }",
                "`stage.next.preference.negatives` is Sibling",
            ),
            ("preference = { scoring = 'renormalised' }", "`stage.next.preference.scoring`"),
            ("sft = {}", "`stage.next.sft.mixture.tasks` is without `title-choice`"),
            ("rl = {}", "`stage.next.task` is `title-choice`"),
        ] {
            let found = refusal(&stage(rest), POOL);
            assert!(found.contains(named), "{rest}: {found}");
        }
        let other = SFT.replace("task = 'title-choice'", "task = 'reasoning'");
        assert!(refusal(&other, POOL).contains("`stage.sft.task` is `reasoning`"));
        assert!(refusal(SFT, "").contains("`pool` is missing"));
        assert!(refusal(SFT, &POOL.replace('4', "1")).contains("`pool.size` is 1"));
        assert!(refusal(SFT, &POOL.replace('9', "0")).contains("`pool.users` is 0"));
        assert!(refusal(SFT, &format!("{POOL}sise = 4\n")).contains("not valid"));
        let unused = "[[stage]]\nname = 'sft'\nsft = {}\n";
        assert!(refusal(unused, POOL).contains("`pool` is without use"));
    }
}
