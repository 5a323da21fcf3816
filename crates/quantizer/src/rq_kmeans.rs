//! Residual k-means: one k-means run for each level, on the residuals of the levels before.

use std::ops::ControlFlow;

use linfa::DatasetBase;
use linfa::traits::{Fit, PredictInplace};
use ndarray::{Array2, ArrayBase, ArrayView2, Data, Ix2};
use rand::SeedableRng;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;
use sidereal_sid::Code;

use crate::codebooks::to_code;
use crate::kmeans::{Clustering, Limits, lloyd, settle};
use crate::rows::{Residuals, Table, check, check_width};
use crate::{Codebooks, QuantizerError, RqKMeansParams, RqKMeansValidParams};

/// Codebooks fitted by residual k-means (RQ-KMeans), with the codes of the fitted rows.
///
/// Level by level: k-means on the residuals, code = index of the nearest centroid, residual minus
/// that centroid. SINGER §2.1, GREAM §3.1.2. The squared error never grows from a level to the
/// next. With a [`Balance`](crate::Balance), a row's code is that of the assignment of least
/// squared error among those that keep the capacities (SINGER app. B).
///
/// Equal settings give equal codebooks on the same kind of processor, whatever the number of
/// threads. With fewer distinct rows than codes, the surplus codes repeat a centroid and stay
/// unused.
///
/// # Examples
/// ```
/// use linfa::prelude::*;
/// use ndarray::array;
/// use sidereal_quantizer::RqKMeans;
///
/// let embeddings = array![[0.0f32, 0.1], [0.0, -0.1], [5.0, 0.1], [5.0, -0.1]];
/// let model = RqKMeans::params([2, 2], 7).fit(&DatasetBase::from(embeddings.view()))?;
/// let codes = model.predict(&embeddings);
/// assert_eq!(codes.row(0)[0], codes.row(1)[0]);   // same first code,
/// assert_ne!(codes.row(0)[1], codes.row(1)[1]);   // told apart by the second
/// let back = model.codebooks().decode(codes.view())?;
/// assert!((&back - &embeddings).iter().all(|error| error.abs() < 1e-6));
/// # Ok::<(), sidereal_quantizer::QuantizerError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct RqKMeans {
    codebooks: Codebooks,
    codes: Array2<Code>,
    levels: Vec<LevelFit>,
}

/// How the k-means run of one level ended.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct LevelFit {
    /// Squared error `Σ_i ‖r_i - c_code(i)‖²` over all fitted rows.
    pub inertia: f64,
    /// Iterations of the run that was kept.
    pub iterations: usize,
}

/// One iteration of a fit, as an observer sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct FitStep {
    /// The level, from 0.
    pub level: usize,
    /// The run of that level, from 0.
    pub restart: usize,
    /// The iteration of that run, from 1.
    pub iteration: usize,
    /// Squared error of the iteration's codes against the centroids it began with, over the rows
    /// that centroids are fitted to.
    pub inertia: f64,
}

/// Watches a fit and may end it. Every `FnMut(&FitStep) -> ControlFlow<()>` is one.
pub trait FitObserver {
    /// Called after each assignment; `Break` ends the fit with [`QuantizerError::Interrupted`].
    fn on_step(&mut self, step: &FitStep) -> ControlFlow<()>;
}

impl<F: FnMut(&FitStep) -> ControlFlow<()>> FitObserver for F {
    fn on_step(&mut self, step: &FitStep) -> ControlFlow<()> {
        self(step)
    }
}

impl RqKMeans {
    /// Settings to fit with; see [`RqKMeansParams`].
    #[must_use]
    pub fn params(codebook_sizes: impl Into<Vec<usize>>, seed: u64) -> RqKMeansParams {
        RqKMeansParams::new(codebook_sizes, seed)
    }

    /// The fitted centroids.
    #[must_use]
    pub const fn codebooks(&self) -> &Codebooks {
        &self.codebooks
    }

    /// Codes `[N, L]` of the rows that the fit saw.
    #[must_use]
    pub const fn codes(&self) -> &Array2<Code> {
        &self.codes
    }

    /// How each level's run ended, coarsest first.
    #[must_use]
    pub fn levels(&self) -> &[LevelFit] {
        &self.levels
    }
}

impl RqKMeansValidParams {
    /// Fits codebooks to `rows` `[N, D]` and reports each iteration to `observer`.
    ///
    /// # Errors
    /// [`QuantizerError::EmptyMatrix`], [`QuantizerError::NotFinite`], which names the row, and
    /// [`QuantizerError::Interrupted`].
    pub fn fit_observed(
        &self,
        rows: ArrayView2<'_, f32>,
        observer: &mut impl FitObserver,
    ) -> Result<RqKMeans, QuantizerError> {
        self.fit_levels(rows, None, observer)
    }

    /// Fits as [`fit_observed`](Self::fit_observed) does, from these centroids instead of chosen
    /// ones, in a single run: a warm start, for a catalogue that has grown.
    ///
    /// # Errors
    /// Those of [`fit_observed`](Self::fit_observed), [`QuantizerError::Width`], and
    /// [`QuantizerError::FirstSizes`] if `first` has other codebook sizes than the settings.
    pub fn fit_from(
        &self,
        first: &Codebooks,
        rows: ArrayView2<'_, f32>,
        observer: &mut impl FitObserver,
    ) -> Result<RqKMeans, QuantizerError> {
        check_width(&rows, first)?;
        if first.sizes() != self.codebook_sizes() {
            let (found, expected) = (first.sizes(), self.codebook_sizes().to_vec());
            return Err(QuantizerError::FirstSizes { found, expected });
        }
        self.fit_levels(rows, Some(first), observer)
    }

    fn fit_levels(
        &self,
        rows: ArrayView2<'_, f32>,
        first: Option<&Codebooks>,
        observer: &mut impl FitObserver,
    ) -> Result<RqKMeans, QuantizerError> {
        check(&rows)?;
        let mut before: Vec<(Table, Vec<Code>)> = Vec::new();
        let mut levels = Vec::new();
        for (level, size) in self.codebook_sizes().iter().enumerate() {
            let residuals = Residuals { matrix: rows.view(), before: &before };
            let first = first.and_then(|first| first.tables().get(level));
            let fitted = self.fit_level(&residuals, level, *size, first, observer)?;
            levels.push(LevelFit { inertia: fitted.inertia, iterations: fitted.iterations });
            before.push((fitted.table, fitted.codes.into_iter().map(to_code).collect()));
        }
        let mut codes = Array2::zeros((rows.nrows(), before.len()));
        for (mut column, (_, level)) in codes.columns_mut().into_iter().zip(&before) {
            column.iter_mut().zip(level).for_each(|(code, level)| *code = *level);
        }
        let tables = before.into_iter().map(|(table, _)| table).collect();
        Ok(RqKMeans { codebooks: Codebooks::from_tables(tables, rows.ncols()), codes, levels })
    }

    fn fit_level(
        &self,
        residuals: &Residuals<'_>,
        level: usize,
        size: usize,
        first: Option<&Table>,
        observer: &mut impl FitObserver,
    ) -> Result<Clustering, QuantizerError> {
        let Some(sample) = self.sample(residuals, level, size) else {
            return self.best_run(residuals, level, size, first, observer);
        };
        let sample = Residuals { matrix: sample.view(), before: &[] };
        let best = self.best_run(&sample, level, size, first, observer)?;
        Ok(settle(residuals, best.table, self.balance(), best.iterations))
    }

    /// The best of all runs of a level.
    fn best_run(
        &self,
        rows: &Residuals<'_>,
        level: usize,
        size: usize,
        first: Option<&Table>,
        observer: &mut impl FitObserver,
    ) -> Result<Clustering, QuantizerError> {
        let limits = Limits {
            balance: self.balance(),
            max_iterations: self.max_iterations(),
            tolerance: self.tolerance(),
        };
        let mut best: Option<Clustering> = None;
        for restart in 0..if first.is_some() { 1 } else { self.restarts() } {
            let mut rng = self.rng(level, restart as u64);
            let centroids = match first {
                Some(first) => first.clone(),
                None => self.init().centroids(rows, size, &mut rng),
            };
            let mut reached = 0;
            let run = lloyd(rows, centroids, limits, |iteration, inertia| {
                reached = iteration;
                observer.on_step(&FitStep { level, restart, iteration, inertia })
            });
            let Some(run) = run else {
                return Err(QuantizerError::Interrupted { level, iteration: reached });
            };
            if best.as_ref().is_none_or(|best| run.inertia < best.inertia) {
                best = Some(run);
            }
        }
        best.ok_or(QuantizerError::Restarts)
    }

    fn rng(&self, level: usize, stream: u64) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed());
        rng.set_stream(((level as u64) << 32) + stream);
        rng
    }

    /// The residuals of the rows that centroids are fitted to; `None` for all rows.
    fn sample(&self, residuals: &Residuals<'_>, level: usize, size: usize) -> Option<Array2<f32>> {
        let most = self.max_rows_per_code()?.saturating_mul(size);
        if residuals.num_rows() <= most {
            return None;
        }
        let mut rng = self.rng(level, u64::from(u32::MAX));
        let mut chosen = index::sample(&mut rng, residuals.num_rows(), most).into_vec();
        chosen.sort_unstable();
        let mut values = Vec::with_capacity(most * residuals.width());
        residuals.gather(&chosen, &mut values);
        Array2::from_shape_vec((most, residuals.width()), values).ok()
    }
}

impl<D: Data<Elem = f32>, T> Fit<ArrayBase<D, Ix2>, T, QuantizerError> for RqKMeansValidParams {
    type Object = RqKMeans;

    fn fit(&self, dataset: &DatasetBase<ArrayBase<D, Ix2>, T>) -> Result<RqKMeans, QuantizerError> {
        self.fit_observed(dataset.records().view(), &mut |_: &FitStep| ControlFlow::Continue(()))
    }
}

/// linfa's prediction. It cannot return an error, so it panics where [`Codebooks::encode`] returns
/// one.
impl<D: Data<Elem = f32>> PredictInplace<ArrayBase<D, Ix2>, Array2<Code>> for RqKMeans {
    /// # Panics
    /// On rows of another width or with values that are not finite, and on a target of another
    /// shape.
    #[allow(clippy::panic, reason = "the trait has no error; `Codebooks::encode` has")]
    fn predict_inplace<'a>(&'a self, rows: &'a ArrayBase<D, Ix2>, codes: &mut Array2<Code>) {
        match self.codebooks.encode(rows.view()) {
            Ok(found) => codes.assign(&found),
            Err(error) => panic!("{error}"),
        }
    }

    fn default_target(&self, rows: &ArrayBase<D, Ix2>) -> Array2<Code> {
        Array2::zeros((rows.nrows(), self.codebooks.num_levels()))
    }
}
