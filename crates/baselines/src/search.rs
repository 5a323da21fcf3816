//! Settings chosen on validation cases.

use std::fmt::Display;

use serde::{Deserialize, Serialize};
use sidereal_metrics::{Mean, Metric, SeenItems};
use sidereal_sid::ItemId;

use crate::transition::PairWeights;
use crate::{BaselineError, Case, Transition, TransitionConfig, evaluate};

/// A grid of [`TransitionConfig`]s and how to judge them.
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
    /// Every trial, in grid order: window, backward, decay, damping, the last varying fastest.
    pub trials: Vec<Trial>,
}

impl TransitionSearch {
    /// 54 points, the default settings among them.
    #[must_use]
    pub fn new(metric: Metric, seen_items: SeenItems) -> Self {
        Self {
            metric,
            seen_items,
            window: vec![4, 8],
            backward: vec![0.1, 0.25, 0.5],
            decay: vec![0.2, 0.4, 0.6],
            damping: vec![0.1, 0.2, 0.35],
        }
    }

    /// Fits every point of the grid on `sequences` and judges it on the validation `cases`.
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
        let mut trials = Vec::new();
        for &window in &self.window {
            for &backward in &self.backward {
                let config =
                    TransitionConfig::default().with_window(window).with_backward(backward);
                Transition::try_from(config.clone())?;
                let pairs = PairWeights::count(num_items, sequences, window, backward)?;
                for &decay in &self.decay {
                    for &damping in &self.damping {
                        let config = config.clone().with_decay(decay).with_damping(damping);
                        let settings = Transition::try_from(config)?;
                        let model = pairs.damped(decay, damping);
                        let run = evaluate(&model, cases, self.seen_items)?;
                        let mean: Mean = run.values(self.metric)?.into_iter().collect();
                        let value = mean.value().ok_or(sidereal_metrics::MetricError::NoUsers)?;
                        trials.push(Trial { settings, value });
                    }
                }
            }
        }
        let best =
            trials.iter().reduce(|best, next| if next.value > best.value { next } else { best });
        match best.cloned() {
            Some(best) => Ok(Selection { best, trials }),
            None => Err(BaselineError::EmptyGrid { field: self.empty_field() }),
        }
    }

    fn empty_field(&self) -> &'static str {
        if self.window.is_empty() {
            "window"
        } else if self.backward.is_empty() {
            "backward"
        } else if self.decay.is_empty() {
            "decay"
        } else {
            "damping"
        }
    }
}
