//! Settings chosen on validation cases.

use std::fmt::Display;

use serde::{Deserialize, Serialize};
use sidereal_metrics::{Mean, Metric, SeenItems};
use sidereal_sid::ItemId;

use crate::transition::PairWeights;
use crate::{BaselineError, Case, Transition, TransitionConfig, evaluate, walk};

/// A grid of [`TransitionConfig`]s, and the metric to compare them.
///
/// The [walk](crate::walk()) begins at the point of the grid nearest to the default settings; its axes are
/// damping, decay, backward and window, in this order. It tries a few dozen of the hundreds of points.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TransitionSearch {
    /// What is maximised: a metric of the target's rank.
    pub metric: Metric,
    /// Whether seen items compete while settings are chosen.
    pub seen_items: SeenItems,
    /// Values of [`TransitionConfig::window`].
    pub window: Vec<usize>,
    /// Values of [`TransitionConfig::backward`].
    pub backward: Vec<f64>,
    /// Values of [`TransitionConfig::decay`].
    pub decay: Vec<f64>,
    /// Values of [`TransitionConfig::damping`].
    pub damping: Vec<f64>,
}

/// One point of the grid.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Trial {
    /// The settings.
    pub settings: Transition,
    /// Mean of the metric over the cases.
    pub value: f64,
}

/// The outcome of a search.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Selection {
    /// The first of the best trials.
    pub best: Trial,
    /// Every trial, in the order of the walk; no point of the grid twice.
    pub trials: Vec<Trial>,
}

impl TransitionSearch {
    /// A grid of 1,050 points, the default settings among them, of which the walk tries a few dozen.
    #[must_use]
    pub fn new(metric: Metric, seen_items: SeenItems) -> Self {
        Self {
            metric,
            seen_items,
            window: vec![1, 2, 4, 8, 16],
            backward: vec![0.0, 0.1, 0.25, 0.5, 1.0],
            decay: vec![0.2, 0.4, 0.5, 0.6, 0.75, 0.9],
            damping: vec![0.0, 0.1, 0.2, 0.3, 0.35, 0.4, 0.5],
        }
    }

    /// A wider grid of 1,960 points, which a leaderboard searches: from no pairs against their order
    /// at all, and from pairs of neighbours alone to windows of 20.
    #[must_use]
    pub fn wide(metric: Metric, seen_items: SeenItems) -> Self {
        Self {
            metric,
            seen_items,
            window: vec![1, 2, 4, 6, 8, 12, 20],
            backward: vec![0.0, 0.1, 0.25, 0.5, 1.0],
            decay: vec![0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9],
            damping: vec![0.0, 0.1, 0.2, 0.3, 0.35, 0.4, 0.5],
        }
    }

    /// Fits the points of the walk on `sequences` and evaluates them on the validation `cases`.
    ///
    /// # Errors
    /// [`BaselineError::EmptyGrid`], [`BaselineError::Setting`] if a point is out of range, and
    /// those of [`evaluate`]; [`BaselineError::Metric`] without cases.
    pub fn run<Q, S>(
        &self,
        num_items: usize,
        sequences: &[Q],
        cases: &[Case<'_, S>],
    ) -> Result<Selection, BaselineError>
    where
        Q: AsRef<[ItemId]>,
        S: Clone + Ord + Display + Sync,
    {
        let lengths = self.check()?;
        let mut counted = Counted { search: self, num_items, sequences, cases, pairs: None };
        let start = TransitionConfig::default();
        let windows: Vec<f64> = self.window.iter().map(|window| *window as f64).collect();
        let at = vec![
            nearest(&self.damping, start.damping),
            nearest(&self.decay, start.decay),
            nearest(&self.backward, start.backward),
            nearest(&windows, start.window as f64),
        ];
        let tried = walk(&lengths, at, |at| counted.value(&self.settings(at)?).map(Some))?;
        let trial = |(at, value): (Vec<usize>, f64)| {
            self.settings(&at).map(|settings| Trial { settings, value })
        };
        let trials = tried.into_iter().map(trial).collect::<Result<Vec<_>, _>>()?;
        let best =
            trials.iter().reduce(|best, next| if next.value > best.value { next } else { best });
        match best.cloned() {
            Some(best) => Ok(Selection { best, trials }),
            None => Err(BaselineError::EmptyGrid { field: "window" }),
        }
    }

    /// The settings at places of damping, decay, backward and window.
    fn settings(&self, at: &[usize]) -> Result<Transition, BaselineError> {
        let [damping, decay, backward, window] = *at else {
            return Err(BaselineError::EmptyGrid { field: "window" });
        };
        let config = TransitionConfig::default()
            .with_damping(self.damping[damping])
            .with_decay(self.decay[decay])
            .with_backward(self.backward[backward])
            .with_window(self.window[window]);
        Transition::try_from(config)
    }

    /// Numbers of values: damping, decay, backward, window.
    fn check(&self) -> Result<[usize; 4], BaselineError> {
        let lengths = [
            ("damping", self.damping.len()),
            ("decay", self.decay.len()),
            ("backward", self.backward.len()),
            ("window", self.window.len()),
        ];
        if let Some((field, _)) = lengths.into_iter().find(|(_, length)| *length == 0) {
            return Err(BaselineError::EmptyGrid { field });
        }
        Ok(lengths.map(|(_, length)| length))
    }
}

/// The place of the value nearest to `wanted`, the first of equals; grids without values were refused.
fn nearest(values: &[f64], wanted: f64) -> usize {
    let gap = |place: &usize| (values[*place] - wanted).abs();
    (0..values.len()).min_by(|a, b| gap(a).total_cmp(&gap(b))).unwrap_or(0)
}

/// What a search has counted so far.
struct Counted<'a, 'c, Q, S> {
    search: &'a TransitionSearch,
    num_items: usize,
    sequences: &'a [Q],
    cases: &'a [Case<'c, S>],
    /// The pairs of one window and backward weight: damping and decay need no new ones.
    pairs: Option<((usize, f64), PairWeights)>,
}

impl<Q, S> Counted<'_, '_, Q, S>
where
    Q: AsRef<[ItemId]>,
    S: Clone + Ord + Display + Sync,
{
    /// The metric with these settings.
    #[allow(clippy::float_cmp, reason = "the same value of the grid")]
    fn value(&mut self, settings: &Transition) -> Result<f64, BaselineError> {
        let TransitionConfig { window, backward, decay, damping } = *settings.config();
        let counted = match self.pairs.take() {
            Some((of, pairs)) if of == (window, backward) => pairs,
            _ => PairWeights::count(self.num_items, self.sequences, window, backward)?,
        };
        let model = counted.damped(decay, damping);
        self.pairs = Some(((window, backward), counted));
        let run = evaluate(&model, self.cases, self.search.seen_items)?;
        let mean: Mean = run.values(self.search.metric)?.into_iter().collect();
        Ok(mean.value().ok_or(sidereal_metrics::MetricError::NoUsers)?)
    }
}
