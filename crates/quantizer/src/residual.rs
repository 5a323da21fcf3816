//! Residual quantisation by any clusterer that implements linfa's traits.

use std::error::Error;

use linfa::DatasetBase;
use linfa::traits::{Fit, Predict};
use ndarray::{Array1, Array2, ArrayView2, Axis};
use sidereal_sid::{Code, SidSpec};

use crate::codebooks::to_code;
use crate::rows::check;
use crate::{Codebooks, QuantizerError};

/// A clusterer for each level, coarsest first, and how many codes the level has.
///
/// A clusterer is anything with linfa's [`Fit`] whose fitted form has linfa's [`Predict`] into
/// cluster numbers from 0: those of `linfa-clustering`, or your own.
///
/// ```text
/// r[0] = x,   code[l] = predict_l(r[l]),   c[l, k] = mean of the fitted r[l] with code k
/// r[l + 1] = r[l] - c[l, code[l]]
/// ```
/// The centroids are means of what a cluster holds, so a clusterer need not have any.
///
/// ```
/// use linfa_clustering::KMeans;
/// use ndarray::array;
/// use sidereal_quantizer::ResidualParams;
///
/// let rows = array![[0.0f32, 0.1], [0.0, -0.1], [5.0, 0.1], [5.0, -0.1]];
/// let model = ResidualParams::new([(2, KMeans::params(2)), (2, KMeans::params(2))]).fit(rows.view())?;
/// let codes = model.codes();
/// assert_eq!(codes.row(0)[0], codes.row(1)[0]);   // same first code,
/// assert_ne!(codes.row(0)[1], codes.row(1)[1]);   // told apart by the second
/// assert_eq!(&model.encode(rows.view())?, codes);
/// # Ok::<(), sidereal_quantizer::QuantizerError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ResidualParams<P> {
    levels: Vec<(usize, P)>,
}

/// What [`ResidualParams`] fitted: a clusterer and a codebook for each level.
///
/// [`Codebooks::encode`] gives a row the nearest centroids; [`encode`](Self::encode) asks the
/// clusterers, which need not choose the nearest.
#[derive(Debug, Clone, PartialEq)]
pub struct ResidualQuantizer<M> {
    models: Vec<M>,
    codebooks: Codebooks,
    codes: Array2<Code>,
}

impl<P> ResidualParams<P> {
    /// Codebook size and clusterer of each level.
    #[must_use]
    pub fn new(levels: impl IntoIterator<Item = (usize, P)>) -> Self {
        Self { levels: levels.into_iter().collect() }
    }

    /// Fits level by level to `rows` `[N, D]`. Unused codes repeat the centroid of a used one.
    ///
    /// # Errors
    /// [`QuantizerError::Sizes`], [`QuantizerError::EmptyMatrix`] and
    /// [`QuantizerError::NotFinite`]; [`QuantizerError::Clusterer`] if a clusterer fails,
    /// [`QuantizerError::Label`] and [`QuantizerError::Labels`] if its predictions are not codes of
    /// its level.
    pub fn fit<E, M>(
        &self,
        rows: ArrayView2<'_, f32>,
    ) -> Result<ResidualQuantizer<M>, QuantizerError>
    where
        P: Fit<Array2<f32>, Array1<()>, E, Object = M>,
        E: Error + From<linfa::Error> + Send + Sync + 'static,
        M: for<'a> Predict<&'a Array2<f32>, Array1<usize>>,
    {
        SidSpec::new(self.levels.iter().map(|(size, _)| *size).collect(), 0)?;
        check(&rows)?;
        let mut residuals = DatasetBase::from(rows.to_owned());
        let mut codes = Array2::zeros((rows.nrows(), self.levels.len()));
        let (mut models, mut tables) = (Vec::new(), Vec::new());
        for (level, (size, params)) in self.levels.iter().enumerate() {
            let model = params
                .fit(&residuals)
                .map_err(|source| QuantizerError::Clusterer { level, source: Box::new(source) })?;
            let labels = labels(&model, &residuals.records, level, *size)?;
            let table = means(&residuals.records, &labels, *size);
            subtract(&mut residuals.records, &labels, &table);
            codes.column_mut(level).assign(&labels);
            models.push(model);
            tables.push(table);
        }
        Ok(ResidualQuantizer { models, codebooks: Codebooks::new(tables)?, codes })
    }
}

impl<M> ResidualQuantizer<M> {
    /// The fitted clusterers, coarsest first.
    #[must_use]
    pub fn models(&self) -> &[M] {
        &self.models
    }

    /// The centroid of each code.
    #[must_use]
    pub const fn codebooks(&self) -> &Codebooks {
        &self.codebooks
    }

    /// Codes `[N, L]` of the rows that the fit saw.
    #[must_use]
    pub const fn codes(&self) -> &Array2<Code> {
        &self.codes
    }

    /// Codes `[N, L]` that the clusterers give to `rows` `[N, D]`.
    ///
    /// # Errors
    /// Those of [`ResidualParams::fit`] except `Clusterer`, and [`QuantizerError::Width`].
    pub fn encode(&self, rows: ArrayView2<'_, f32>) -> Result<Array2<Code>, QuantizerError>
    where
        M: for<'a> Predict<&'a Array2<f32>, Array1<usize>>,
    {
        check(&rows)?;
        crate::rows::check_width(&rows, &self.codebooks)?;
        let mut residuals = rows.to_owned();
        let mut codes = Array2::zeros((rows.nrows(), self.models.len()));
        for (level, model) in self.models.iter().enumerate() {
            let Some(table) = self.codebooks.level(level) else { break };
            let labels = labels(model, &residuals, level, table.nrows())?;
            subtract(&mut residuals, &labels, &table.to_owned());
            codes.column_mut(level).assign(&labels);
        }
        Ok(codes)
    }
}

/// The codes that a fitted clusterer gives to rows.
fn labels<M>(
    model: &M,
    rows: &Array2<f32>,
    level: usize,
    size: usize,
) -> Result<Array1<Code>, QuantizerError>
where
    M: for<'a> Predict<&'a Array2<f32>, Array1<usize>>,
{
    let labels = model.predict(rows);
    if labels.len() != rows.nrows() {
        let (found, expected) = (labels.len(), rows.nrows());
        return Err(QuantizerError::Labels { level, found, expected });
    }
    match labels.iter().position(|label| *label >= size) {
        Some(row) => Err(QuantizerError::Label { level, row, found: labels[row], size }),
        None => Ok(labels.mapv(|label| to_code(u32::try_from(label).unwrap_or(u32::MAX)))),
    }
}

/// Mean `[K, D]` of the rows of each code.
#[allow(clippy::cast_possible_truncation, reason = "centroids are f32, as rows are")]
fn means(rows: &Array2<f32>, labels: &Array1<Code>, size: usize) -> Array2<f32> {
    let mut sums = Array2::<f64>::zeros((size, rows.ncols()));
    let mut counts = vec![0usize; size];
    for (row, label) in rows.rows().into_iter().zip(labels) {
        let label = usize::from(*label);
        counts[label] += 1;
        sums.row_mut(label).iter_mut().zip(row).for_each(|(sum, v)| *sum += f64::from(*v));
    }
    for (mut sum, count) in sums.axis_iter_mut(Axis(0)).zip(&counts) {
        sum /= (*count).max(1) as f64;
    }
    // A used code before an unused one, else the first used: ties go to lower codes. Without rows all means are
    // zero.
    let mut used = counts.iter().position(|count| *count > 0).unwrap_or(0);
    let mut means = sums.mapv(|mean| mean as f32);
    for (code, count) in counts.iter().enumerate() {
        if *count > 0 {
            used = code;
        } else {
            let other = means.row(used).to_owned();
            means.row_mut(code).assign(&other);
        }
    }
    means
}

/// Takes from each row the centroid of its code.
fn subtract(rows: &mut Array2<f32>, labels: &Array1<Code>, table: &Array2<f32>) {
    for (mut row, label) in rows.rows_mut().into_iter().zip(labels) {
        row -= &table.row(usize::from(*label));
    }
}
