//! Prices at which nearly every code is chosen as often as its capacity says.
//!
//! The assignment under capacities is a transport problem. Its dual asks for prices at which each
//! code is the cheapest of as many rows as it may hold. Rows near the border of two codes tell how
//! many of them change sides when one price moves against the other: those counts are the dual's
//! Hessian, the Laplacian of a graph of codes, and prices move by Newton steps.

/// Largest number of passes over the rows of a final assignment, and of passes without progress.
pub(super) const PASSES: usize = 30;
const PATIENCE: usize = 6;
/// Damping of the first step, near that of a step code by code, and of steps that went well.
const DAMPING: f64 = 2.0;
const LEAST_DAMPING: f64 = 0.05;
/// First width of the band within which rows count as near a border, in mean gaps.
const FIRST_BAND: f64 = 1.0;
/// Largest number of steps of the linear solver, and the residual at which it stops.
const STEPS: usize = 40;
const RESIDUAL: f64 = 1e-2;

/// How rows choose at given prices.
#[derive(Debug)]
pub(super) struct Tally {
    /// Rows whose cheapest code it is, `[K]`.
    chosen: Vec<usize>,
    /// The cheapest and the second code of each row whose gap between both is within the band.
    border: Vec<(u32, u32)>,
    /// Sum over rows of that gap.
    gaps: f64,
    band: f64,
}

impl Tally {
    pub(super) fn new(codes: usize, band: f64) -> Self {
        Self { chosen: vec![0; codes], border: Vec::new(), gaps: 0.0, band }
    }

    /// Counts a row by its cheapest code and the gap to its second; whether they
    /// [`meet`](Self::meet).
    pub(super) fn add(&mut self, first: u32, gap: f32) -> bool {
        self.chosen[first as usize] += 1;
        if gap.is_finite() {
            self.gaps += f64::from(gap);
        }
        f64::from(gap) < self.band
    }

    /// Counts a row near the border of two codes.
    pub(super) fn meet(&mut self, one: u32, other: u32) {
        self.border.push((one.min(other), one.max(other)));
    }

    pub(super) fn total(codes: usize, band: f64, parts: Vec<Self>) -> Self {
        let mut total = Self::new(codes, band);
        for part in parts {
            total.chosen.iter_mut().zip(part.chosen).for_each(|(total, part)| *total += part);
            total.border.extend(part.border);
            total.gaps += part.gaps;
        }
        total
    }

    /// Rows above capacity.
    fn excess(&self, rows: usize) -> usize {
        let capacity = rows.div_ceil(self.chosen.len());
        self.chosen.iter().map(|chosen| chosen.saturating_sub(capacity)).sum()
    }

    /// Mean gap of the `rows`.
    fn mean_gap(&self, rows: usize) -> f64 {
        self.gaps / rows as f64
    }

    /// Moves prices by a damped Newton step: `(H + damping diag H) step = chosen - share`, with `H`
    /// from the rows within the band. Returns the band to tally the new prices with.
    fn advance(&mut self, rows: usize, damping: f64, prices: &mut [f64]) -> f64 {
        let share = rows as f64 / self.chosen.len() as f64;
        self.border.sort_unstable();
        // Of the rows on both sides of a border only one side's would change.
        let pairs: Vec<(usize, usize, f64)> = self
            .border
            .chunk_by(|a, b| a == b)
            .map(|same| (same[0].0 as usize, same[0].1 as usize, 0.5 * same.len() as f64))
            .collect();
        let surplus: Vec<f64> =
            self.chosen.iter().map(|chosen| self.band * (*chosen as f64 - share)).collect();
        let mean = self.mean_gap(rows);
        for (price, step) in prices.iter_mut().zip(solve(&pairs, damping, &surplus)) {
            *price += step.clamp(-2.0 * mean, 2.0 * mean);
        }
        mean * (4.0 * self.excess(rows) as f64 / rows as f64).clamp(0.05, 1.0)
    }
}

/// Solves `(H + damping diag H + I) x = b` by conjugate gradients from zero, `H` the Laplacian of a
/// graph of weighted pairs. `I` keeps a code without neighbours in bounds.
fn solve(pairs: &[(usize, usize, f64)], damping: f64, b: &[f64]) -> Vec<f64> {
    let mut diagonal = vec![1.0; b.len()];
    for (one, other, weight) in pairs {
        diagonal[*one] += weight * (1.0 + damping);
        diagonal[*other] += weight * (1.0 + damping);
    }
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let scaled = |r: &[f64]| r.iter().zip(&diagonal).map(|(r, d)| r / d).collect::<Vec<f64>>();
    let mut x = vec![0.0; b.len()];
    let mut residual = b.to_vec();
    let mut preconditioned = scaled(&residual);
    let mut direction = preconditioned.clone();
    let mut rho = dot(&residual, &preconditioned);
    let content = rho * RESIDUAL * RESIDUAL;
    for _ in 0..STEPS {
        if rho <= content {
            break;
        }
        let mut image: Vec<f64> = direction.iter().zip(&diagonal).map(|(p, d)| p * d).collect();
        for (one, other, weight) in pairs {
            image[*one] -= weight * direction[*other];
            image[*other] -= weight * direction[*one];
        }
        let along = rho / dot(&direction, &image);
        x.iter_mut().zip(&direction).for_each(|(x, p)| *x += along * p);
        residual.iter_mut().zip(&image).for_each(|(r, i)| *r -= along * i);
        preconditioned = scaled(&residual);
        let before = std::mem::replace(&mut rho, dot(&residual, &preconditioned));
        direction.iter_mut().zip(&preconditioned).for_each(|(p, z)| *p = z + rho / before * *p);
    }
    x
}

/// When a search for prices ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// How far a price may move: as far as the rows' scores are known.
    pub(super) reach: f64,
    /// Rows above capacity that may be left.
    pub(super) enough: usize,
    /// Largest number of passes over the rows.
    pub(super) passes: usize,
}

/// The result of a search for prices.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spread {
    /// Rows above capacity.
    pub(super) excess: usize,
    /// Mean gap between the cheapest and the second code of a row.
    pub(super) gap: f64,
}

/// Moves prices until few of the `rows` are above capacity. `tally` says how rows choose at given
/// prices; `gap` is their mean gap, as far as it is known.
///
/// Steps that make more rows exceed capacity are taken back and damped (Levenberg and Marquardt's
/// rule). Rows are whole, so the last few are left to exact paths.
pub(super) fn spread(
    tally: impl Fn(&[f32], f64) -> Tally,
    rows: usize,
    prices: &mut [f64],
    gap: Option<f64>,
    limits: Limits,
) -> Spread {
    let start = prices.to_vec();
    let mut trial = start.clone();
    let mut band = gap.map_or(0.0, |gap| FIRST_BAND * gap);
    let mut damping = DAMPING;
    let mut best = tally(&as_f32(&trial), band);
    if gap.is_none() && best.excess(rows) > limits.enough {
        band = FIRST_BAND * best.mean_gap(rows);
        best = tally(&as_f32(&trial), band);
    }
    let mut waited = 0;
    for _ in 1..limits.passes {
        let least = best.excess(rows);
        if least <= limits.enough || waited == PATIENCE || best.gaps <= 0.0 {
            break;
        }
        trial.copy_from_slice(prices);
        band = best.advance(rows, damping, &mut trial);
        for (price, start) in trial.iter_mut().zip(&start) {
            *price = price.clamp(start - limits.reach, start + limits.reach);
        }
        let found = tally(&as_f32(&trial), band);
        let excess = found.excess(rows);
        waited = if excess * 20 < least * 19 { 0 } else { waited + 1 };
        if excess < least {
            prices.copy_from_slice(&trial);
            damping = (damping / 3.0).max(LEAST_DAMPING);
            best = found;
        } else {
            damping *= 4.0;
        }
    }
    Spread { excess: best.excess(rows), gap: best.mean_gap(rows) }
}

#[allow(clippy::cast_possible_truncation, reason = "costs are f32")]
pub(super) fn as_f32(prices: &[f64]) -> Vec<f32> {
    prices.iter().map(|price| *price as f32).collect()
}
