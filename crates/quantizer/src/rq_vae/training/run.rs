//! The training loop.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use ndarray::ArrayView2;
use rand::Rng;
use rand::seq::index;
use tch::{Device, Tensor};

use super::RqVaeTraining;
use crate::QuantizerError;
use crate::rq_vae::checkpoint::{self, Binding};
use crate::rq_vae::evaluation::{RqVaeEvaluation, RqVaeObserver, evaluate, first_codebooks};
use crate::rq_vae::layout::{Layout, Parameters};
use crate::rq_vae::letter::draw_positives;
use crate::rq_vae::levels::Levels;
use crate::rq_vae::params::Settings;
use crate::rq_vae::random::{Purpose, order, stream};
use crate::rq_vae::schedule::StopMetric;
use crate::rq_vae::start::{clusters_of, fill_codebook};
use crate::rq_vae::state::State;
use crate::rq_vae::step::{Batch, Step};
use crate::rq_vae::{RqVae, convert, mlp, through};

/// A training under way.
pub(super) struct Loop<'a> {
    settings: &'a Settings,
    host_rows: ArrayView2<'a, f32>,
    checkpoint: Option<(PathBuf, Binding)>,
    layout: Layout,
    device: Device,
    /// `[N, D]` and `[N, d]` on the device.
    rows: Tensor,
    collaborative: Option<Tensor>,
    state: State,
    gradients: Parameters,
    /// The order of the rows in the epoch under way.
    order: Option<(usize, Tensor)>,
    revived: usize,
    last_evaluation: usize,
    stepping: Duration,
}

impl<'a> Loop<'a> {
    pub(super) fn new(
        training: &'a RqVaeTraining<'_>,
        device: Device,
    ) -> Result<Self, QuantizerError> {
        let settings = training.params.settings();
        let host_rows = training.rows.view();
        let sizes = &settings.codebook_sizes;
        let layout = Layout::new(host_rows.ncols(), &settings.hidden, settings.latent, sizes);
        let checkpoint = training.checkpoint.clone().map(|path| {
            (path, Binding::new(&training.params, &host_rows, training.collaborative.as_ref()))
        });
        let mut state = State::new(&layout, settings.seed, device)?;
        if let Some((path, binding)) = &checkpoint {
            checkpoint::resume(path, binding, &layout, &mut state)?;
        }
        let collaborative = training.collaborative.as_ref();
        Ok(Self {
            settings,
            checkpoint,
            device,
            rows: convert::to_tensor(&host_rows, device)?,
            collaborative: collaborative.map(|c| convert::to_tensor(c, device)).transpose()?,
            last_evaluation: state.progress.step,
            state,
            gradients: Parameters::zeros(&layout, device)?,
            host_rows,
            layout,
            order: None,
            revived: 0,
            stepping: Duration::ZERO,
        })
    }

    pub(super) fn run(
        mut self,
        observer: &mut impl RqVaeObserver,
    ) -> Result<RqVae, QuantizerError> {
        let settings = self.settings;
        let batch_size = i64::try_from(settings.batch_size).unwrap_or(i64::MAX);
        let mut step = Step::new(&self.layout, &self.state.parameters, batch_size, self.device)?;
        let rows = mlp::empty(batch_size, self.layout.width(), self.device)?;
        while self.state.progress.step < settings.steps && !self.state.progress.stopped {
            self.join_levels()?;
            let start = Instant::now();
            self.step(&mut step, &rows)?;
            self.stepping += start.elapsed();
            let done = self.state.progress.step;
            if done.is_multiple_of(settings.evaluate_every) || done == settings.steps {
                let flow = observer.on_evaluation(&self.evaluation()?);
                if let Some((path, binding)) = &self.checkpoint {
                    checkpoint::write(path, binding, &self.state)?;
                }
                if flow.is_break() {
                    return Err(QuantizerError::Paused { step: done });
                }
            }
        }
        let levels = self.state.progress.initialised_levels;
        if let Some(best) = self.state.best {
            self.state.parameters.flat.f_copy_(&best)?;
        }
        RqVae::new(self.layout, self.state.parameters, levels)
    }

    /// Gives levels that take part from now on their first codebooks.
    fn join_levels(&mut self) -> Result<(), QuantizerError> {
        let active = self.settings.active_levels(self.state.progress.step);
        if self.state.progress.initialised_levels == active {
            return Ok(());
        }
        let parameters = &self.state.parameters;
        let latents = through(&parameters.encoder, self.host_rows.view(), self.device)?;
        let seed = self.settings.seed;
        for level in self.state.progress.initialised_levels..active {
            let before = match level {
                0 => None,
                _ => Some(first_codebooks(&self.state.parameters, level)?),
            };
            let parameters = &mut self.state.parameters;
            fill_codebook(parameters, level, before.as_ref(), &latents.view(), seed)?;
        }
        let progress = &mut self.state.progress;
        progress.initialised_levels = active;
        progress.usage_since = progress.step;
        self.state.usage.forget();
        self.cluster_codes()
    }

    /// Finds the clusters in which the diversity term looks for positives.
    fn cluster_codes(&mut self) -> Result<(), QuantizerError> {
        if self.settings.diversity_weight <= 0.0 {
            return Ok(());
        }
        let progress = &mut self.state.progress;
        progress.clusters.clear();
        for codebook in &self.state.parameters.codebooks[..progress.initialised_levels] {
            let seed = stream(self.settings.seed, Purpose::Clusters, progress.step).r#gen();
            let codebook = convert::to_array(codebook)?;
            let count = self.settings.diversity_clusters;
            progress.clusters.push(clusters_of(&codebook.view(), count, seed)?);
        }
        Ok(())
    }

    fn step(&mut self, step: &mut Step, rows: &Tensor) -> Result<(), QuantizerError> {
        let (settings, at) = (self.settings, self.state.progress.step);
        let chosen = self.chosen(at)?;
        let _ = self.rows.f_index_select_out(rows, 0, &chosen)?;
        let collaborative = self.collaborative.as_ref();
        let collaborative = collaborative.map(|c| c.f_index_select(0, &chosen)).transpose()?;
        let mut positives = Vec::new();
        let mut rng = stream(settings.seed, Purpose::Positives, at);
        for clusters in &self.state.progress.clusters {
            let drawn = draw_positives(clusters, &mut rng);
            positives.push(Tensor::f_from_slice(&drawn)?.f_to_device(self.device)?);
        }
        let batch = Batch {
            rows,
            collaborative: collaborative.as_ref(),
            positives: &positives,
            active: self.state.progress.initialised_levels,
        };
        let state = &mut self.state;
        let (terms, levels) = step.run(settings, &state.parameters, &self.gradients, &batch)?;
        let norm = state.optimiser.step(
            settings,
            at + 1,
            &mut state.parameters.flat,
            &mut self.gradients.flat,
        )?;
        state.record(&terms, &norm)?;
        state.progress.step = at + 1;
        if settings.revive_after > 0 {
            state.usage.record(&levels)?;
            if at + 1 - state.progress.usage_since >= settings.revive_after {
                self.revive(&levels)?;
            }
        }
        Ok(())
    }

    /// Indices `[B]` of the rows of a step.
    fn chosen(&mut self, step: usize) -> Result<Tensor, QuantizerError> {
        let batch = self.settings.batch_size;
        let batches = self.host_rows.nrows() / batch;
        let (epoch, index) = (step / batches, step % batches);
        let order = match self.order.take() {
            Some((of, order)) if of == epoch => order,
            _ => {
                let order = order(self.settings.seed, epoch, self.host_rows.nrows());
                Tensor::f_from_slice(&order)?.f_to_device(self.device)?
            }
        };
        let to_i64 = |value: usize| i64::try_from(value).unwrap_or(i64::MAX);
        let chosen = order.f_narrow(0, to_i64(index * batch), to_i64(batch))?;
        self.order = Some((epoch, order));
        Ok(chosen)
    }

    /// Moves the codes that no row had to residuals of random rows of the batch, with fresh
    /// moments.
    fn revive(&mut self, levels: &Levels) -> Result<(), QuantizerError> {
        let state = &mut self.state;
        let mut rng = stream(self.settings.seed, Purpose::Revival, state.progress.step);
        let moments = [&state.optimiser.first, &state.optimiser.second];
        let [mut first, mut second] = [
            Parameters::over(&self.layout, moments[0].shallow_clone())?,
            Parameters::over(&self.layout, moments[1].shallow_clone())?,
        ];
        for level in 0..levels.codes.len() {
            let mut dead = state.usage.dead(level)?;
            dead.truncate(self.settings.batch_size);
            if dead.is_empty() {
                continue;
            }
            let drawn = index::sample(&mut rng, self.settings.batch_size, dead.len());
            let drawn: Vec<i64> =
                drawn.iter().map(|row| i64::try_from(row).unwrap_or(i64::MAX)).collect();
            let dead_codes = Tensor::f_from_slice(&dead)?.f_to_device(self.device)?;
            let drawn = Tensor::f_from_slice(&drawn)?.f_to_device(self.device)?;
            let residuals = levels.residual(level).f_index_select(0, &drawn)?;
            let _ = state.parameters.codebooks[level].f_index_copy_(0, &dead_codes, &residuals)?;
            for moments in [&mut first, &mut second] {
                let _ = moments.codebooks[level].f_index_fill_(0, &dead_codes, 0.0)?;
            }
            self.revived += dead.len();
        }
        state.usage.forget();
        state.progress.usage_since = state.progress.step;
        Ok(())
    }

    fn evaluation(&mut self) -> Result<RqVaeEvaluation, QuantizerError> {
        let settings = self.settings;
        let step = self.state.progress.step;
        let steps = step - self.last_evaluation;
        self.last_evaluation = step;
        let losses = self.state.take_losses(settings, steps)?;
        if !losses.total.is_finite() {
            return Err(QuantizerError::Diverged { step, loss: losses.total });
        }
        let seconds = std::mem::take(&mut self.stepping).as_secs_f64();
        let levels = self.state.progress.initialised_levels;
        let (quality, reconstruction) = evaluate(&self.state.parameters, levels, &self.host_rows)?;
        let complete = levels == settings.codebook_sizes.len();
        let best = complete && self.judge(quality.collision_rate, reconstruction);
        self.cluster_codes()?;
        Ok(RqVaeEvaluation {
            step,
            losses,
            reconstruction,
            quality,
            revived: std::mem::take(&mut self.revived),
            best,
            steps_per_second: steps as f64 / seconds,
        })
    }

    /// Early stopping: whether this evaluation is the best so far.
    fn judge(&mut self, collision_rate: f64, reconstruction: f64) -> bool {
        let Some(stop) = self.settings.early_stop else { return false };
        let value = match stop.metric {
            StopMetric::CollisionRate => collision_rate,
            StopMetric::Reconstruction => reconstruction,
        };
        let progress = &mut self.state.progress;
        let best = progress.best_value.is_none_or(|best| value < best);
        if best {
            progress.best_value = Some(value);
            progress.stale = 0;
            self.state.best = Some(self.state.parameters.flat.copy());
        } else {
            progress.stale += 1;
            progress.stopped = progress.stale >= stop.patience;
        }
        best
    }
}
