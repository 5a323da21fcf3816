//! Several finished runs side by side: seeds of one recipe, or different recipes.

mod system;

use std::collections::BTreeMap;
use std::path::Path;

use sidereal_data::SampleId;
use sidereal_files::read_json;
use sidereal_metrics::{
    Bootstrap, Metric, MetricError, MetricSource, PairedTest, RankingRun, Report, SeenItems,
};
use sidereal_page::{Bar, BarPlot, BarSeries, Block, Table};
use sidereal_train::{Ranking, placements};

use self::system::System;
use crate::blend::files;
use crate::error::LabError;
use crate::evaluation;
use crate::evaluation::seen::SeenOfUsers;
use crate::evaluation::systems::{AT_START, WHY_AT_START, after_best_chain, with_reasoning};
use crate::parts::answers::AnswerFile;
use crate::parts::blended_rankings::Blended;
use crate::parts::rankings;
use crate::parts::reasoning::{self, ReasoningResult};
use crate::pool_task::is_over_pool;
use crate::resume::recipe_of;
use crate::run::part::Folder;
use crate::run::starts::returned_their_start;

/// The test of a finished run under a rule for seen items: rankings at item level, and, with seen items kept,
/// drawn answers.
#[derive(Debug, Clone)]
pub struct FinishedRun {
    /// Name of its folder.
    pub name: String,
    /// Whether the items in a user's history are among the ranked.
    pub seen_items: SeenItems,
    /// The columns that its recipe names, if it names any.
    pub metrics: Option<Vec<Metric>>,
    /// In the order of the recipe; the direct answers of a stage come before its answers after reasoning,
    /// and blends come last.
    systems: Vec<System>,
}

/// One system over all runs that have it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ComparedSystem {
    /// Label of the stage.
    pub label: String,
    /// Whether it was evaluated on a subset of users, with reasoning or candidate pools. Each run has its
    /// own subset.
    pub is_part: bool,
    /// Mean over the system's users in each run; `None` if the run lacks the system.
    pub runs: Vec<Option<f64>>,
    /// For each run, whether the stage returned the policy that it started from because no step was
    /// better on validation.
    pub at_start: Vec<bool>,
    /// Mean over the runs that have it.
    pub mean: f64,
    /// Paired difference to the baseline system. The score of each user is first averaged over the runs
    /// that contain both systems; the interval is over users. If one of the two systems was evaluated
    /// on a subset of users (reasoning or candidate pools), only that subset enters, chosen separately
    /// in each run. `None` if the two systems rank different sets: pools and all items, or pools of
    /// different sizes.
    pub difference: Option<PairedTest>,
}

/// One metric of all systems of several runs.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RunComparison {
    /// What was measured.
    pub metric: Metric,
    /// Under which rule for seen items.
    pub seen_items: SeenItems,
    /// Names of the runs.
    pub runs: Vec<String>,
    /// Label of the system to which differences are taken.
    pub against: Option<String>,
    /// In the order of their first appearance.
    pub systems: Vec<ComparedSystem>,
}

impl FinishedRun {
    /// Reads a run's folder: the answers of its stages, directly and after reasoning, and of its blends.
    /// Stages that answer out of pools rank no seen items, so they are there only with seen items kept. So are
    /// drawn answers and metrics of lists.
    ///
    /// # Errors
    /// Missing and damaged files by name; [`LabError::NoSeen`] where seen items are to be removed and the run
    /// does not say which they are.
    pub fn read(dir: &Path, seen_items: SeenItems) -> Result<Self, LabError> {
        let recipe = recipe_of(dir)?;
        let folder = Folder::new(dir);
        let seen = match seen_items {
            SeenItems::Kept => SeenOfUsers::default(),
            SeenItems::Removed => SeenOfUsers::read(&folder)?,
        };
        let at_start = returned_their_start(&folder, &recipe.stages)?;
        let report: Report = read_json(&folder.path(evaluation::REPORT))?;
        let placed =
            |rankings: &[Ranking]| placements(rankings, seen_items, |id| seen.of_sample(id));
        let mut systems = Vec::new();
        for stage in &recipe.stages {
            let pool = recipe.pool.as_ref().filter(|_| is_over_pool(stage.task));
            if pool.is_some() && seen_items == SeenItems::Removed {
                continue;
            }
            let at_start = at_start.contains(&stage.name);
            let name = &stage.name;
            let file = AnswerFile::<Ranking>::new(folder.path(&rankings::file(name)), name);
            let placements = placed(&file.load()?)?;
            let direct = System::of_placements(stage.label.clone(), placements, pool.is_some());
            let direct = direct.with_lists(&report, seen_items);
            let mut direct = System { pool: pool.map(|pool| pool.size), at_start, ..direct };
            if recipe.evaluate.tests_reasoning(stage, &recipe.stages) {
                let path = folder.path(&reasoning::file(name));
                let results = AnswerFile::<ReasoningResult>::new(path, name).load()?;
                let of_label = |label, placements| {
                    let system = System::of_placements(label, placements, true);
                    System { at_start, ..system.with_lists(&report, seen_items) }
                };
                let merged: Vec<Ranking> =
                    results.iter().map(|result| result.ranking.clone()).collect();
                let mut reasoned = of_label(with_reasoning(&stage.label), placed(&merged)?);
                if seen_items == SeenItems::Removed {
                    // Drawn answers are counted with seen items kept alone.
                    systems.extend([direct, reasoned]);
                    continue;
                }
                let drawn = results.iter().map(|result| (result.ranking.id, result.drawn));
                reasoned.draws = Some(drawn.collect());
                let drawn = results.iter().map(|result| (result.ranking.id, result.drawn_directly));
                direct.draws = Some(drawn.collect());
                systems.extend([direct, reasoned]);
                let after_best = results.iter().map(|result| {
                    Some((result.ranking.id, result.after_each_chain(reasoning::LISTED)?))
                });
                if let Some(after_best) = after_best.collect() {
                    let system = of_label(after_best_chain(&stage.label), RankingRun::new());
                    systems.push(System { draws: Some(after_best), ..system });
                }
            } else {
                systems.push(direct);
            }
        }
        for blend in &recipe.blends {
            let Blended { kept, removed } = read_json(&folder.path(&files::file(&blend.name)))?;
            let rankings = if seen_items == SeenItems::Kept { kept } else { removed };
            let placements = placed(&rankings)?;
            let system = System::of_placements(blend.label().to_owned(), placements, false);
            systems.push(system.with_lists(&report, seen_items));
        }
        let name = dir.file_name().unwrap_or(dir.as_os_str()).to_string_lossy().into_owned();
        Ok(Self { name, seen_items, metrics: recipe.evaluate.metrics, systems })
    }

    /// Whether the run has no system under this rule: seen items are not removed from pools.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.systems.is_empty()
    }

    /// The places of the targets in the rankings of a system.
    pub(crate) fn placements(&self, label: &str) -> Option<&RankingRun<SampleId>> {
        self.system(label).map(|system| &system.placements)
    }

    /// Labels of the systems.
    pub(crate) fn labels(&self) -> impl Iterator<Item = &str> {
        self.systems.iter().map(|system| system.label.as_str())
    }

    fn system(&self, label: &str) -> Option<&System> {
        self.systems.iter().find(|system| system.label == label)
    }
}

impl RunComparison {
    /// Compares runs under one metric of ranks, of drawn answers or of lists. Metrics of lists are those
    /// that the reports of the runs have, without tests of differences. A system without the metric in any
    /// run is left out.
    ///
    /// # Errors
    /// [`LabError::Metric`] if runs were tested on different users, and for a metric that no answers have;
    /// [`LabError::NoColumn`] if no system of the runs has the metric under their rule for seen items;
    /// [`LabError::UnknownStage`] for a label to compare with that no run has;
    /// [`LabError::Pools`] if a system ranks pools of another size, or all items, in another run;
    /// [`LabError::SeenRules`] for runs that were read under different rules for seen items.
    pub fn new(
        runs: &[FinishedRun],
        metric: Metric,
        against: Option<&str>,
        bootstrap: &Bootstrap,
    ) -> Result<Self, LabError> {
        let seen_items = runs.first().map_or(SeenItems::Kept, |run| run.seen_items);
        if runs.iter().any(|run| run.seen_items != seen_items) {
            return Err(LabError::SeenRules);
        }
        let mut labels: Vec<&str> = Vec::new();
        for System { label, .. } in runs.iter().flat_map(|run| &run.systems) {
            if !labels.contains(&label.as_str()) {
                labels.push(label);
            }
        }
        if let Some(against) = against.filter(|against| !labels.contains(against)) {
            let (name, found) = (against.to_owned(), labels.join(", "));
            return Err(LabError::UnknownStage { name, found });
        }
        let mut systems = Vec::new();
        for label in labels {
            check_pools(runs, label)?;
            let of_run = |run: &FinishedRun| match run.system(label) {
                Some(system) => system.mean(metric),
                None => Ok(None),
            };
            let values = runs.iter().map(of_run).collect::<Result<Vec<_>, LabError>>()?;
            let found: Vec<f64> = values.iter().copied().flatten().collect();
            if found.is_empty() {
                continue;
            }
            let of_label = || runs.iter().map(|run| run.system(label));
            let other = against.filter(|against| *against != label);
            systems.push(ComparedSystem {
                label: label.to_owned(),
                is_part: of_label().flatten().any(|system| system.is_part_for(metric)),
                mean: found.iter().sum::<f64>() / found.len() as f64,
                runs: values,
                at_start: of_label().map(|s| s.is_some_and(|system| system.at_start)).collect(),
                difference: match other {
                    Some(other) => difference(runs, label, other, metric, bootstrap)?,
                    None => None,
                },
            });
        }
        if systems.is_empty() {
            return Err(LabError::NoColumn { metric });
        }
        Ok(Self {
            metric,
            seen_items,
            runs: runs.iter().map(|run| run.name.clone()).collect(),
            against: against.map(str::to_owned),
            systems,
        })
    }

    /// The values and differences as text.
    #[must_use]
    pub fn table(&self) -> Table {
        let mut header = vec!["system".to_owned()];
        header.extend(self.runs.iter().cloned());
        header.push("mean".to_owned());
        if let Some(against) = &self.against {
            header.push(format!("minus {against}"));
            header.push("p".to_owned());
        }
        let rows = self.systems.iter().map(|system| {
            let mut row = vec![system.label.clone()];
            let number = |(value, at_start): (&Option<f64>, &bool)| match value {
                Some(value) if *at_start => format!("{value:.4} ({AT_START})"),
                Some(value) => format!("{value:.4}"),
                None => "-".to_owned(),
            };
            row.extend(system.runs.iter().zip(&system.at_start).map(number));
            row.push(format!("{:.4}", system.mean));
            if self.against.is_some() {
                let (difference, p) = system.difference.as_ref().map_or_else(
                    || ("-".to_owned(), "-".to_owned()),
                    |test| {
                        let (low, high) = (test.interval.low, test.interval.high);
                        let text = format!("{:+.4} [{low:+.4}, {high:+.4}]", test.difference);
                        (text, format!("{:.3}", test.p_value))
                    },
                );
                row.extend([difference, p]);
            }
            row
        });
        let level = match self.metric.source() {
            MetricSource::Draws => "SID level",
            _ => "item level",
        };
        let mut caption = format!("{}, {level}, {}", self.metric, self.rule());
        if self.systems.iter().any(|system| system.is_part) {
            caption += "; systems with reasoning or candidate pools are evaluated on a subset of users, and differences with them use the same subset on both sides";
        }
        let marked = self.systems.iter().any(|system| system.at_start.contains(&true));
        let notes = marked.then(|| format!("({AT_START}): {WHY_AT_START}"));
        Table { caption, header, rows: rows.collect(), notes: notes.into_iter().collect() }
    }

    /// The rule for seen items, for captions.
    const fn rule(&self) -> &'static str {
        match self.seen_items {
            SeenItems::Kept => "seen items kept",
            SeenItems::Removed => "seen items removed",
        }
    }

    /// A bar a run for every system.
    #[must_use]
    pub fn plot(&self) -> BarPlot {
        let series = self.runs.iter().enumerate().map(|(index, name)| BarSeries {
            name: name.clone(),
            bars: self
                .systems
                .iter()
                .map(|system| Some(Bar { value: system.runs[index]?, interval: None }))
                .collect(),
        });
        BarPlot {
            caption: format!("{}, {}", self.metric, self.rule()),
            y_axis: self.metric.to_string(),
            groups: self.systems.iter().map(|system| system.label.clone()).collect(),
            series: series.collect(),
        }
    }

    /// Table and plot.
    #[must_use]
    pub fn blocks(&self) -> [Block; 2] {
        [self.table().into(), self.plot().into()]
    }
}

/// Rejects a system that ranks other candidates in another run.
fn check_pools(runs: &[FinishedRun], label: &str) -> Result<(), LabError> {
    let pools = runs.iter().filter_map(|run| Some((&run.name, run.system(label)?.pool)));
    let pools: Vec<_> = pools.collect();
    match pools.iter().find(|(_, pool)| *pool != pools[0].1) {
        Some((run, _)) => Err(LabError::Pools { system: label.to_owned(), run: (*run).clone() }),
        None => Ok(()),
    }
}

/// Paired test over users of values that are averaged over the runs with both systems.
fn difference(
    runs: &[FinishedRun],
    label: &str,
    other: &str,
    metric: Metric,
    bootstrap: &Bootstrap,
) -> Result<Option<PairedTest>, LabError> {
    let mut users: BTreeMap<SampleId, (f64, f64, f64)> = BTreeMap::new();
    let mut whole: Option<BTreeMap<SampleId, f64>> = None;
    for run in runs {
        let (Some(one), Some(two)) = (run.system(label), run.system(other)) else { continue };
        if one.pool != two.pool {
            continue;
        }
        let is_part = one.is_part_for(metric) || two.is_part_for(metric);
        let (Some(one), Some(two)) = (one.by_user(metric)?, two.by_user(metric)?) else { continue };
        if !is_part {
            check_users(&one, &two)?;
            // Rejects runs over different users.
            check_users(&one, whole.get_or_insert_with(|| one.clone()))?;
        }
        for (id, one) in one {
            let Some(two) = two.get(&id) else { continue };
            let sums = users.entry(id).or_default();
            *sums = (sums.0 + one, sums.1 + two, sums.2 + 1.0);
        }
    }
    if users.is_empty() {
        return Ok(None);
    }
    let means = users.values().map(|(one, two, count)| (one / count, two / count));
    let (one, two): (Vec<f64>, Vec<f64>) = means.unzip();
    Ok(Some(bootstrap.paired(&one, &two)?))
}

/// Rejects values of different users.
fn check_users(
    one: &BTreeMap<SampleId, f64>,
    two: &BTreeMap<SampleId, f64>,
) -> Result<(), MetricError> {
    for (one, two, side) in [(one, two, "first"), (two, one, "second")] {
        if let Some(sample) = one.keys().find(|sample| !two.contains_key(sample)) {
            return Err(MetricError::Unpaired { sample: sample.to_string(), side });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use sidereal_data::UserId;
    use sidereal_metrics::{BootstrapConfig, Draws, Placement};

    use super::*;

    fn run(name: &str, systems: &[(&str, &[usize])]) -> FinishedRun {
        let ids = (0..).map(|user| SampleId::Event { user: UserId(user), position: 3 });
        let systems = systems.iter().map(|(label, ranks)| {
            let places = ranks.iter().map(|rank| match rank {
                0 => Placement::Absent,
                _ => Placement::tied(rank - 1, NonZeroUsize::MIN),
            });
            let (label, placements) = ((*label).to_owned(), ids.clone().zip(places).collect());
            System::of_placements(label, placements, false)
        });
        let (name, seen_items) = (name.to_owned(), SeenItems::Kept);
        FinishedRun { name, seen_items, metrics: None, systems: systems.collect() }
    }

    fn compare(runs: &[FinishedRun], against: &str) -> Result<RunComparison, LabError> {
        let bootstrap = Bootstrap::try_from(BootstrapConfig::new(1)).unwrap();
        RunComparison::new(runs, "HR@1".parse().unwrap(), Some(against), &bootstrap)
    }

    #[test]
    fn an_average_of_ranks_is_the_mean_of_the_single_metrics() {
        let runs = [run("1", &[("sft", &[1, 0, 3, 2])])];
        let bootstrap = Bootstrap::try_from(BootstrapConfig::new(1)).unwrap();
        let mean = |metric: &str| {
            let found = RunComparison::new(&runs, metric.parse().unwrap(), None, &bootstrap);
            found.unwrap().systems[0].mean
        };
        let parts = (mean("HR@1") + mean("HR@3") + mean("NDCG@3")) / 3.0;
        assert!((mean("Avg(HR@1/3+NDCG@3)") - parts).abs() < 1e-12);
    }

    #[test]
    fn differences_average_users_over_runs_with_both_systems() {
        let runs = [
            run("1", &[("sft", &[1, 0, 0, 0]), ("rl", &[1, 1, 0, 0])]),
            run("2", &[("sft", &[1, 0, 0, 1]), ("rl", &[1, 1, 2, 1])]),
            run("3", &[("rl", &[1, 1, 1, 1])]),
        ];
        let found = compare(&runs, "sft").unwrap();
        let rl = &found.systems[1];
        assert_eq!(rl.runs, [Some(0.5), Some(0.75), Some(1.0)]);
        assert!((rl.mean - 0.75).abs() < 1e-12);
        let test = rl.difference.as_ref().unwrap();
        // User 1 gains in both runs, nobody else in any: 1 of 4.
        assert!((test.difference - 0.25).abs() < 1e-12 && test.num_users == 4);
        assert_eq!(found.systems[0].difference, None);
        assert_eq!(found.table().rows[0][3], "-");
    }

    #[test]
    fn answers_after_reasoning_are_compared_over_their_users_in_each_run() {
        let mut runs = [
            run("1", &[("sft", &[1, 0, 0, 0]), ("sft, reasoning", &[0, 1, 0, 1])]),
            run("2", &[("sft", &[1, 0, 1, 1]), ("sft, reasoning", &[1, 0, 1, 1])]),
        ];
        let users = |system: &mut System, users: [u32; 2]| {
            let of_user = |user| SampleId::Event { user: UserId(user), position: 3 };
            let ids = users.map(of_user);
            system.placements = system.placements.filter(|id| ids.contains(id));
            system.is_part = true;
        };
        // Users 0 and 1 lose and gain a hit in run 1; in run 2 neither 1 nor 2 does.
        users(&mut runs[0].systems[1], [0, 1]);
        users(&mut runs[1].systems[1], [1, 2]);
        let found = compare(&runs, "sft").unwrap();
        let reasoned = &found.systems[1];
        assert_eq!(reasoned.runs, [Some(0.5), Some(0.5)]);
        assert!(reasoned.is_part && !found.systems[0].is_part);
        assert!(found.table().caption.contains("subset of users"));
        let test = reasoned.difference.as_ref().unwrap();
        // −1, (1 + 0) / 2 and 0 over three users.
        assert!((test.difference + 0.5 / 3.0).abs() < 1e-12 && test.num_users == 3, "{test:?}");
    }

    #[test]
    fn results_over_pools_and_over_all_items_are_never_paired_or_averaged() {
        let mut runs = [
            run("1", &[("sft", &[1, 0]), ("titles", &[1, 1])]),
            run("2", &[("sft", &[1, 0]), ("titles", &[0, 1])]),
        ];
        assert!(compare(&runs, "sft").unwrap().systems[1].difference.is_some());
        runs[0].systems[1].pool = Some(20);
        let error = compare(&runs, "sft").unwrap_err();
        assert!(
            matches!(error, LabError::Pools { system, run } if system == "titles" && run == "2")
        );
        runs[1].systems[1].pool = Some(20);
        let found = compare(&runs, "sft").unwrap();
        assert_eq!(found.systems[1].difference, None);
        assert!((found.systems[1].mean - 0.75).abs() < 1e-12);
    }

    #[test]
    fn a_system_equal_to_its_start_is_marked_in_its_runs() {
        let mut runs = [
            run("1", &[("sft", &[1, 0]), ("rl", &[1, 1])]),
            run("2", &[("sft", &[1, 0]), ("rl", &[1, 0])]),
        ];
        runs[1].systems[1].at_start = true;
        let table = compare(&runs, "sft").unwrap().table();
        assert_eq!(table.rows[1][1..3], ["1.0000", "0.5000 (= its start)"]);
        assert_eq!(table.rows[0][1..3], ["0.5000", "0.5000"]);
        assert!(table.notes[0].starts_with("(= its start): no step of the training was better"));
        assert!(compare(&runs[..1], "sft").unwrap().table().notes.is_empty());
    }

    #[test]
    fn drawn_answers_are_compared_over_the_users_who_have_them() {
        let mut runs = [run("1", &[("sft", &[1, 0]), ("rl", &[1, 1]), ("rl, reasoning", &[1])])];
        let ids: Vec<SampleId> = runs[0].systems[0].placements.placements().map(|p| *p.0).collect();
        let draws =
            |right: [bool; 2]| Some([(ids[1], Draws::new(&right).unwrap())].into_iter().collect());
        runs[0].systems[1].draws = draws([false, true]);
        runs[0].systems[2].draws = draws([true, true]);
        let bootstrap = Bootstrap::try_from(BootstrapConfig::new(1)).unwrap();
        let compare = |metric: &str| {
            RunComparison::new(&runs, metric.parse().unwrap(), Some("rl"), &bootstrap)
        };
        let found = compare("Pass@1").unwrap();
        // Answers of the stage without draws are left out.
        let labels: Vec<&str> = found.systems.iter().map(|s| s.label.as_str()).collect();
        assert_eq!(labels, ["rl", "rl, reasoning"]);
        assert!((found.systems[0].mean - 0.5).abs() < 1e-12 && found.systems[0].is_part);
        let test = found.systems[1].difference.as_ref().unwrap();
        assert!((test.difference - 0.5).abs() < 1e-12 && test.num_users == 1);
        let average = compare("Avg(Pass@1/2)").unwrap();
        assert!((average.systems[0].mean - 0.75).abs() < 1e-12);
        assert!(matches!(compare("Pass@3"), Err(LabError::Metric(_))));
    }

    #[test]
    fn metrics_of_lists_are_those_of_the_reports_without_tests() {
        let mut runs =
            [run("1", &[("sft", &[1]), ("rl", &[1])]), run("2", &[("sft", &[1]), ("rl", &[1])])];
        let metric: Metric = "Gini@10".parse().unwrap();
        for (index, value) in [(0, 0.25), (1, 0.75)] {
            runs[index].systems[1].of_lists.insert(metric, value);
        }
        let bootstrap = Bootstrap::try_from(BootstrapConfig::new(1)).unwrap();
        let found = RunComparison::new(&runs, metric, Some("sft"), &bootstrap).unwrap();
        assert_eq!(found.systems.len(), 1);
        assert_eq!(found.systems[0].runs, [Some(0.25), Some(0.75)]);
        assert!(found.systems[0].difference.is_none() && !found.systems[0].is_part);
        let other = RunComparison::new(&runs, "Gini@5".parse().unwrap(), None, &bootstrap);
        assert!(matches!(other, Err(LabError::NoColumn { .. })));
    }

    #[test]
    fn runs_over_other_users_are_refused() {
        let runs = [
            run("1", &[("sft", &[1, 0]), ("rl", &[1, 1])]),
            run("2", &[("sft", &[1, 0, 0]), ("rl", &[1, 1, 1])]),
        ];
        assert!(matches!(compare(&runs, "sft"), Err(LabError::Metric(_))));
        assert!(matches!(compare(&runs, "ppo"), Err(LabError::UnknownStage { .. })));
    }

    #[test]
    fn runs_under_different_rules_for_seen_items_are_refused() {
        let mut runs = [run("1", &[("sft", &[1, 0])]), run("2", &[("sft", &[1, 0])])];
        runs[1].seen_items = SeenItems::Removed;
        assert!(matches!(compare(&runs, "sft"), Err(LabError::SeenRules)));
        runs[0].seen_items = SeenItems::Removed;
        let caption = compare(&runs, "sft").unwrap().table().caption;
        assert_eq!(caption, "HR@1, item level, seen items removed");
    }

    #[test]
    fn the_table_of_a_comparison_reads_as_recorded() {
        let mut runs = [
            run("1", &[("SFT", &[1, 0, 1, 0]), ("SFT, reasoning", &[1, 1])]),
            run("2", &[("SFT", &[1, 0, 0, 0]), ("SFT, reasoning", &[0, 1])]),
        ];
        for run in &mut runs {
            run.systems[1].is_part = true;
        }
        runs[1].systems[0].at_start = true;
        let bootstrap = Bootstrap::try_from(BootstrapConfig::new(1)).unwrap();
        let metric = "HR@1".parse().unwrap();
        let table = RunComparison::new(&runs, metric, None, &bootstrap).unwrap().table();
        let rows = [table.header].into_iter().chain(table.rows).map(|row| row.join(" | "));
        let lines: Vec<String> =
            [table.caption].into_iter().chain(rows).chain(table.notes).collect();
        insta::assert_snapshot!(lines.join("\n"), @r"
        HR@1, item level, seen items kept; systems with reasoning or candidate pools are evaluated on a subset of users, and differences with them use the same subset on both sides
        system | 1 | 2 | mean
        SFT | 0.5000 | 0.2500 (= its start) | 0.3750
        SFT, reasoning | 1.0000 | 0.5000 | 0.7500
        (= its start): no step of the training was better on validation than the policy that it started from, so the stage returned that policy.
        ");
    }
}
