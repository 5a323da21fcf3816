//! Answers out of a pool of candidates, in titles: settings, checks, and what may be written.

use serde::{Deserialize, Serialize};
use sidereal_data::{Dataset, NegativeKind, Negatives, TrainSet};
use sidereal_policy::{Constraint, Scoring, SidTokenizer};
use sidereal_prompts::{PoolConfig, Pools, Task, Variable};
use sidereal_sid::Catalog;
use tch::Device;

use crate::LabError;
use crate::pipeline::Context;
use crate::setting::{check_counts, of_stage};
use crate::{Pipeline, Stage, Training};
use sidereal_files::hash_json;
use sidereal_train::Binding;
use sidereal_train::NegativeSource;
use sidereal_train::SlateAnswers;
use sidereal_train::{AdvantageConfig, RewardConfig, RlConfig, RolloutConfig};

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
    /// Titles of a slate, for tasks that ask for one. Range `1..=size`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slate_size: Option<usize>,
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
pub(crate) const fn is_over_pool(task: Task) -> bool {
    matches!(task, Task::TitleChoice | Task::TitleSlate)
}

/// Accepts pools that are used, and stages whose training fits what they are asked.
pub(crate) fn check(pool: Option<&CandidatePools>, stages: &[Stage]) -> Result<(), LabError> {
    let refuse = |field: &str, found: String, needed| {
        Err(LabError::Setting { field: field.to_owned(), found, needed })
    };
    let named: Vec<Task> = stages.iter().flat_map(tasks_of).collect();
    let used = named.iter().any(|task| shows_pool(*task));
    let slates = named.iter().any(|task| task.inputs().contains(&Variable::SlateSize));
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
        Some(CandidatePools { slate_size: None, .. }) if slates => {
            let needed = "titles of a slate, for tasks that ask for one";
            return refuse("pool.slate_size", "missing".to_owned(), needed);
        }
        Some(CandidatePools { slate_size: Some(found), .. }) if !slates => {
            let needed = "a stage that asks for slates, or learns them";
            return refuse("pool.slate_size", found.to_string(), needed);
        }
        Some(CandidatePools { slate_size: Some(found), size, .. })
            if !(1..=*size).contains(found) =>
        {
            return refuse("pool.slate_size", found.to_string(), "1 to `pool.size`");
        }
        Some(pool) => check_counts(&[("pool.users", pool.users)])?,
        None => {}
    }
    let divided = |stage: &&Stage| stage.domains.is_some() && tasks_of(stage).any(shows_pool);
    if let Some(stage) = stages.iter().find(divided) {
        let found =
            stage.domains.iter().flatten().map(String::as_str).collect::<Vec<_>>().join(", ");
        let needed = "nothing: a pool is the same in every stage";
        return refuse(&format!("stage.{}.domains", stage.name), found, needed);
    }
    stages.iter().try_for_each(|stage| {
        of_stage(&stage.name, check_stage(stage, pool.map_or(0, |pool| pool.size)))
    })
}

/// What a stage is asked, and what it learns in a mixture.
fn tasks_of(stage: &Stage) -> impl Iterator<Item = Task> {
    let mixture = match &stage.training {
        Training::Sft(config) => config.mixture.as_ref(),
        _ => None,
    };
    let learned = mixture.into_iter().flat_map(|mixture| &mixture.tasks);
    std::iter::once(stage.task).chain(learned.copied())
}

/// Whether the prompts of a task show candidates.
pub(crate) fn shows_pool(task: Task) -> bool {
    task.inputs().contains(&Variable::Candidates)
}

fn check_stage(stage: &Stage, pool_size: usize) -> Result<(), LabError> {
    let refuse = |field: &str, found: String, needed| {
        Err(LabError::Setting { field: field.to_owned(), found, needed })
    };
    match (stage.task, &stage.training) {
        (Task::NextItem, Training::Rl { reward, .. }) => {
            return match reward.unfit(false) {
                Some(unfit) => {
                    let needed = "rewards of Semantic IDs, for the task `next-item`";
                    refuse("reward", format!("{unfit:?}"), needed)
                }
                None => Ok(()),
            };
        }
        (Task::NextItem, _) => return Ok(()),
        (task, _) if is_over_pool(task) => {}
        (task, _) => {
            let needed = "`next-item`, `title-choice` or `title-slate`";
            return refuse("task", format!("`{task}`"), needed);
        }
    }
    if stage.training.scoring() != Scoring::Full {
        let table = stage.training.table();
        let needed = "`full`: words are scored against the whole vocabulary";
        return refuse(&format!("{table}.scoring"), "`renormalised`".to_owned(), needed);
    }
    match (stage.task, &stage.training) {
        (task, Training::Sft(config)) => {
            let tasks = config.mixture.as_ref().map_or(&[][..], |mixture| &mixture.tasks);
            if tasks.contains(&task) {
                return Ok(());
            }
            let needed = "a mixture that holds the stage's task";
            refuse("sft.mixture.tasks", format!("without `{task}`"), needed)
        }
        (Task::TitleChoice, Training::Preference(config)) => {
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
        (Task::TitleSlate, Training::Rl { config, reward }) => check_slates(config, reward),
        (task, Training::Preference(_)) => {
            refuse("task", format!("`{task}`"), "`next-item` or `title-choice`, for preferences")
        }
        (task, Training::Rl { .. }) => {
            refuse("task", format!("`{task}`"), "`next-item` or `title-slate`, for reinforcement")
        }
    }
}

/// Accepts reinforcement of slates, which are drawn, whole, and judged as slates.
fn check_slates(config: &RlConfig, reward: &RewardConfig) -> Result<(), LabError> {
    let unfit = reward.unfit(true).map(|unfit| format!("{unfit:?}"));
    let drawn = matches!(config.rollout, RolloutConfig::Sample(_));
    let hits = matches!(config.advantage, AdvantageConfig::Srpo(_));
    let faults = [
        ("reward", unfit, "`slate_ndcg`, `slate_entropy` or `objectives` of them"),
        (
            "rl.rollout",
            (!drawn).then(|| format!("{:?}", config.rollout)),
            "`sample`: slates are drawn",
        ),
        (
            "rl.prefix_curriculum",
            config.prefix_curriculum.then(|| "true".to_owned()),
            "`false`: slates have no guides",
        ),
        (
            "rl.alignment_share",
            (config.alignment_share > 0.0).then(|| config.alignment_share.to_string()),
            "0: all prompts ask for slates",
        ),
        (
            "rl.reasoning",
            config.reasoning.is_some().then(|| "a table".to_owned()),
            "nothing: slates are written at once",
        ),
        (
            "rl.advantage",
            hits.then(|| "`srpo`".to_owned()),
            "another: `srpo` counts answers that are the target",
        ),
    ];
    match faults.into_iter().find_map(|(field, found, needed)| Some((field, found?, needed))) {
        Some((field, found, needed)) => {
            Err(LabError::Setting { field: field.to_owned(), found, needed })
        }
        None => Ok(()),
    }
}

impl Pipeline<'_> {
    /// The candidates of samples; `None` for a recipe without any.
    pub(crate) fn pools<'c>(
        &self,
        train: &TrainSet,
        catalog: &'c Catalog,
    ) -> Result<Option<Pools<'c>>, LabError> {
        let Some(pool) = &self.recipe.pool else { return Ok(None) };
        let negatives = Negatives::new(pool.negatives, train, catalog)?;
        let slate_size = pool.slate_size.unwrap_or(1);
        let config =
            PoolConfig { size: pool.size, slate_size, ..PoolConfig::new(self.recipe.seed) };
        Ok(Some(Pools::new(config, negatives, train)?))
    }

    /// What the slates of a stage are made of; `None` for one that is asked for none.
    pub(crate) fn slates<'c>(
        &self,
        context: &'c Context<'_>,
        task: Task,
    ) -> Option<SlateAnswers<'c>> {
        let titles = context.titles.as_ref().filter(|_| task == Task::TitleSlate)?;
        Some(SlateAnswers {
            lines: &titles.lines,
            slate_size: self.recipe.pool.and_then(|pool| pool.slate_size)?,
            end_of_turn: context.tokenizer.end_of_turn(),
            pad: context.tokenizer.pad(),
        })
    }

    /// Adds what pools depend on, besides what is bound anyway, to what a part reads.
    pub(crate) fn bind_pool(&self, inputs: &mut Binding) -> Result<(), LabError> {
        if let Some(pool) = &self.recipe.pool {
            inputs.insert("pool".to_owned(), hash_json(&(pool, self.recipe.seed))?);
        }
        Ok(())
    }
}

/// Items as they are written in titles.
pub(crate) struct Titles {
    /// A title and the end of the turn.
    pub(crate) whole: Constraint,
    /// A title and the end of the line.
    pub(crate) lines: Constraint,
}

impl Titles {
    /// The titles of a dataset. An item without one is an end alone; no pool holds it.
    pub(crate) fn new(
        dataset: &Dataset,
        tokenizer: &SidTokenizer,
        device: Device,
    ) -> Result<Self, LabError> {
        let ended = |end: &[u32]| -> Result<Constraint, LabError> {
            let sequences = dataset
                .items()
                .iter()
                .map(|item| Ok([tokenizer.encode(&item.title)?.as_slice(), end].concat()))
                .collect::<Result<Vec<_>, LabError>>()?;
            Ok(Constraint::from_sequences(&sequences, device)?)
        };
        let line = tokenizer.encode("\n")?;
        if line.len() != 1 {
            return Err(LabError::Setting {
                field: "tokenizer".to_owned(),
                found: format!("a line end of {} tokens", line.len()),
                needed: "one token, between the titles of a slate",
            });
        }
        Ok(Self { whole: ended(&[tokenizer.end_of_turn()])?, lines: ended(&line)? })
    }
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
        let divided = SFT.replace("name = 'sft'", "name = 'sft'\ndomains = ['a', 'b']");
        assert!(refusal(&divided, POOL).contains("`stage.sft.domains` is a, b"));
        let other = SFT.replace("task = 'title-choice'", "task = 'reasoning'");
        assert!(refusal(&other, POOL).contains("`stage.sft.task` is `reasoning`"));
        assert!(refusal(SFT, "").contains("`pool` is missing"));
        assert!(refusal(SFT, &POOL.replace('4', "1")).contains("`pool.size` is 1"));
        assert!(refusal(SFT, &POOL.replace('9', "0")).contains("`pool.users` is 0"));
        assert!(refusal(SFT, &format!("{POOL}sise = 4\n")).contains("not valid"));
        assert!(
            refusal(SFT, &format!("{POOL}slate_size = 2\n")).contains("`pool.slate_size` is 2")
        );
        let unused = "[[stage]]\nname = 'sft'\nsft = {}\n";
        assert!(refusal(unused, POOL).contains("`pool` is without use"));
    }

    #[test]
    fn settings_that_do_not_fit_slates_are_named() {
        let pool = format!("{POOL}slate_size = 3\n");
        let sft = SFT.replace("title-choice", "title-slate");
        let stage = |training: &str| {
            format!(
                "{sft}[[stage]]\nname = 'next'\nfrom = 'sft'\ntask = 'title-slate'\n{training}\n"
            )
        };
        let fits = "reward = 'slate_ndcg'\n\
            rl = { rollout = { sample = { temperature = 1.0 } }, prefix_curriculum = false }";
        assert_eq!(refusal(&stage(fits), &pool), "");
        for (from, to, named) in [
            ("'slate_ndcg'", "'accuracy'", "`stage.next.reward` is Accuracy"),
            (
                "'slate_ndcg'",
                "{ objectives = [{ name = 'a', weight = 1.0, reward = 'slate_ndcg' }, \
                 { name = 'b', weight = 1.0, reward = 'stepwise' }] }",
                "`stage.next.reward` is Stepwise",
            ),
            ("sample", "dynamic", "`stage.next.rl.rollout`"),
            (", prefix_curriculum = false", "", "`stage.next.rl.prefix_curriculum` is true"),
            ("prefix", "alignment_share = 0.5, prefix", "`stage.next.rl.alignment_share` is 0.5"),
            ("prefix", "advantage = { srpo = { k = 1 } }, prefix", "`stage.next.rl.advantage`"),
            ("prefix", "scoring = 'renormalised', prefix", "`stage.next.rl.scoring`"),
        ] {
            let found = refusal(&stage(&fits.replace(from, to)), &pool);
            assert!(found.contains(named), "{to}: {found}");
        }
        let found = refusal(&stage("preference = {}"), &pool);
        assert!(found.contains("`stage.next.task` is `title-slate`"), "{found}");
        let found = refusal(&stage(fits).replace("task = 'title-slate'\nreward", "reward"), &pool);
        assert!(found.contains("`stage.next.reward` is SlateNdcg"), "{found}");
        assert!(refusal(&sft, POOL).contains("`pool.slate_size` is missing"));
        assert!(refusal(&sft, &pool.replace('3', "5")).contains("`pool.slate_size` is 5"));
    }
}
