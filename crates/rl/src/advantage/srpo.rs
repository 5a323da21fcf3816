use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};

use super::{Advantages, ZScore};
use crate::{RlError, Segments};

/// Bonus-calibrated advantages: the z-score of a dense reward plus a bonus for exact hits.
///
/// ```text
/// ρ = 1 - C(G - c, k) / C(G, k)          chance that k of the G rollouts, c of them hits, hold a hit
/// σ = sqrt(ρ(1 - ρ))
/// A[i] = z(r)[i] + (1 - ρ) / σ                                          hit
///        z(r)[i] + ((1 - ρ) - C(G-c-1, k-1) / C(G-1, k-1)) / σ          miss
/// ```
/// SRPO of GREAM, eqs 15-21, with the residual-sensitive reward as `r`
/// ([`ResidualSensitive`](crate::ResidualSensitive)). The bonus of a group with few hits is large, so
/// exact hits outweigh near misses where they are rare.
///
/// Settled here, where the paper is silent: a group with `σ = 0` (no hit, or more than `G - k`) has
/// no bonus; `k` defaults to 1 and counts as `G` in smaller groups. Evaluated as
/// `(1 - ρ) = Π_{j<k} (G - c - j)/(G - j)` and `miss = -(c/G)·C(G-c-1, k-1)/C(G-1, k-1)/σ`: no
/// binomial is formed, so nothing overflows or cancels at any `G`.
///
/// ```
/// use std::num::NonZeroUsize;
/// use sidereal_rl::{Segments, Srpo};
///
/// let srpo = Srpo::default();
/// // One hit of two, k = 1: ρ = ½, σ = ½, bonuses +1 and -1 on top of the z-scores ±1.
/// let groups = Segments::uniform(1, 2);
/// let advantages = srpo.advantages(&[1.0, 0.5], &[true, false], &groups)?;
/// assert!((advantages.values[0] - 2.0).abs() < 1e-6 && (advantages.values[1] + 2.0).abs() < 1e-6);
/// # Ok::<(), sidereal_rl::RlError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Srpo {
    /// Rollouts that the chance of a hit is computed for. Range `1..`.
    pub k: NonZeroUsize,
    /// Standardisation of the dense reward.
    pub z_score: ZScore,
}

/// What SRPO adds to the z-scores of a group.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct SrpoBonus {
    /// Hit chance `ρ` of `k` rollouts, in `[0, 1]`.
    pub hit_chance: f64,
    /// `σ = sqrt(ρ(1 - ρ))`; 0 where the group has no bonus.
    pub spread: f64,
    /// Added to the advantage of a hit.
    pub exact: f64,
    /// Added to the advantage of a miss.
    pub inexact: f64,
}

impl Default for Srpo {
    /// `k = 1`, population z-score.
    fn default() -> Self {
        Self { k: NonZeroUsize::MIN, z_score: ZScore::POPULATION }
    }
}

impl Srpo {
    /// The bonus of a group of `group_size` rollouts with `hits` hits (at most `group_size`).
    #[must_use]
    pub fn bonus(&self, hits: usize, group_size: usize) -> SrpoBonus {
        let hits = hits.min(group_size);
        let k = self.k.get().min(group_size);
        let misses = group_size - hits;
        let no_bonus = |hit_chance| SrpoBonus { hit_chance, spread: 0.0, exact: 0.0, inexact: 0.0 };
        if hits == 0 {
            return no_bonus(0.0);
        }
        if misses < k {
            return no_bonus(1.0);
        }
        // C(misses-1, k-1) / C(G-1, k-1), and C(misses, k) / C(G, k) = that times misses / G.
        let rest: f64 = (1..k).map(|j| (misses - j) as f64 / (group_size - j) as f64).product();
        let all_miss = rest * misses as f64 / group_size as f64;
        let hit_chance = 1.0 - all_miss;
        let spread = (hit_chance * all_miss).sqrt();
        if spread == 0.0 {
            return no_bonus(hit_chance);
        }
        let exact = all_miss / spread;
        let inexact = -(hits as f64 / group_size as f64) * rest / spread;
        SrpoBonus { hit_chance, spread, exact, inexact }
    }

    /// The advantages of a batch of groups.
    ///
    /// Groups whose dense rewards have no spread are reported as flat; GREAM draws them again
    /// ([`VarianceGuidedSampling`](crate::VarianceGuidedSampling)).
    ///
    /// # Shapes
    /// `rewards`, `hits`: `[R]`, the rollouts of a group adjacent; the values come back in the same
    /// order.
    ///
    /// # Errors
    /// [`RlError::Length`], [`RlError::Reward`] on NaN or infinity, [`RlError::Overflow`].
    pub fn advantages(
        &self,
        rewards: &[f64],
        hits: &[bool],
        groups: &Segments,
    ) -> Result<Advantages, RlError> {
        RlError::length("hits", hits.len(), groups.total(), "rollout of the groups")?;
        let mut advantages = self.z_score.advantages(rewards, groups)?;
        for range in groups.iter() {
            let hits = &hits[range.clone()];
            let bonus = self.bonus(hits.iter().filter(|hit| **hit).count(), hits.len());
            for (value, hit) in advantages.values[range].iter_mut().zip(hits) {
                *value += if *hit { bonus.exact } else { bonus.inexact };
            }
        }
        Ok(advantages)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binomial(n: usize, k: usize) -> f64 {
        if k > n { 0.0 } else { (0..k).map(|i| (n - i) as f64 / (i + 1) as f64).product() }
    }

    #[test]
    fn the_bonus_is_the_papers_for_all_small_groups() {
        for size in 1..=12 {
            for (hits, k) in (0..=size).flat_map(|hits| (1..=size).map(move |k| (hits, k))) {
                let srpo = Srpo { k: NonZeroUsize::new(k).unwrap(), ..Srpo::default() };
                let bonus = srpo.bonus(hits, size);
                let miss = binomial(size - hits, k) / binomial(size, k);
                assert!((bonus.hit_chance - (1.0 - miss)).abs() < 1e-12);
                let sigma = (miss * (1.0 - miss)).sqrt();
                if hits == 0 || hits > size - k {
                    assert_eq!((bonus.exact, bonus.inexact), (0.0, 0.0));
                    continue;
                }
                let delta = binomial(size - hits - 1, k - 1) / binomial(size - 1, k - 1);
                assert!((bonus.exact - miss / sigma).abs() < 1e-9, "{size} {hits} {k}");
                assert!((bonus.inexact - (miss - delta) / sigma).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn groups_of_a_thousand_stay_finite() {
        for k in [1, 2, 500, 1023, 1024, 5000] {
            let srpo = Srpo { k: NonZeroUsize::new(k).unwrap(), ..Srpo::default() };
            for hits in 0..=1024 {
                let bonus = srpo.bonus(hits, 1024);
                assert!(bonus.exact.is_finite() && bonus.exact >= 0.0, "{k} {hits} {bonus:?}");
                assert!(bonus.inexact.is_finite() && bonus.inexact <= 0.0, "{k} {hits} {bonus:?}");
            }
        }
    }
}
