//! How well codes say what follows: nats of the next item's codes, given those of the item before.

mod counts;
mod smoothing;

use serde::{Deserialize, Serialize};
use sidereal_sid::{Catalog, ItemId};

use self::counts::{Counts, Paths};
use self::smoothing::{Smoothed, choose};
use crate::QuantizerError;

/// How well the codes of one item say which item follows, on pairs that the counts have not seen.
///
/// ```text
/// p(t | s)   = Π_l  p_l(t_l | t_1 … t_{l−1}; s)  ·  1 / items at the leaf of t
/// p_l(…; s)  = q_L,   q_d = (n(t_1…t_l, s_1…s_d) + a q_{d−1}) / (n(t_1…t_{l−1}, s_1…s_d) + a)
/// q_{−1}     = 1 / children of t_1 … t_{l−1}
/// ```
/// `n` counts the training pairs of neighbours in which the later item begins with the first prefix
/// and the earlier item with the second. `a` is a power of 4. It is chosen for each level by the
/// likelihood of training pairs, where each pair is left out of its own counts. The estimate backs
/// off from the whole Semantic ID of the earlier item over its prefixes to the frequencies of the
/// codes: Dirichlet smoothing, as in `MacKay` and Peto, "A Hierarchical Dirichlet Language Model",
/// 1995.
///
/// So a codebook can be judged before a policy is trained on it. Informative codes give fewer nats
/// than random codes, because the counts of one item then also help for its neighbours. The numbers
/// of the codes do not matter. The result serves to compare codebooks; it is not a bound, because a
/// policy reads more than the item before.
///
/// ```
/// use sidereal_quantizer::Prediction;
/// use sidereal_sid::{Catalog, ItemId, SemanticId, SidSpec};
///
/// // Items 0 to 3 are followed by 4 to 7, whichever they are: their codes say so.
/// let sids = (0..8).map(|i| SemanticId::from([i / 4, i % 4])).collect();
/// let catalog = Catalog::new(SidSpec::new(vec![2, 4], 0)?, sids)?;
/// let pair = |i: u32| [ItemId(i % 4), ItemId(4 + i / 4 % 4)];
/// let train: Vec<_> = (0..40).map(|i| pair(7 * i)).collect();
/// let held_out: Vec<_> = (0..16).map(|i| (pair(i)[0], pair(i)[1])).collect();
/// let found = Prediction::measure(&catalog, &train, &held_out)?;
/// assert!(found.levels[0].nats < 0.1 && found.nats < 8f64.ln());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Prediction {
    /// Held-out pairs that were predicted.
    pub num_pairs: usize,
    /// One entry for each level, a suffix or slot included, coarsest first.
    pub levels: Vec<LevelPrediction>,
    /// Mean nats to tell items apart that share a Semantic ID.
    pub shared_nats: f64,
    /// Mean nats of the next item: the sum over levels, and `shared_nats`.
    pub nats: f64,
    /// Mean nats of the next item if only the frequencies of the items are known, without codes, with
    /// the same smoothing over items.
    pub unigram_nats: f64,
}

/// How well one level's codes are predicted.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LevelPrediction {
    /// Mean nats of the next item's code, given its codes before and the whole Semantic ID of the
    /// item before it; 0 if the next item has ended.
    pub nats: f64,
    /// The same if the item before is not known.
    pub unigram_nats: f64,
    /// Pseudo-count `a` of the smoothing.
    pub smoothing: f64,
}

impl Prediction {
    /// Counts the neighbours of `train` and predicts the pairs of `held_out`, each an item and the one
    /// after it.
    ///
    /// For codes that training will use, these are the training sequences without each user's latest event,
    /// and that event after the one before it (`without_latest` and `latest_pairs` of a `TrainSet` of
    /// `sidereal-data`): so no validation or test event takes part. Codes that were made from events should
    /// be made without the held-out ones too. Memory is about `pairs · L²` counts.
    ///
    /// # Errors
    /// [`QuantizerError::Item`] for an item outside the catalogue, [`QuantizerError::NoPairs`] if
    /// one of the two has no pair.
    pub fn measure<Q: AsRef<[ItemId]>>(
        catalog: &Catalog,
        train: &[Q],
        held_out: &[(ItemId, ItemId)],
    ) -> Result<Self, QuantizerError> {
        let pairs: Vec<(ItemId, ItemId)> = train
            .iter()
            .flat_map(|sequence| sequence.as_ref().windows(2).map(|pair| (pair[0], pair[1])))
            .collect();
        let num_items = catalog.num_items();
        for (what, pairs) in [("training", pairs.as_slice()), ("held-out", held_out)] {
            if pairs.is_empty() {
                return Err(QuantizerError::NoPairs { what });
            }
            let mut items = pairs.iter().flat_map(|(before, next)| [*before, *next]);
            if let Some(item) = items.find(|item| item.index() >= num_items) {
                return Err(QuantizerError::Item { item, num_items });
            }
        }
        let paths = Paths::new(catalog);
        let counts = Counts::new(&paths, &pairs);
        let count = held_out.len() as f64;
        let levels: Vec<LevelPrediction> = (0..paths.depth())
            .map(|level| {
                let mean = |smoothed: Smoothed, known: bool| {
                    let mut nats = 0.0;
                    for (before, next) in held_out {
                        let chain = counts.chain(&paths, *before, *next, level);
                        let seen = if known { chain.len() } else { 1 };
                        // The chain of an item that has ended is empty.
                        nats -= smoothed.log(chain.get(..seen).unwrap_or_default(), false);
                    }
                    nats / count
                };
                let chains = |pair: &(ItemId, ItemId)| counts.chain(&paths, pair.0, pair.1, level);
                let smoothing = choose(&pairs, chains);
                let (nats, unigram_nats) = (mean(smoothing, true), mean(smoothing, false));
                LevelPrediction { nats, unigram_nats, smoothing: smoothing.pseudo_count }
            })
            .collect();
        let shared = held_out.iter().map(|(_, next)| (paths.num_at_leaf(*next) as f64).ln());
        let shared_nats = shared.sum::<f64>() / count;
        let item_chain = |pair: &(ItemId, ItemId)| counts.items(pair.1);
        let smoothing = choose(&pairs, item_chain);
        let unigram = held_out.iter().map(|pair| -smoothing.log(&item_chain(pair), false));
        Ok(Self {
            num_pairs: held_out.len(),
            nats: levels.iter().map(|level| level.nats).sum::<f64>() + shared_nats,
            levels,
            shared_nats,
            unigram_nats: unigram.sum::<f64>() / count,
        })
    }

    /// Nats that the codes of the item before save, compared with the frequencies of the items;
    /// below 0 if they make the prediction worse.
    #[must_use]
    pub fn gain(&self) -> f64 {
        self.unigram_nats - self.nats
    }
}

#[cfg(test)]
mod tests {
    use rand::seq::SliceRandom as _;
    use rand::{Rng as _, SeedableRng as _};
    use rand_chacha::ChaCha8Rng;
    use sidereal_sid::{Code, SemanticId, SidSpec};

    use super::*;

    type Pairs = Vec<(ItemId, ItemId)>;

    /// 64 items in 8 groups; an item is followed by one of the next group, 9 times in 10.
    fn pairs(count: usize, seed: u64) -> Pairs {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        (0..count)
            .map(|_| {
                let before = rng.gen_range(0..64);
                let group = if rng.gen_bool(0.9) { before / 8 + 1 } else { rng.gen_range(0..8) };
                (ItemId(before), ItemId(group % 8 * 8 + rng.gen_range(0..8)))
            })
            .collect()
    }

    fn catalog(codes: impl Fn(u32) -> [Code; 2]) -> Catalog {
        let sids = (0..64).map(|item| SemanticId::from(codes(item))).collect();
        Catalog::new(SidSpec::new(vec![8, 8], 0).unwrap(), sids).unwrap()
    }

    fn of(item: u32) -> [Code; 2] {
        [item / 8, item % 8].map(|code| Code::try_from(code).unwrap())
    }

    fn measure(catalog: &Catalog) -> Prediction {
        let train: Vec<[ItemId; 2]> = pairs(800, 1).into_iter().map(|(a, b)| [a, b]).collect();
        Prediction::measure(catalog, &train, &pairs(2000, 2)).unwrap()
    }

    #[test]
    fn informative_codes_predict_better_than_random_ones_and_near_the_truth() {
        let mut order: Vec<u32> = (0..64).collect();
        order.shuffle(&mut ChaCha8Rng::seed_from_u64(3));
        let (good, random) = (measure(&catalog(of)), measure(&catalog(|i| of(order[i as usize]))));
        // The law: the next group with .9 and one of eight with .1, then one of eight items.
        let p = 0.9 + 0.1 / 8.0;
        let truth = -(p * f64::ln(p) + 7.0 * 0.0125 * 0.0125f64.ln()) + 8f64.ln();
        assert!((good.nats - truth).abs() < 0.15, "{} {truth}", good.nats);
        assert!(good.levels[0].nats < good.levels[0].unigram_nats - 1.0);
        assert!(good.nats < random.nats - 0.3, "{} {}", good.nats, random.nats);
        // Whatever the codes, frequencies alone say about ln 64.
        assert!((good.unigram_nats - random.unigram_nats).abs() < 1e-9);
        assert!((good.unigram_nats - 64f64.ln()).abs() < 0.1, "{}", good.unigram_nats);
        assert!(good.gain() > 1.0 && random.gain() < good.gain());
    }

    #[test]
    fn the_numbers_of_codes_change_nothing() {
        // Other numbers at the first level, and other ones below each of its codes.
        let renamed = |item: u32| {
            let [first, second] = of(item);
            [(first * 3 + 5) % 8, (second * 5 + first) % 8]
        };
        let (plain, other) = (measure(&catalog(of)), measure(&catalog(renamed)));
        for (a, b) in plain.levels.iter().zip(&other.levels) {
            assert!(
                (a.nats - b.nats).abs() < 1e-9 && (a.unigram_nats - b.unigram_nats).abs() < 1e-9
            );
        }
        assert!((plain.nats - other.nats).abs() < 1e-9);
    }

    #[test]
    fn the_probabilities_of_all_items_sum_to_one() {
        // Items 0 and 9 share a Semantic ID; some are never seen, one ends a level earlier.
        let spec = SidSpec::new(vec![3, 3], 4).unwrap();
        let mut sids: Vec<SemanticId> = (0..9).map(|i| SemanticId::from([i / 3, i % 3])).collect();
        sids.push(SemanticId::from([0, 0]));
        sids[5] = SemanticId::from([1, 2, 0]);
        sids.push(SemanticId::from([1, 2, 3]));
        let catalog = Catalog::new(spec, sids).unwrap();
        let train = [[3, 5, 0, 10, 9, 2].map(ItemId), [0, 9, 3, 3, 1, 5].map(ItemId)];
        for before in 0..11 {
            let total: f64 = (0..11)
                .map(|next| {
                    let pair = [(ItemId(before), ItemId(next))];
                    (-Prediction::measure(&catalog, &train, &pair).unwrap().nats).exp()
                })
                .sum();
            assert!((total - 1.0).abs() < 1e-9, "{before}: {total}");
        }
    }

    #[test]
    fn what_cannot_be_measured_is_named() {
        let catalog = catalog(of);
        let text = |train: &[[ItemId; 2]], held_out: &Pairs| {
            Prediction::measure(&catalog, train, held_out).unwrap_err().to_string()
        };
        let pair = (ItemId(0), ItemId(1));
        assert_eq!(
            text(&[], &vec![pair]),
            "there is no training pair of an item and the one after it"
        );
        assert!(text(&[[ItemId(0); 2]], &Pairs::new()).contains("no held-out pair"));
        let outside = vec![(ItemId(0), ItemId(64))];
        assert_eq!(
            text(&[[ItemId(0); 2]], &outside),
            "item 64 is outside the catalogue of 64 items"
        );
    }
}
