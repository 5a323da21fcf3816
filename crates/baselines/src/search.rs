//! Settings chosen on validation cases.

use std::fmt::Display;

use serde::{Deserialize, Serialize};
use sidereal_metrics::{Mean, Metric, SeenItems};
use sidereal_sid::ItemId;

use crate::transition::PairWeights;
use crate::{BaselineError, Case, Transition, TransitionConfig, evaluate};

/// A grid of [`TransitionConfig`]s, the metric to compare them, and the walk that looks for the
/// best.
///
/// The walk begins at the point of the grid nearest to the default settings. It tries all values of
/// one setting with the others as they are, and keeps the best; then the next setting, in the order
/// damping, decay, backward, window, again and again until no setting alone improves. So no change
/// of one setting improves the result, but another corner of the grid may still be better. The walk
/// tries a few dozen of the hundreds of points.
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
        let mut walk = Walk {
            search: self,
            num_items,
            sequences,
            cases,
            pairs: None,
            places: Vec::new(),
            trials: Vec::new(),
        };
        let lengths = self.check()?;
        let start = TransitionConfig::default();
        let mut at = [
            nearest(&self.damping, start.damping),
            nearest(&self.decay, start.decay),
            nearest(&self.backward, start.backward),
            nearest(
                &self.window.iter().map(|w| *w as f64).collect::<Vec<_>>(),
                start.window as f64,
            ),
        ];
        let mut value = walk.value(at)?;
        // A setting is not tried again until another one has changed.
        let mut unmoved = 0;
        for setting in (0..lengths.len()).cycle() {
            if unmoved == lengths.len() {
                break;
            }
            unmoved += 1;
            let from = at;
            for place in 0..lengths[setting] {
                let mut next = from;
                next[setting] = place;
                let found = walk.value(next)?;
                if found > value {
                    (at, value, unmoved) = (next, found, 1);
                }
            }
        }
        let trials = walk.trials;
        let best =
            trials.iter().reduce(|best, next| if next.value > best.value { next } else { best });
        match best.cloned() {
            Some(best) => Ok(Selection { best, trials }),
            None => Err(BaselineError::EmptyGrid { field: "window" }),
        }
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

/// What a walk has counted and tried so far.
struct Walk<'a, 'c, Q, S> {
    search: &'a TransitionSearch,
    num_items: usize,
    sequences: &'a [Q],
    cases: &'a [Case<'c, S>],
    /// The pairs of one window and backward weight: damping and decay need no new ones.
    pairs: Option<([usize; 2], PairWeights)>,
    /// The place of each trial on the grid.
    places: Vec<[usize; 4]>,
    trials: Vec<Trial>,
}

impl<Q, S> Walk<'_, '_, Q, S>
where
    Q: AsRef<[ItemId]>,
    S: Clone + Ord + Display + Sync,
{
    /// The metric at places of damping, decay, backward and window.
    fn value(&mut self, at: [usize; 4]) -> Result<f64, BaselineError> {
        if let Some(tried) = self.places.iter().position(|place| *place == at) {
            return Ok(self.trials[tried].value);
        }
        let (search, [damping, decay, backward, window]) = (self.search, at);
        let config = TransitionConfig::default()
            .with_damping(search.damping[damping])
            .with_decay(search.decay[decay])
            .with_backward(search.backward[backward])
            .with_window(search.window[window]);
        let settings = Transition::try_from(config.clone())?;
        let counted = match self.pairs.take() {
            Some((of, pairs)) if of == [backward, window] => pairs,
            _ => {
                let TransitionConfig { window, backward, .. } = config;
                PairWeights::count(self.num_items, self.sequences, window, backward)?
            }
        };
        let model = counted.damped(config.decay, config.damping);
        self.pairs = Some(([backward, window], counted));
        let run = evaluate(&model, self.cases, search.seen_items)?;
        let mean: Mean = run.values(search.metric)?.into_iter().collect();
        let value = mean.value().ok_or(sidereal_metrics::MetricError::NoUsers)?;
        self.places.push(at);
        self.trials.push(Trial { settings, value });
        Ok(value)
    }
}
