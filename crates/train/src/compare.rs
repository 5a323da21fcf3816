//! Several finished runs side by side: seeds of one recipe, or different recipes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use sidereal_corpus::SampleId;
use sidereal_metrics::{Bootstrap, Metric, MetricError, PairedTest, RankingRun};
use sidereal_page::{Bar, BarPlot, BarSeries, Block, Table};

use crate::TrainError;
use crate::evaluate::Ranking;
use crate::pipeline::{Recipe, rankings_file, read_json};

/// The test rankings of a finished run; item level, seen items kept.
#[derive(Debug, Clone)]
pub struct FinishedRun {
    /// Name of its folder.
    pub name: String,
    /// Placements of each stage's label, in the recipe's order.
    systems: Vec<(String, RankingRun<SampleId>)>,
}

/// One system over all runs that have it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ComparedSystem {
    /// Label of the stage.
    pub label: String,
    /// Mean over users in each run; `None` where the run lacks the system.
    pub runs: Vec<Option<f64>>,
    /// Mean over the runs that have it.
    pub mean: f64,
    /// This system minus the one compared with, over the runs that have both: each user's values
    /// are averaged over these runs first, so that the interval is over users.
    pub difference: Option<PairedTest>,
}

/// One metric of all systems of several runs.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RunComparison {
    /// What was measured.
    pub metric: Metric,
    /// Names of the runs.
    pub runs: Vec<String>,
    /// Label that differences are taken to.
    pub against: Option<String>,
    /// In the order of their first appearance.
    pub systems: Vec<ComparedSystem>,
}

impl FinishedRun {
    /// Reads a run's folder.
    ///
    /// # Errors
    /// Missing and damaged files by name.
    pub fn read(dir: &Path) -> Result<Self, TrainError> {
        let recipe = Recipe::load(&dir.join("config.toml"))?;
        let systems = recipe
            .stages
            .into_iter()
            .map(|stage| {
                let rankings: Vec<Ranking> = read_json(&dir.join(rankings_file(&stage.name)))?;
                let mut run = RankingRun::new();
                for ranking in &rankings {
                    run.push(ranking.id, ranking.item_placement(&BTreeSet::new()))?;
                }
                Ok((stage.label, run))
            })
            .collect::<Result<_, TrainError>>()?;
        let name = dir.file_name().unwrap_or(dir.as_os_str()).to_string_lossy().into_owned();
        Ok(Self { name, systems })
    }

    fn system(&self, label: &str) -> Option<&RankingRun<SampleId>> {
        self.systems.iter().find(|(name, _)| name == label).map(|(_, run)| run)
    }
}

impl RunComparison {
    /// Compares runs under one metric of ranks.
    ///
    /// # Errors
    /// [`TrainError::Metric`] where runs were tested on other users, for a metric that is none of
    /// ranks, and for a label to compare with that no run has.
    pub fn new(
        runs: &[FinishedRun],
        metric: Metric,
        against: Option<&str>,
        bootstrap: &Bootstrap,
    ) -> Result<Self, TrainError> {
        let mut labels: Vec<&str> = Vec::new();
        for (label, _) in runs.iter().flat_map(|run| &run.systems) {
            if !labels.contains(&label.as_str()) {
                labels.push(label);
            }
        }
        if let Some(against) = against.filter(|against| !labels.contains(against)) {
            let (name, found) = (against.to_owned(), labels.join(", "));
            return Err(TrainError::UnknownStage { name, found });
        }
        let systems = labels
            .iter()
            .map(|label| {
                let values = runs
                    .iter()
                    .map(|run| run.system(label).map(|system| mean(system, metric)).transpose())
                    .collect::<Result<Vec<_>, MetricError>>()?;
                let found: Vec<f64> = values.iter().copied().flatten().collect();
                let other = against.filter(|against| against != label);
                Ok(ComparedSystem {
                    label: (*label).to_owned(),
                    mean: found.iter().sum::<f64>() / found.len() as f64,
                    runs: values,
                    difference: match other {
                        Some(other) => difference(runs, label, other, metric, bootstrap)?,
                        None => None,
                    },
                })
            })
            .collect::<Result<_, TrainError>>()?;
        Ok(Self {
            metric,
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
            let number = |value: &Option<f64>| value.map_or("-".to_owned(), |v| format!("{v:.4}"));
            row.extend(system.runs.iter().map(number));
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
        let caption = format!("{}, item level, seen items kept", self.metric);
        Table { caption, header, rows: rows.collect() }
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
            caption: self.metric.to_string(),
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

fn mean(run: &RankingRun<SampleId>, metric: Metric) -> Result<f64, MetricError> {
    let values = run.values(metric)?;
    Ok(values.iter().sum::<f64>() / values.len() as f64)
}

/// Paired test over users of values that are averaged over the runs with both systems.
fn difference(
    runs: &[FinishedRun],
    label: &str,
    other: &str,
    metric: Metric,
    bootstrap: &Bootstrap,
) -> Result<Option<PairedTest>, TrainError> {
    let mut users: BTreeMap<SampleId, (f64, f64)> = BTreeMap::new();
    let mut found: Option<&RankingRun<SampleId>> = None;
    for run in runs {
        let (Some(one), Some(two)) = (run.system(label), run.system(other)) else { continue };
        // Refuses pairs of other users, here and between the runs.
        one.compare(two, metric, bootstrap)?;
        if let Some(first) = found {
            one.compare(first, metric, bootstrap)?;
        }
        found = Some(one);
        let ids = one.placements().map(|(id, _)| *id);
        for ((id, one), two) in ids.zip(one.values(metric)?).zip(two.values(metric)?) {
            let sums = users.entry(id).or_default();
            *sums = (sums.0 + one, sums.1 + two);
        }
    }
    if found.is_none() {
        return Ok(None);
    }
    let count = runs
        .iter()
        .filter(|run| run.system(label).is_some() && run.system(other).is_some())
        .count() as f64;
    let (one, two): (Vec<f64>, Vec<f64>) =
        users.values().map(|(one, two)| (one / count, two / count)).unzip();
    Ok(Some(bootstrap.paired(&one, &two)?))
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use sidereal_corpus::UserId;
    use sidereal_metrics::{BootstrapConfig, Placement};

    use super::*;

    fn run(name: &str, systems: &[(&str, &[usize])]) -> FinishedRun {
        let ids = (0..).map(|user| SampleId::Event { user: UserId(user), position: 3 });
        let systems = systems.iter().map(|(label, ranks)| {
            let places = ranks.iter().map(|rank| match rank {
                0 => Placement::Absent,
                _ => Placement::tied(rank - 1, NonZeroUsize::MIN),
            });
            ((*label).to_owned(), ids.clone().zip(places).collect())
        });
        FinishedRun { name: name.to_owned(), systems: systems.collect() }
    }

    fn compare(runs: &[FinishedRun], against: &str) -> Result<RunComparison, TrainError> {
        let bootstrap = Bootstrap::try_from(BootstrapConfig::new(1)).unwrap();
        RunComparison::new(runs, "HR@1".parse().unwrap(), Some(against), &bootstrap)
    }

    #[test]
    fn users_are_averaged_over_the_runs_that_have_both_systems() {
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
    fn runs_over_other_users_are_refused() {
        let runs = [
            run("1", &[("sft", &[1, 0]), ("rl", &[1, 1])]),
            run("2", &[("sft", &[1, 0, 0]), ("rl", &[1, 1, 1])]),
        ];
        assert!(matches!(compare(&runs, "sft"), Err(TrainError::Metric(_))));
        assert!(matches!(compare(&runs, "ppo"), Err(TrainError::UnknownStage { .. })));
    }
}
