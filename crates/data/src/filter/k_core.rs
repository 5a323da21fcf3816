//! Removes users and items with too few interactions, until none is left.

use serde::{Deserialize, Serialize};

use super::Dropped;
use crate::{Interaction, Interactions};

/// How many interactions users and items must have; 0 and 1 remove nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KCore {
    /// Of a user.
    pub user: u32,
    /// Of an item.
    pub item: u32,
}

/// Leaves the largest set of interactions in which every user has at least `k.user` and every item
/// at least `k.item`.
///
/// There is one such set: the union of two sets with that property has it too. So the result does
/// not depend on the order of rows or on who is removed first. It may be empty. Repeated
/// interactions of a user with an item all count.
///
/// ```
/// use sidereal_data::{Interactions, Timestamp};
/// use sidereal_data::filter::{KCore, k_core};
///
/// let mut rows = Interactions::default();
/// for (user, item) in [("u", "a"), ("u", "b"), ("v", "a"), ("v", "b"), ("w", "c"), ("w", "a")] {
///     rows.push(user, item, Timestamp(0))?;
/// }
/// let dropped = k_core(&mut rows, KCore { user: 2, item: 2 });
/// assert_eq!((dropped.users, dropped.items, dropped.interactions), (1, 1, 2)); // c, then w
/// # Ok::<(), sidereal_data::DataError>(())
/// ```
pub fn k_core(interactions: &mut Interactions, k: KCore) -> Dropped {
    let mut users = vec![0u32; interactions.users().len()];
    let mut items = vec![0u32; interactions.items().len()];
    for row in interactions.rows() {
        users[row.user as usize] += 1;
        items[row.item as usize] += 1;
    }
    let before = (interactions.len(), active(&users), active(&items));
    loop {
        let len = interactions.len();
        // Counts fall as rows go, and a row that was kept may have to go in the next round.
        interactions.retain(|Interaction { user, item, .. }| {
            let (user, item) = (&mut users[*user as usize], &mut items[*item as usize]);
            let keep = *user >= k.user && *item >= k.item;
            if !keep {
                *user -= 1;
                *item -= 1;
            }
            keep
        });
        if interactions.len() == len {
            break;
        }
    }
    Dropped {
        interactions: before.0 - interactions.len(),
        users: before.1 - active(&users),
        items: before.2 - active(&items),
    }
}

fn active(counts: &[u32]) -> usize {
    counts.iter().filter(|count| **count > 0).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timestamp;

    #[test]
    fn a_chain_falls_to_its_end() {
        // Each item is shared with the next user; the first user's other item is theirs alone.
        let mut rows = Interactions::default();
        for i in 0..100 {
            for item in [i, i + 1] {
                rows.push(&format!("u{i}"), &format!("i{item}"), Timestamp(0)).unwrap();
            }
        }
        let dropped = k_core(&mut rows, KCore { user: 2, item: 2 });
        assert_eq!((dropped.users, dropped.items, dropped.interactions), (100, 101, 200));
        assert!(rows.is_empty());
    }

    #[test]
    fn users_and_items_have_their_own_k() {
        let mut rows = Interactions::default();
        for (user, item) in [("u", "a"), ("u", "b"), ("u", "c"), ("v", "a")] {
            rows.push(user, item, Timestamp(0)).unwrap();
        }
        let mut by_user = rows.clone();
        assert_eq!(k_core(&mut by_user, KCore { user: 3, item: 1 }).users, 1);
        assert_eq!(by_user.len(), 3);
        assert_eq!(k_core(&mut rows, KCore { user: 0, item: 2 }).items, 2);
        assert_eq!(rows.len(), 2);
    }
}
