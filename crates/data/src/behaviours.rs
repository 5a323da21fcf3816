//! What users did with items besides choosing them.

use serde::{Deserialize, Serialize};

use crate::DataError;

/// The behaviours that an event has, such as a like or a comment: a set of those of its dataset
/// ([`Dataset::behaviours`](crate::Dataset::behaviours)), by their places.
///
/// ```
/// use sidereal_data::Labels;
///
/// let labels: Labels = [2, 0].into_iter().collect();
/// assert!(labels.contains(0) && !labels.contains(1) && labels.contains(2));
/// assert!(Labels::default().is_empty());
/// ```
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Labels(u32);

impl Labels {
    /// The most behaviours that a dataset can have.
    pub const MOST: usize = 32;

    /// The set with the behaviour at this place; a place from [`MOST`](Self::MOST) on is no behaviour and
    /// changes nothing.
    #[must_use]
    pub fn with(self, behaviour: usize) -> Self {
        Self(self.0 | bit(behaviour))
    }

    /// Whether the behaviour at this place is in the set.
    #[must_use]
    pub fn contains(self, behaviour: usize) -> bool {
        self.0 & bit(behaviour) != 0
    }

    /// Whether there is no behaviour.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The set as bits: bit `b` is the behaviour at place `b`.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether all behaviours are among the first `count`.
    pub(crate) fn are_below(self, count: usize) -> bool {
        (count..Self::MOST).all(|place| !self.contains(place))
    }

    /// The set in a dataset in which behaviour `b` has the place `places[b]`.
    pub(crate) fn moved(self, places: &[usize]) -> Self {
        let held = places.iter().enumerate().filter(|(own, _)| self.contains(*own));
        held.map(|(_, place)| *place).collect()
    }
}

impl FromIterator<usize> for Labels {
    fn from_iter<I: IntoIterator<Item = usize>>(behaviours: I) -> Self {
        behaviours.into_iter().fold(Self::default(), Self::with)
    }
}

fn bit(behaviour: usize) -> u32 {
    u32::try_from(behaviour).ok().and_then(|place| 1u32.checked_shl(place)).unwrap_or(0)
}

/// Accepts names of behaviours: not too many, none empty, none twice.
pub(crate) fn check_names(names: &[String]) -> Result<(), DataError> {
    if names.len() > Labels::MOST {
        return Err(DataError::TooManyBehaviours { found: names.len() });
    }
    for (place, name) in names.iter().enumerate() {
        if name.is_empty() || names[..place].contains(name) {
            return Err(DataError::BehaviourName { name: name.clone(), place });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_was_put_into_it_and_moves_with_the_names() {
        let labels: Labels = [0, 31, 31, 40].into_iter().collect();
        let held: Vec<usize> = (0..40).filter(|place| labels.contains(*place)).collect();
        assert_eq!(held, [0, 31]);
        assert!(labels.are_below(32) && !labels.are_below(31));
        let moved = [1, 2].into_iter().collect::<Labels>().moved(&[5, 0, 3]);
        assert_eq!(moved, [0, 3].into_iter().collect());
    }

    #[test]
    fn names_are_different_and_not_empty() {
        let names = |names: &[&str]| {
            check_names(&names.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        assert!(names(&["like", "share"]).is_ok());
        let twice = names(&["like", "share", "like"]).unwrap_err();
        assert!(matches!(twice, DataError::BehaviourName { place: 2, .. }));
        assert!(matches!(names(&[""]), Err(DataError::BehaviourName { place: 0, .. })));
        let many: Vec<String> = (0..33).map(|place| place.to_string()).collect();
        assert!(matches!(check_names(&many), Err(DataError::TooManyBehaviours { found: 33 })));
    }
}
