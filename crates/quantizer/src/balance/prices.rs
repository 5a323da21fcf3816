//! Prices at which nearly every code is chosen as often as its capacity says.

use rayon::prelude::*;

use super::shortlist::Lists;

/// Most passes over the lists, and passes without progress before giving up.
const PASSES: usize = 60;
const PATIENCE: usize = 4;

/// Moves prices until no more than `enough` rows are above capacity, and returns how many are.
///
/// The assignment under capacities is a transport problem. Its dual asks for prices at which each
/// code is the cheapest of as many rows as it may hold; the number of rows near the border of two
/// codes tells how far a price must move (a Newton step with a diagonal Hessian). Rows are whole,
/// so the last few are left to exact paths. No price moves farther than the lists see.
#[allow(clippy::cast_possible_truncation, reason = "costs are f32")]
pub(super) fn spread(lists: &Lists<'_>, prices: &mut [f64], enough: usize) -> usize {
    let (rows, codes) = (lists.num_rows(), prices.len());
    let share = rows as f64 / codes as f64;
    let capacity = rows.div_ceil(codes);
    if capacity < 2 {
        return 0; // the paths alone are faster
    }
    let reach = lists.span(prices);
    let mut band = f64::INFINITY;
    let mut rate = 0.8;
    let (mut best, mut kept, mut waited) = (usize::MAX, prices.to_vec(), 0);
    let mut trial = kept.clone();
    for _ in 0..PASSES {
        let now: Vec<f32> = trial.iter().map(|price| *price as f32).collect();
        let tally = tally(lists, &now, band as f32);
        let excess: usize = tally.chosen.iter().map(|n| n.saturating_sub(capacity)).sum();
        let mean = tally.gaps / rows as f64;
        if band.is_infinite() && excess > enough {
            // The first pass only measures.
            band = mean;
            continue;
        }
        if excess * 20 < best.saturating_mul(19) {
            waited = 0;
        } else {
            waited += 1;
        }
        if excess < best {
            best = excess;
            kept.copy_from_slice(&trial);
        } else {
            rate *= 0.7;
        }
        if best <= enough || waited == PATIENCE || mean <= 0.0 {
            break;
        }
        let counts = tally.chosen.iter().zip(&tally.border);
        for ((price, start), (chosen, border)) in trial.iter_mut().zip(&*prices).zip(counts) {
            let step = rate * band * (*chosen as f64 - share) / (*border as f64).max(1.0);
            *price =
                (*price + step.clamp(-2.0 * mean, 2.0 * mean)).clamp(start - reach, start + reach);
        }
        band = mean * (4.0 * excess as f64 / rows as f64).clamp(0.05, 1.0);
    }
    prices.copy_from_slice(&kept);
    best
}

/// Raises the prices of codes above capacity, each by what makes the surplus leave.
///
/// An auction in which all codes above capacity bid at once. Where rows lie close together, no
/// density tells how far a price must move, but the order of their gaps does. Rows that leave may
/// fill other codes beyond capacity, so this follows [`spread`] and is repeated.
pub(super) fn raise(lists: &Lists<'_>, prices: &mut [f64], enough: usize) {
    let capacity = lists.num_rows().div_ceil(prices.len());
    if capacity < 2 {
        return;
    }
    let mut best = usize::MAX;
    let mut trial = prices.to_vec();
    for _ in 0..PASSES {
        let mut gaps: Vec<Vec<f64>> = vec![Vec::new(); trial.len()];
        for (code, gap) in lists.choices(&trial) {
            gaps[code].push(gap);
        }
        let excess: usize = gaps.iter().map(|gaps| gaps.len().saturating_sub(capacity)).sum();
        if excess < best {
            best = excess;
            prices.copy_from_slice(&trial);
        }
        if excess <= enough {
            return;
        }
        for (price, gaps) in trial.iter_mut().zip(&mut gaps) {
            if gaps.len() > capacity {
                let last = gaps.len() - capacity - 1;
                let (_, gap, _) = gaps.select_nth_unstable_by(last, f64::total_cmp);
                if gap.is_finite() {
                    *price += *gap;
                }
            }
        }
    }
}

/// How rows choose at given prices.
struct Tally {
    /// Rows whose cheapest code it is, `[K]`.
    chosen: Vec<usize>,
    /// Rows whose cheapest or second code it is, with a gap between both within the band, `[K]`.
    border: Vec<usize>,
    /// Sum over rows of that gap.
    gaps: f64,
}

fn tally(lists: &Lists<'_>, prices: &[f32], band: f32) -> Tally {
    let codes = prices.len();
    let chunk = lists.num_rows().div_ceil(64).max(4096);
    let parts: Vec<Tally> = lists
        .chunks(chunk)
        .map(|lists| {
            let mut part = Tally { chosen: vec![0; codes], border: vec![0; codes], gaps: 0.0 };
            for (codes, costs) in lists.rows() {
                let (mut first, mut second) = ((f32::INFINITY, 0), (f32::INFINITY, 0));
                for (code, cost) in codes.iter().zip(costs) {
                    let code = usize::from(*code);
                    let score = (cost + prices[code], code);
                    if score.0 < second.0 {
                        if score.0 < first.0 {
                            (first, second) = (score, first);
                        } else {
                            second = score;
                        }
                    }
                }
                part.chosen[first.1] += 1;
                let gap = second.0 - first.0;
                if gap.is_finite() {
                    part.gaps += f64::from(gap);
                }
                if gap < band {
                    part.border[first.1] += 1;
                    part.border[second.1] += 1;
                }
            }
            part
        })
        .collect();
    let mut total = Tally { chosen: vec![0; codes], border: vec![0; codes], gaps: 0.0 };
    for part in parts {
        total.chosen.iter_mut().zip(part.chosen).for_each(|(total, part)| *total += part);
        total.border.iter_mut().zip(part.border).for_each(|(total, part)| *total += part);
        total.gaps += part.gaps;
    }
    total
}
