//! Items that a user did not choose, for use as rejected answers.

use std::borrow::Cow;
use std::collections::HashSet;

use rand::distributions::{Distribution as _, WeightedIndex};
use rand::seq::SliceRandom;
use rand_core::RngCore;
use serde::{Deserialize, Serialize};
use sidereal_sid::{Catalog, ItemId};

use crate::{DataError, Sample, TrainSet};

/// Number of weighted draws for each wanted item, before the rest is searched item by item.
const TRIES: usize = 20;

/// Where negatives come from. Those that a beam search finds come from the policy instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum NegativeKind {
    /// All items alike, as S-DPO does, [arXiv:2406.09215](https://arxiv.org/abs/2406.09215) §4.1.
    Random,
    /// By how often training shows an item, plus one.
    Popularity,
    /// Items whose Semantic ID begins as the target's does: those that share most codes first,
    /// equal ones by chance, and where none shares a code any more all alike.
    Sibling,
}

/// Draws negatives for samples. None is the target, has its Semantic ID, or was chosen before.
///
/// ```
/// use std::num::NonZeroUsize;
/// use rand::SeedableRng;
/// use sidereal_data::{
///     Dataset, HeldOut, Item, ItemId, NegativeKind, Negatives, User, leave_one_out,
/// };
/// use sidereal_sid::{Catalog, SemanticId, SidSpec};
///
/// let items = (0..5).map(|i| Item::new(i.to_string(), "")).collect();
/// let dataset = Dataset::new(items, vec![User::new("u", [4, 3, 0].map(ItemId).to_vec())])?;
/// let split = leave_one_out(&dataset, NonZeroUsize::MAX)?;
/// let sids = [[0, 0], [1, 0], [0, 1], [1, 1], [1, 2]].map(SemanticId::from).to_vec();
/// let catalog = Catalog::new(SidSpec::new(vec![2, 3], 0)?, sids)?;
///
/// let negatives = Negatives::new(NegativeKind::Sibling, &split.train, &catalog)?;
/// let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
/// let test = split.test.sample(0).unwrap(); // 4, 3 -> 0
/// assert_eq!(negatives.draw(&test, 2, &mut rng)?, [ItemId(2), ItemId(1)]); // 2 shares a code
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Negatives<'a> {
    kind: NegativeKind,
    catalog: &'a Catalog,
    /// Items that may be drawn, by Semantic ID.
    items: Cow<'a, [ItemId]>,
    /// Of each item, for [`NegativeKind::Popularity`].
    popularity: Option<WeightedIndex<u64>>,
}

impl<'a> Negatives<'a> {
    /// Negatives of one kind among the items of `catalog`.
    ///
    /// # Errors
    /// [`DataError::ItemRange`] if `train` is of another dataset.
    pub fn new(
        kind: NegativeKind,
        train: &TrainSet,
        catalog: &'a Catalog,
    ) -> Result<Self, DataError> {
        Self::over(kind, train, catalog, Cow::Borrowed(catalog.items_by_sid()))
    }

    /// Negatives among the items for which `keep` holds, such as those of a domain.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn among(
        kind: NegativeKind,
        train: &TrainSet,
        catalog: &'a Catalog,
        keep: impl Fn(ItemId) -> bool,
    ) -> Result<Self, DataError> {
        let items = catalog.items_by_sid().iter().copied().filter(|item| keep(*item));
        Self::over(kind, train, catalog, Cow::Owned(items.collect()))
    }

    fn over(
        kind: NegativeKind,
        train: &TrainSet,
        catalog: &'a Catalog,
        items: Cow<'a, [ItemId]>,
    ) -> Result<Self, DataError> {
        let num_items = catalog.num_items();
        let mut weights = vec![0u64; num_items];
        for item in items.iter() {
            weights[item.index()] = 1;
        }
        for item in train.sequences().flat_map(|sequence| sequence.events) {
            let weight = weights.get_mut(item.index());
            let weight = weight.ok_or(DataError::ItemRange { item: *item, num_items })?;
            *weight += u64::from(*weight > 0);
        }
        let popularity = (kind == NegativeKind::Popularity).then(|| WeightedIndex::new(weights));
        // A distribution unless no item may be drawn.
        Ok(Self { kind, catalog, items, popularity: popularity.and_then(Result::ok) })
    }

    /// Number of items of the catalogue.
    #[must_use]
    pub fn num_items(&self) -> usize {
        self.catalog.num_items()
    }

    /// Whether an item may be in a pool beside the target of a sample: it is one of the items that
    /// may be drawn, was not chosen before, and does not have the Semantic ID of the target.
    #[must_use]
    pub fn allows(&self, sample: &Sample<'_>, item: ItemId) -> bool {
        let (Some(sid), Some(target)) = (self.catalog.sid(item), self.catalog.sid(sample.target))
        else {
            return false;
        };
        sid != target
            && !sample.seen.contains(&item)
            && self.beginning_with(sid.codes()).contains(&item)
    }

    /// `count` different negatives of a sample, in the order in which they were drawn.
    ///
    /// # Errors
    /// [`DataError::TooFewItems`] if there are fewer; [`DataError::ItemRange`] for a sample of
    /// another dataset.
    pub fn draw(
        &self,
        sample: &Sample<'_>,
        count: usize,
        rng: &mut (impl RngCore + ?Sized),
    ) -> Result<Vec<ItemId>, DataError> {
        self.draw_accepted(sample, count, rng, &mut |_| true)
    }

    /// As [`draw`](Self::draw), but only items for which `accept` holds when their turn comes.
    ///
    /// # Errors
    /// As [`draw`](Self::draw).
    pub fn draw_accepted(
        &self,
        sample: &Sample<'_>,
        count: usize,
        rng: &mut (impl RngCore + ?Sized),
        accept: &mut dyn FnMut(ItemId) -> bool,
    ) -> Result<Vec<ItemId>, DataError> {
        let num_items = self.catalog.num_items();
        let outside = DataError::ItemRange { item: sample.target, num_items };
        let sid = self.catalog.sid(sample.target).ok_or(outside)?;
        let mut taken: HashSet<ItemId> = sample.seen.iter().copied().collect();
        taken.extend(self.catalog.items(sid));
        let mut drawn = Vec::with_capacity(count);
        match (self.kind, &self.popularity) {
            (NegativeKind::Sibling, _) => {
                for shared in (1..=sid.len()).rev() {
                    let mut siblings =
                        self.beginning_with(sid.codes().get(..shared).unwrap_or(&[]));
                    siblings.retain(|item| taken.insert(*item));
                    siblings.shuffle(rng);
                    let accepted = siblings.into_iter().filter(|item| accept(*item));
                    drawn.extend(accepted.take(count - drawn.len()));
                }
            }
            (NegativeKind::Popularity, Some(weights)) => {
                for _ in 0..count.saturating_mul(TRIES) {
                    if drawn.len() == count {
                        break;
                    }
                    let item = u32::try_from(weights.sample(rng)).map(ItemId);
                    drawn.extend(item.ok().filter(|item| taken.insert(*item) && accept(*item)));
                }
            }
            (NegativeKind::Random | NegativeKind::Popularity, _) => {}
        }
        self.fill(&mut drawn, &mut taken, count, rng, accept);
        let found = drawn.len();
        if found < count {
            return Err(DataError::TooFewItems { found, needed: count });
        }
        Ok(drawn)
    }

    /// Adds items that are not taken, all with equal probability, until there are `count` of them
    /// or no more are left.
    fn fill(
        &self,
        drawn: &mut Vec<ItemId>,
        taken: &mut HashSet<ItemId>,
        count: usize,
        rng: &mut (impl RngCore + ?Sized),
        accept: &mut dyn FnMut(ItemId) -> bool,
    ) {
        let items = &self.items;
        for _ in 0..(count - drawn.len()).saturating_mul(TRIES) {
            if drawn.len() == count {
                return;
            }
            let item = items.choose(rng).copied();
            drawn.extend(item.filter(|item| taken.insert(*item) && accept(*item)));
        }
        let mut rest: Vec<ItemId> =
            items.iter().copied().filter(|item| !taken.contains(item)).collect();
        rest.shuffle(rng);
        drawn.extend(rest.into_iter().filter(|item| accept(*item)).take(count - drawn.len()));
    }

    /// Items whose Semantic ID begins with these codes.
    fn beginning_with(&self, codes: &[sidereal_sid::Code]) -> Vec<ItemId> {
        let order = &self.items;
        let sid = |item: &ItemId| self.catalog.sid(*item).map_or(&[][..], |sid| sid.codes());
        let start = order.partition_point(|item| sid(item) < codes);
        let siblings = order.iter().skip(start).take_while(|item| sid(item).starts_with(codes));
        siblings.copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use sidereal_sid::{SemanticId, SidSpec};

    use super::*;
    use crate::{Dataset, HeldOut as _, Item, Split, User, leave_one_out};

    /// 40 items; items 2i and 2i + 1 share a Semantic ID, ten items a first code.
    fn data() -> (Split, Catalog) {
        let items = (0..40).map(|i| Item::new(i.to_string(), "")).collect();
        let events = [vec![30; 60], vec![31; 20], vec![5, 0]].concat();
        let user = User::new("u", events.into_iter().map(ItemId).collect());
        let other = User::new("v", [7, 9, 0].map(ItemId).to_vec());
        let dataset = Dataset::new(items, vec![user, other]).unwrap();
        let sids = (0..40).map(|i| SemanticId::from([i / 10, i % 10 / 2])).collect();
        let catalog = Catalog::new(SidSpec::new(vec![4, 5], 0).unwrap(), sids).unwrap();
        (leave_one_out(&dataset, NonZeroUsize::MAX).unwrap(), catalog)
    }

    #[test]
    fn negatives_are_different_unseen_and_not_the_targets_double() {
        let (split, catalog) = data();
        let sample = split.test.sample(1).unwrap(); // 7, 9 -> 0
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        for kind in [NegativeKind::Random, NegativeKind::Popularity, NegativeKind::Sibling] {
            let negatives = Negatives::new(kind, &split.train, &catalog).unwrap();
            for count in [0, 1, 5, 36] {
                let drawn = negatives.draw(&sample, count, &mut rng).unwrap();
                let distinct: HashSet<_> = drawn.iter().copied().collect();
                assert_eq!((drawn.len(), distinct.len()), (count, count));
                assert!([7, 9, 0, 1].iter().all(|item| !distinct.contains(&ItemId(*item))));
            }
            assert!(matches!(
                negatives.draw(&sample, 37, &mut rng),
                Err(DataError::TooFewItems { found: 36, needed: 37 })
            ));
        }
    }

    #[test]
    fn negatives_among_some_items_are_drawn_as_if_there_were_no_others() {
        let (split, catalog) = data();
        let sample = split.test.sample(1).unwrap(); // 7, 9 -> 0
        let keep = |item: ItemId| item.0 < 10 || item == ItemId(30);
        for kind in [NegativeKind::Random, NegativeKind::Popularity, NegativeKind::Sibling] {
            let negatives = Negatives::among(kind, &split.train, &catalog, keep).unwrap();
            let mut rng = ChaCha8Rng::seed_from_u64(3);
            let drawn = negatives.draw(&sample, 7, &mut rng).unwrap();
            let distinct: HashSet<_> = drawn.iter().map(|item| item.0).collect();
            // All but 7 and 9, which were chosen, 0, which is to be found, and 1, its double.
            assert_eq!(distinct, HashSet::from([2, 3, 4, 5, 6, 8, 30]));
            assert!(negatives.draw(&sample, 8, &mut rng).is_err());
        }
        let popular =
            Negatives::among(NegativeKind::Popularity, &split.train, &catalog, keep).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let thirty = |_: &i32| popular.draw(&sample, 1, &mut rng).unwrap() == [ItemId(30)];
        // 30 weighs 61 of 68 among those allowed: the bound is ten deviations away.
        assert!((0..1000).filter(thirty).count() > 790);
        let none = Negatives::among(NegativeKind::Popularity, &split.train, &catalog, |_| false);
        assert!(none.unwrap().draw(&sample, 1, &mut ChaCha8Rng::seed_from_u64(3)).is_err());
    }

    #[test]
    fn siblings_come_first_and_popular_items_more_often() {
        let (split, catalog) = data();
        let sample = split.test.sample(1).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let siblings = Negatives::new(NegativeKind::Sibling, &split.train, &catalog).unwrap();
        let drawn = siblings.draw(&sample, 8, &mut rng).unwrap();
        let near = drawn.iter().take(6).all(|item| item.0 < 10); // 2 to 6 and 8
        assert!(near && drawn[6..].iter().all(|item| item.0 >= 10), "{drawn:?}");
        let popular = Negatives::new(NegativeKind::Popularity, &split.train, &catalog).unwrap();
        let mut counts = [0; 40];
        for _ in 0..1000 {
            counts[popular.draw(&sample, 1, &mut rng).unwrap()[0].index()] += 1;
        }
        // 30 and 31 weigh 61 and 21 of 117 among those allowed: each bound is ten deviations away.
        assert!(counts[30] > 360 && counts[31] > 60 && counts[2] < 60, "{counts:?}");
    }
}
