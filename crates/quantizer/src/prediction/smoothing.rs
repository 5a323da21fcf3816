//! Probabilities from counts, smoothed towards those of shorter contexts.

/// What was seen in one context.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Link {
    /// How often the outcome was seen.
    pub(super) hits: f64,
    /// How often any outcome was seen.
    pub(super) total: f64,
    /// Outcomes that there are.
    pub(super) choices: usize,
}

/// Dirichlet smoothing with one pseudo-count for all contexts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Smoothed {
    pub(super) pseudo_count: f64,
}

impl Smoothed {
    /// Log-probability of an outcome, in nats, from contexts of growing length; 0 without a context.
    ///
    /// `left_out`: whether the outcome itself is one of those counted, and is to be left out.
    pub(super) fn log(self, contexts: &[Link], left_out: bool) -> f64 {
        let Some(first) = contexts.first() else { return 0.0 };
        let own = f64::from(u8::from(left_out));
        let uniform = (first.choices as f64).recip();
        let share = contexts.iter().fold(uniform, |share, link| {
            let (hits, total) = (link.hits - own, link.total - own);
            (hits + self.pseudo_count * share) / (total + self.pseudo_count)
        });
        share.ln()
    }
}

/// Largest number of training pairs that a pseudo-count is judged on.
const JUDGED: usize = 20_000;
/// Pseudo-counts are powers of four, from a quarter to this exponent.
const LARGEST: i32 = 7;

/// The pseudo-count of most likelihood on training pairs, each left out of its own counts.
pub(super) fn choose<P>(pairs: &[P], chain: impl Fn(&P) -> Vec<Link>) -> Smoothed {
    let step = pairs.len().div_ceil(JUDGED).max(1);
    let chains: Vec<Vec<Link>> = pairs.iter().step_by(step).map(chain).collect();
    let candidates = (-1..=LARGEST).map(|power| Smoothed { pseudo_count: 4f64.powi(power) });
    let judged = candidates.map(|candidate| {
        let likelihood: f64 = chains.iter().map(|chain| candidate.log(chain, true)).sum();
        (candidate, likelihood)
    });
    // The largest of equals: if all outcomes are certain, smoothing changes nothing.
    let best = judged.max_by(|a, b| a.1.total_cmp(&b.1));
    best.map_or(Smoothed { pseudo_count: 1.0 }, |(candidate, _)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contexts_back_off_to_shorter_ones() {
        // Uniform 1/4; (2 + 1 · 1/4) / (8 + 1) = 1/4; (1 + 1/4) / (1 + 1) = 5/8.
        let contexts = [
            Link { hits: 2.0, total: 8.0, choices: 4 },
            Link { hits: 1.0, total: 1.0, choices: 4 },
        ];
        let one = Smoothed { pseudo_count: 1.0 };
        assert!((one.log(&contexts, false) - 0.625f64.ln()).abs() < 1e-12);
        // Without itself: (1 + 1/4) / (7 + 1) = 5/32, and nothing in the longer context.
        assert!((one.log(&contexts, true) - (5.0f64 / 32.0).ln()).abs() < 1e-12);
        assert!(one.log(&[], false).abs() < 1e-12);
    }
}
