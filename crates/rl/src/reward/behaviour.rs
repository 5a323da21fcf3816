//! A reward of what a user did with the recommended items later.

use sidereal_sid::{ItemId, SemanticId};

use crate::{Group, Reward};

/// 1 for an item with which the user later showed a behaviour, such as a like, else 0; for a slate the mean
/// over its items.
///
/// ```text
/// c_b(i) = 1[the user chose i later, and once of those times with behaviour b]
/// R_b(y) = c_b(y)          R_b(S) = 1/|S| Σ_{i ∈ S} c_b(i)
/// ```
/// One objective `R_m` of SAGE's eq 1, which names clicks, durations and comments and prints no formula; the
/// mean over the slate is ours. A Semantic ID that several items share stands for each of them. Range
/// `[0, 1]`; 0 for an empty slate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Behaviour {
    /// Number of the behaviour, `0..32`.
    pub number: u32,
}

impl Reward for Behaviour {
    fn score(&self, group: &Group<'_>) -> Vec<f64> {
        let chosen = || group.later().iter().filter(|choice| choice.has(self.number));
        let Some(slates) = group.slates() else {
            let named = |sid: &SemanticId| !sid.is_empty() && chosen().any(|it| it.sid == *sid);
            return group.rollouts().iter().map(|sid| f64::from(u8::from(named(sid)))).collect();
        };
        let share = |items: &Vec<ItemId>| {
            let count = items.iter().filter(|item| chosen().any(|it| it.item == **item)).count();
            count as f64 / items.len().max(1) as f64
        };
        slates.items.iter().map(share).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LaterChoice, Slates};

    fn later() -> Vec<LaterChoice> {
        let choice = |item: u16, behaviours| LaterChoice {
            item: ItemId(item.into()),
            sid: SemanticId::from([item, 0]),
            behaviours,
        };
        // Item 1 is chosen twice, and once of these times liked (bit 0); item 2 is shared (bit 1).
        vec![choice(1, 0), choice(2, 0b10), choice(1, 0b01), choice(3, 0)]
    }

    #[test]
    fn an_item_counts_if_the_user_showed_the_behaviour_with_it_later() {
        let (target, later) = (SemanticId::from([3, 0]), later());
        let mut rollouts = [1u16, 2, 3, 4].map(|item| SemanticId::from([item, 0])).to_vec();
        rollouts.push(SemanticId::default());
        let group = Group::new(&target, &rollouts);
        assert_eq!(Behaviour { number: 0 }.score(&group), [0.0; 5]);
        let group = group.with_later(&later);
        assert_eq!(Behaviour { number: 0 }.score(&group), [1.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(Behaviour { number: 1 }.score(&group), [0.0, 1.0, 0.0, 0.0, 0.0]);
        assert_eq!(Behaviour { number: 40 }.score(&group), [0.0; 5]);
    }

    #[test]
    fn a_slate_is_worth_the_share_of_its_items_that_count() {
        let (target, later) = (SemanticId::from([3, 0]), later());
        let rollouts = vec![SemanticId::default(); 3];
        let items = [&[1, 2, 3, 4][..], &[2, 3], &[]];
        let items: Vec<Vec<ItemId>> =
            items.iter().map(|items| items.iter().copied().map(ItemId).collect()).collect();
        let slates = Slates { target: ItemId(3), items: &items };
        let group = Group::new(&target, &rollouts).with_slates(slates).with_later(&later);
        assert_eq!(Behaviour { number: 0 }.score(&group), [0.25, 0.0, 0.0]);
        assert_eq!(Behaviour { number: 1 }.score(&group), [0.25, 0.5, 0.0]);
    }
}
