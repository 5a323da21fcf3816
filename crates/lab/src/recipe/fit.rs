//! Checks that trainings fit their tasks.

use sidereal_policy::Scoring;
use sidereal_prompts::Task;
use sidereal_train::{AdvantageConfig, NegativeSource, RewardConfig, RlConfig, RolloutConfig};

use crate::error::LabError;
use crate::pool_task::{answers_with_sid, is_by_head, is_over_all_titles, is_slate};
use crate::recipe::answering::Answering;
use crate::recipe::pool::CandidatePools;
use crate::recipe::stage::{Stage, Training};
use crate::setting::of_stage;

/// Accepts stages whose training fits their task.
pub(crate) fn check(pool: Option<&CandidatePools>, stages: &[Stage]) -> Result<(), LabError> {
    stages.iter().try_for_each(|stage| {
        of_stage(&stage.name, check_stage(stage, pool.map_or(0, |pool| pool.size)))
    })
}

fn check_stage(stage: &Stage, pool_size: usize) -> Result<(), LabError> {
    let refuse = |field: &str, found: String, needed| {
        Err(LabError::Setting { field: field.to_owned(), found, needed })
    };
    match (stage.task, &stage.training) {
        (Task::NextItem, Training::Rl { reward, .. }) => {
            return match reward.unfit(false) {
                Some(unfit) => {
                    let needed = "a reward for Semantic IDs, because the task is `next-item`";
                    refuse("reward", format!("{unfit:?}"), needed)
                }
                None => Ok(()),
            };
        }
        (task, Training::Untrained(config)) if config.answering != Answering::Search => {
            config.answering.check()?;
            if !is_over_all_titles(task) {
                let needed =
                    "left out, or the task `title-history-to-title` or `sid-history-to-title`";
                return refuse("untrained.answering", format!("{:?}", config.answering), needed);
            }
        }
        (task, Training::ItemHead(_)) => {
            if is_by_head(task) {
                return Ok(());
            }
            let needed = "`title-history-to-item`, because a recommendation head scores the items";
            return refuse("task", format!("`{task}`"), needed);
        }
        (Task::NextItem, _) => return Ok(()),
        (task, Training::NextItem(_)) => {
            let needed =
                "`next-item`, because the stage learns next items and writes no titles or slates";
            return refuse("task", format!("`{task}`"), needed);
        }
        (task, _) if !answers_with_sid(task) => {}
        (task, _) => {
            let needed = "`next-item`, `title-choice`, `title-slate`, `sid-slate`, `catalogue-slate`, \
                          `title-history-to-title`, `sid-history-to-title` or `title-history-to-item`";
            return refuse("task", format!("`{task}`"), needed);
        }
    }
    if stage.training.scoring() != Scoring::Full {
        let table = stage.training.table();
        let needed = "`full`, because titles and slates are scored against the whole vocabulary";
        return refuse(&format!("{table}.scoring"), "`renormalised`".to_owned(), needed);
    }
    match (stage.task, &stage.training) {
        (task, Training::Sft(config)) => {
            let tasks = config.mixture.as_ref().map_or(&[][..], |mixture| &mixture.tasks);
            if tasks.contains(&task) {
                return Ok(());
            }
            let needed = "a mixture that contains the task of the stage";
            refuse("sft.mixture.tasks", format!("without `{task}`"), needed)
        }
        (Task::TitleChoice, Training::Preference(config)) => {
            let (count, source) = (config.num_negatives, config.negatives);
            if !matches!(source, NegativeSource::Random | NegativeSource::Beam) {
                let needed =
                    "`random` or `beam`, because rejected titles come from the pool of the prompt";
                return refuse("preference.negatives", format!("{source:?}"), needed);
            }
            if count >= pool_size {
                let needed =
                    "fewer than `pool.size`, because negatives come from the pool of the prompt";
                return refuse("preference.num_negatives", count.to_string(), needed);
            }
            Ok(())
        }
        (task, Training::Rl { config, reward }) if is_slate(task) => check_slates(config, reward),
        // Next items are refused above, and heads accepted.
        (_, Training::Untrained(_) | Training::NextItem(_) | Training::ItemHead(_)) => Ok(()),
        (task, Training::Preference(_)) => refuse(
            "task",
            format!("`{task}`"),
            "`next-item` or `title-choice`, because the stage trains on preferences",
        ),
        (task, Training::Rl { .. }) => refuse(
            "task",
            format!("`{task}`"),
            "`next-item` or a slate, because the stage trains by reinforcement",
        ),
    }
}

/// Accepts reinforcement of slates if they are drawn as a whole and have rewards for slates.
fn check_slates(config: &RlConfig, reward: &RewardConfig) -> Result<(), LabError> {
    let unfit = reward.unfit(true).map(|unfit| format!("{unfit:?}"));
    let drawn = matches!(config.rollout, RolloutConfig::Sample(_));
    let hits = matches!(config.advantage, AdvantageConfig::Srpo(_));
    let faults = [
        ("reward", unfit, "`slate_ndcg`, `slate_entropy` or `objectives` of them"),
        (
            "rl.rollout",
            (!drawn).then(|| format!("{:?}", config.rollout)),
            "`sample`, because slates are drawn",
        ),
        (
            "rl.prefix_curriculum",
            config.prefix_curriculum.then(|| "true".to_owned()),
            "`false`, because slates have no guides",
        ),
        (
            "rl.alignment",
            (!config.alignment.is_empty()).then(|| "a list".to_owned()),
            "no value, because all prompts ask for slates",
        ),
        (
            "rl.reasoning",
            config.reasoning.is_some().then(|| "a table".to_owned()),
            "no value, because slates are written without reasoning",
        ),
        (
            "rl.advantage",
            hits.then(|| "`srpo`".to_owned()),
            "another advantage, because `srpo` counts answers that are exactly the target",
        ),
    ];
    match faults.into_iter().find_map(|(field, found, needed)| Some((field, found?, needed))) {
        Some((field, found, needed)) => {
            Err(LabError::Setting { field: field.to_owned(), found, needed })
        }
        None => Ok(()),
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
            (
                "reward = 'accuracy'\nrl = { scoring = 'full' }",
                "`stage.next.task` is `title-choice`",
            ),
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
        assert!(refusal(unused, POOL).contains("`pool` is set but not used"));
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
            rl = { rollout = { sample = { temperature = 1.0 } }, scoring = 'full' }";
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
            (
                "scoring",
                "prefix_curriculum = true, scoring",
                "`stage.next.rl.prefix_curriculum` is true",
            ),
            (
                "scoring",
                "alignment = [{ task = 'title-to-sid', share = 0.5 }], scoring",
                "`stage.next.rl.alignment` is a list",
            ),
            ("scoring", "advantage = { srpo = { k = 1 } }, scoring", "`stage.next.rl.advantage`"),
            (", scoring = 'full'", "", "`stage.next.rl.scoring` is `renormalised`"),
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
