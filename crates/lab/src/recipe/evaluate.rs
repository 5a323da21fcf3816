//! How the policies of a run are tested: settings.

use std::num::NonZeroUsize;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sidereal_metrics::{Metric, MetricSource};
use sidereal_policy::PolicyKind;
use sidereal_prompts::{AbilityKind, Task};

use crate::error::LabError;
use crate::pool_task::answers_with_sid;
use crate::recipe::evaluate_reasoning::EvaluateReasoning;
use crate::recipe::learned::{learns, reasons};
use crate::recipe::scaling::ScalingConfig;
use crate::recipe::stage::Stage;
use crate::setting::check_counts;

/// How policies are tested on held-out users.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EvaluateConfig {
    /// Beams of a user. Range `1..`.
    pub beam_width: usize,
    /// Users decoded together. Range `1..`.
    pub batch_size: usize,
    /// Users, drawn by seed, on which training validates itself. Range `1..`.
    pub valid_users: usize,
    /// Resamples of the bootstrap, from which intervals and tests come. Range `1..`.
    pub resamples: usize,
    /// Users of the test, drawn by seed, with all their targets; all if there are fewer. Without it, all. The report
    /// says how many they are. Range `1..`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users: Option<NonZeroUsize>,
    /// Labels of stages, or names of recommenders, with which every stage is compared in pairs,
    /// besides the one that it starts from.
    #[serde(default)]
    pub compare_with: Vec<String>,
    /// The columns of the tables, such as `["HR@3", "NDCG@3", "Avg(HR@1/5/10+NDCG@5/10)", "Entropy@10",
    /// "Pass@5"]`: metrics of ranks (`HR`, which is Recall for one target, `NDCG`, `MRR`), of the lists of
    /// policies (`Entropy`, `Cold-Recall`, `Coverage`, `Gini`), of drawn answers (`Pass`, `Best`), and
    /// averages of metrics of ranks or of drawn answers. The entropy needs categories of the items, and the cold
    /// recall a user with a cold target. Cut-offs are at most `beam_width`, and at most the
    /// `chains` of `reasoning` for drawn answers. Without it: HR@5, HR@10, NDCG@10 and MRR@10 (HR@1 too for pools),
    /// the four metrics of lists at 10, and `Pass@k` at powers of two; the last ones are also used if no metric of
    /// drawn answers is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<String>>")]
    pub metrics: Option<Vec<Metric>>,
    /// Test of the stages that reason before they answer; without it they are tested as they answer
    /// directly, like all others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<EvaluateReasoning>,
    /// Test of general ability: exercises of several kinds, whose questions are not in `texts.chat`. Every stage
    /// answers them, and its row has the difference to the stage that it starts from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exercises: Option<EvaluateExercises>,
    /// Next items in free words: what each stage's policy writes of them, from a history of Semantic IDs. It is a
    /// table of the report and has no metric.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub descriptions: Option<EvaluateDescriptions>,
    /// Test of users with several targets: one list of answers for all that a user chose after the history, as
    /// `RecIF-Bench` counts. Without it every target is a sample of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub targets: Option<EvaluateTargets>,
    /// Test of label prediction: the AUC of the probability of `yes` against `no`, for stages that learned
    /// [`Task::LabelPrediction`](sidereal_prompts::Task::LabelPrediction).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<EvaluateLabels>,
    /// A figure of drawn answers after chains over the compute of training, with fits in its logarithm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scaling: Option<ScalingConfig>,
}

/// The test of label prediction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EvaluateLabels {
    /// The behaviour of the data that is asked for.
    pub behaviour: String,
    /// Events of the test, drawn by seed; all if there are fewer. Range `1..`.
    pub samples: usize,
}

/// The test of users with several targets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EvaluateTargets {
    /// The `k` of `Pass@k` (a target is among the first `k` answers) and `Recall@k` (the share of a user's targets
    /// among them). An answer is a Semantic ID. Range `1..=beam_width`.
    #[schemars(with = "Vec<usize>")]
    pub cut_offs: Vec<NonZeroUsize>,
    /// What users are asked: `next-item`; `label-conditional`, for a behaviour that the user shows with a target,
    /// one of those drawn by seed; `interactive`, one question for each query of a user of the test. The last two are
    /// for stages that learned them.
    #[schemars(extend("default" = ["next-item"]))]
    #[serde(default = "next_items", skip_serializing_if = "are_next_items")]
    pub tasks: Vec<Task>,
}

fn next_items() -> Vec<Task> {
    vec![Task::NextItem]
}

fn are_next_items(tasks: &[Task]) -> bool {
    tasks == [Task::NextItem]
}

impl EvaluateTargets {
    /// Accepts cut-offs that the answers have, and tasks with several targets.
    fn check(&self, beam_width: usize) -> Result<(), LabError> {
        let most = self.cut_offs.iter().map(|k| k.get()).max();
        if most.is_none_or(|most| most > beam_width) {
            return Err(LabError::Setting {
                field: "evaluate.targets.cut_offs".to_owned(),
                found: most.map_or_else(|| "empty".to_owned(), |most| most.to_string()),
                needed: "numbers of answers of at most `evaluate.beam_width`",
            });
        }
        let known = [Task::NextItem, Task::LabelConditional, Task::Interactive];
        let mut tasks = self.tasks.iter().enumerate();
        let odd =
            tasks.find(|(at, task)| !known.contains(task) || self.tasks[..*at].contains(task));
        if self.tasks.is_empty() || odd.is_some() {
            return Err(LabError::Setting {
                field: "evaluate.targets.tasks".to_owned(),
                found: odd.map_or_else(|| "empty".to_owned(), |(_, task)| format!("with `{task}`")),
                needed: "some of `next-item`, `label-conditional` and `interactive`, each once",
            });
        }
        Ok(())
    }
}

/// Descriptions of next items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EvaluateDescriptions {
    /// Users of the test, drawn by seed. Range `1..`.
    pub users: usize,
    /// The most tokens of a description. Range `1..`.
    pub budget: usize,
}

/// The test of general ability.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EvaluateExercises {
    /// Exercises of each kind, drawn by seed. Range `1..`.
    pub count: usize,
    /// The most tokens of an answer, with what is thought before it. Range `1..`.
    pub budget: usize,
    /// What is asked, each kind once.
    #[serde(default = "the_rules", skip_serializing_if = "is_the_rules")]
    #[schemars(extend("default" = ["exercises"]))]
    pub kinds: Vec<AbilityKind>,
}

fn the_rules() -> Vec<AbilityKind> {
    vec![AbilityKind::Exercises]
}

fn is_the_rules(kinds: &[AbilityKind]) -> bool {
    kinds == [AbilityKind::Exercises]
}

impl EvaluateConfig {
    /// Accepts settings with which a test is possible.
    pub(crate) fn check(&self) -> Result<(), LabError> {
        check_counts(&[
            ("evaluate.beam_width", self.beam_width),
            ("evaluate.batch_size", self.batch_size),
            ("evaluate.valid_users", self.valid_users),
            ("evaluate.resamples", self.resamples),
        ])?;
        self.reasoning.as_ref().map_or(Ok(()), EvaluateReasoning::check)?;
        if let Some(EvaluateExercises { count, budget, kinds }) = &self.exercises {
            check_counts(&[
                ("evaluate.exercises.count", *count),
                ("evaluate.exercises.budget", *budget),
            ])?;
            let again = (1..kinds.len()).any(|at| kinds[..at].contains(&kinds[at]));
            if kinds.is_empty() || again {
                let named: Vec<String> = kinds.iter().map(ToString::to_string).collect();
                return Err(LabError::Setting {
                    field: "evaluate.exercises.kinds".to_owned(),
                    found: format!("`{}`", named.join(", ")),
                    needed: "at least one kind, each once",
                });
            }
        }
        if let Some(EvaluateDescriptions { users, budget }) = self.descriptions {
            check_counts(&[
                ("evaluate.descriptions.users", users),
                ("evaluate.descriptions.budget", budget),
            ])?;
        }
        if let Some(labels) = &self.labels {
            check_counts(&[("evaluate.labels.samples", labels.samples)])?;
        }
        self.targets.as_ref().map_or(Ok(()), |targets| targets.check(self.beam_width))?;
        self.metrics.as_ref().map_or(Ok(()), |metrics| self.check_metrics(metrics))
    }

    /// Accepts columns that the answers of this test have.
    fn check_metrics(&self, metrics: &[Metric]) -> Result<(), LabError> {
        let refuse = |found: String, needed| {
            Err(LabError::Setting { field: "evaluate.metrics".to_owned(), found, needed })
        };
        if !metrics.iter().any(|metric| metric.source() == MetricSource::Ranks) {
            let names: Vec<String> = metrics.iter().map(|metric| format!("`{metric}`")).collect();
            let found = if names.is_empty() { "empty".to_owned() } else { names.join(", ") };
            return refuse(found, "at least one metric of ranks, such as `HR@10`");
        }
        let reasoning = self.reasoning.as_ref();
        for (index, metric) in metrics.iter().enumerate() {
            let named = || format!("with `{metric}`");
            if metrics[..index].contains(metric) {
                return refuse(format!("with `{metric}` twice"), "each metric once");
            }
            let k = metric.cut_off().map_or(0, NonZeroUsize::get);
            match (metric.source(), reasoning) {
                (MetricSource::Ranks | MetricSource::Lists, _) if k > self.beam_width => {
                    return refuse(named(), "cut-offs of at most `evaluate.beam_width`");
                }
                (MetricSource::Ranks, Some(reasoning)) if k > reasoning.beam_width => {
                    return refuse(named(), "cut-offs of at most `evaluate.reasoning.beam_width`");
                }
                (MetricSource::Ranks | MetricSource::Lists, _) => {}
                (MetricSource::Draws, Some(reasoning)) if k <= reasoning.chains => {}
                (MetricSource::Draws, Some(_)) => {
                    return refuse(named(), "at most `evaluate.reasoning.chains` drawn answers");
                }
                (MetricSource::Draws, None) => {
                    let needed =
                        "no metric of drawn answers, because there is no `evaluate.reasoning`";
                    return refuse(named(), needed);
                }
                _ => return refuse(named(), "metrics of ranks, of lists or of drawn answers"),
            }
        }
        Ok(())
    }

    /// Rejects exercises and descriptions for a kind of policy that writes no text.
    pub(crate) fn check_kind(&self, kind: PolicyKind) -> Result<(), LabError> {
        let field = match (&self.exercises, &self.descriptions) {
            (None, None) => return Ok(()),
            _ if kind.reasons() => return Ok(()),
            (Some(_), _) => "evaluate.exercises",
            (None, Some(_)) => "evaluate.descriptions",
        };
        Err(LabError::Setting {
            field: field.to_owned(),
            found: "a table".to_owned(),
            needed: "nothing of the kind: this model writes no text before its answers",
        })
    }

    /// Rejects a test with reasoning if no stage reasons, and one of several targets of Semantic IDs that are
    /// not those of the run's catalogue.
    pub(crate) fn check_stages(&self, stages: &[Stage]) -> Result<(), LabError> {
        let labels = self.labels.as_ref();
        if labels.is_some() && !stages.iter().any(|stage| self.tests_labels(stage, stages)) {
            return Err(LabError::Setting {
                field: "evaluate.labels".to_owned(),
                found: "set but not used".to_owned(),
                needed: "a stage that learns `label-prediction`; without one, remove `[evaluate.labels]`",
            });
        }
        let asked = self.targets.iter().flat_map(|targets| &targets.tasks).copied();
        let mut asked = asked.filter(|task| *task != Task::NextItem);
        let unlearned =
            asked.find(|task| !stages.iter().any(|stage| self.asks(*task, stage, stages)));
        if let Some(task) = unlearned {
            return Err(LabError::Setting {
                field: "evaluate.targets.tasks".to_owned(),
                found: format!("with `{task}`"),
                needed: "tasks that a stage learns, and `next-item`",
            });
        }
        let other_tree = stages.iter().find(|stage| stage.tree != NonZeroUsize::MIN);
        if let (Some(_), Some(stage)) = (&self.targets, other_tree) {
            return Err(LabError::Setting {
                field: format!("stage.{}.tree", stage.name),
                found: stage.tree.to_string(),
                needed: "1 with `evaluate.targets`, whose answers are Semantic IDs of the first tree",
            });
        }
        if let Some(scaling) = &self.scaling {
            let columns = self.metrics.as_deref().unwrap_or_default();
            scaling.check(columns, stages, |stage| self.tests_reasoning(stage, stages))?;
        }
        if self.reasoning.is_none()
            || stages.iter().any(|stage| self.tests_reasoning(stage, stages))
        {
            return Ok(());
        }
        Err(LabError::Setting {
            field: "evaluate.reasoning".to_owned(),
            found: "set but not used".to_owned(),
            needed: "a stage that learns to reason; without one, remove `[evaluate.reasoning]`",
        })
    }

    /// Whether the policy of a stage is also tested on label prediction.
    pub(crate) fn tests_labels(&self, stage: &Stage, stages: &[Stage]) -> bool {
        self.labels.is_some() && learns(Task::LabelPrediction, stage, stages)
    }

    /// Whether the policy of a stage is also asked a task with several targets, besides next items.
    pub(crate) fn asks(&self, task: Task, stage: &Stage, stages: &[Stage]) -> bool {
        let asked = self.targets.as_ref().is_some_and(|targets| targets.tasks.contains(&task));
        asked
            && task != Task::NextItem
            && answers_with_sid(stage.task)
            && learns(task, stage, stages)
    }

    /// Whether the policy of a stage is also tested with reasoning.
    pub(crate) fn tests_reasoning(&self, stage: &Stage, stages: &[Stage]) -> bool {
        self.reasoning.is_some() && answers_with_sid(stage.task) && reasons(stage, stages)
    }

    /// The fixed values of a blank recipe.
    pub(crate) const fn blank() -> Self {
        Self {
            beam_width: 1,
            batch_size: 1,
            valid_users: 1,
            resamples: 1,
            users: None,
            compare_with: Vec::new(),
            metrics: None,
            reasoning: None,
            exercises: None,
            descriptions: None,
            targets: None,
            labels: None,
            scaling: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use sidereal_train::{AnswerForm, ChainConfig};

    use super::*;
    use crate::recipe::evaluate_reasoning::RankedAfter;

    fn check(names: &[&str], reasoning: bool) -> Result<(), String> {
        let metrics = names.iter().map(|name| name.parse().unwrap()).collect();
        let (chain, answer) = (ChainConfig::default(), AnswerForm::Constrained);
        let ranking = RankedAfter::Merged;
        let reasoning = reasoning.then_some(EvaluateReasoning {
            users: 9,
            chains: 8,
            beam_width: 10,
            chain,
            answer,
            ranking,
        });
        let blank = EvaluateConfig { beam_width: 20, ..EvaluateConfig::blank() };
        let config = EvaluateConfig { metrics: Some(metrics), reasoning, ..blank };
        config.check().map_err(|error| error.to_string())
    }

    #[test]
    fn columns_that_the_answers_do_not_have_are_refused() {
        for (names, reasoning, reason) in [
            (&[][..], false, "is empty; expected at least one metric of ranks"),
            (&["Entropy@10"], false, "`Entropy@10`; expected at least one metric of ranks"),
            (&["HR@5", "R@5"], false, "with `HR@5` twice"),
            (&["HR@21"], false, "with `HR@21`; expected cut-offs of at most `evaluate.beam_width`"),
            (&["Avg(HR@1/30)"], false, "at most `evaluate.beam_width`"),
            (&["HR@1", "Gini@30"], false, "at most `evaluate.beam_width`"),
            (&["HR@20"], true, "at most `evaluate.reasoning.beam_width`"),
            (&["HR@1", "Pass@1"], false, "there is no `evaluate.reasoning`"),
            (&["HR@1", "Avg(Pass@1/9)"], true, "at most `evaluate.reasoning.chains`"),
            (&["HR@1", "AUC"], false, "with `AUC`; expected metrics of ranks"),
        ] {
            let error = check(names, reasoning).unwrap_err();
            assert!(error.contains(reason), "{names:?}: {error}");
        }
        check(&["HR@20", "MRR@3", "Cold-Recall@20"], false).unwrap();
        check(&["HR@1", "Avg(HR@1/5+NDCG@5)", "Pass@8", "Best@2"], true).unwrap();
    }

    #[test]
    fn questions_with_several_targets_are_known_and_asked_once() {
        let check = |cut_offs: &[usize], tasks: &[Task]| {
            let cut_offs = cut_offs.iter().filter_map(|k| NonZeroUsize::new(*k)).collect();
            let targets = Some(EvaluateTargets { cut_offs, tasks: tasks.to_vec() });
            let config = EvaluateConfig { beam_width: 4, targets, ..EvaluateConfig::blank() };
            config.check().map_err(|error| error.to_string())
        };
        check(&[1, 4], &[Task::Interactive, Task::NextItem]).unwrap();
        assert!(check(&[5], &[Task::NextItem]).unwrap_err().contains("targets.cut_offs` is 5"));
        for tasks in [&[][..], &[Task::TitleToSid], &[Task::NextItem, Task::NextItem]] {
            assert!(check(&[1], tasks).unwrap_err().contains("`evaluate.targets.tasks`"));
        }
        let plain = EvaluateTargets { cut_offs: vec![NonZeroUsize::MIN], tasks: next_items() };
        assert_eq!(serde_json::to_string(&plain).unwrap(), r#"{"cut_offs":[1]}"#);
    }

    #[test]
    fn exercises_need_a_policy_that_writes_text() {
        let exercises = Some(EvaluateExercises { count: 1, budget: 1, kinds: the_rules() });
        let config = EvaluateConfig { exercises, ..EvaluateConfig::blank() };
        config.check_kind(PolicyKind::Decoder).unwrap();
        for kind in [PolicyKind::T5, PolicyKind::Item] {
            let error = config.check_kind(kind).unwrap_err().to_string();
            assert!(error.contains("`evaluate.exercises`"), "{error}");
            EvaluateConfig::blank().check_kind(kind).unwrap();
        }
        let none = EvaluateExercises { count: 0, budget: 1, kinds: the_rules() };
        let config = EvaluateConfig { exercises: Some(none), ..EvaluateConfig::blank() };
        assert!(config.check().unwrap_err().to_string().contains("evaluate.exercises.count"));
    }
}
