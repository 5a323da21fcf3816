//! Looks for the usual leaks, before any result is trusted.

use std::collections::{HashMap, HashSet};
use std::fmt;

use serde::Serialize;
use sidereal_sid::ItemId;

use crate::{Dataset, HeldOut, Sample, Split};

mod future;
mod naming;
mod order;

pub use future::CrossUserFuture;
pub use order::{EqualTimes, EventOrder};

/// Number of standard deviations beyond which an order is not a coincidence: a false alarm has odds
/// of 6e-7.
const ALARM: f64 = 5.0;

/// What an audit counted.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Audit {
    /// Events of an item that the same user chose before.
    pub repeated_events: usize,
    /// Validation and test samples whose target the user chose before: with seen items removed
    /// from the ranking, none of them can be hit.
    pub targets_in_history: usize,
    /// Test samples whose visible history is another test sample's, with another target: no model
    /// can be right on both.
    pub ambiguous_histories: usize,
    /// Validation and test samples whose visible history and target are a training sample's.
    pub trained_samples: usize,
    /// Training events after held-out targets; `None` if events have no times.
    pub cross_user_future: Option<CrossUserFuture>,
    /// Validation and test samples that show another item whose title or description holds the
    /// target's title of two words or more, without regard to letter case and punctuation.
    pub targets_named: usize,
    /// Items that no user chose.
    pub items_without_events: usize,
    /// Items that are a validation or test target but are in no training event.
    pub cold_targets: usize,
    /// Items without a title.
    pub untitled_items: usize,
    /// Items that share their title with another item.
    pub shared_titles: usize,
    /// Whether identities follow the order in which items first appear.
    pub identity_order: IdentityOrder,
    /// Whether the order of events may be that of the file.
    pub event_order: EventOrder,
}

/// Rank correlation of items' identities with their first appearance, users in order.
///
/// Public files number items by first appearance (correlation 1): a ranking that breaks ties by
/// identity then knows what comes next. For identities drawn at random the correlation is 0 with
/// standard deviation `1 / sqrt(n - 1)`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct IdentityOrder {
    /// Spearman's correlation, in `[-1, 1]`; 0 for fewer than two items.
    pub correlation: f64,
    /// The correlation in units of its standard deviation for identities drawn at random.
    pub deviations: f64,
}

impl IdentityOrder {
    /// Whether the order is not a coincidence: it is beyond five standard deviations.
    #[must_use]
    pub fn leaks(&self) -> bool {
        self.deviations.abs() > ALARM
    }
}

/// Counts what is suspicious in a dataset and its split.
///
/// ```
/// use std::num::NonZeroUsize;
/// use sidereal_data::{Dataset, Item, ItemId, User, audit, leave_one_out};
///
/// let items = (0..100).map(|i| Item::new(i.to_string(), "a title")).collect();
/// let users = (0..20)
///     .map(|u| User::new(u.to_string(), (5 * u..5 * u + 5).map(ItemId).collect()))
///     .collect();
/// let dataset = Dataset::new(items, users)?; // numbered by first appearance
/// let report = audit(&dataset, &leave_one_out(&dataset, NonZeroUsize::MAX)?);
/// assert!(report.identity_order.leaks());
/// assert_eq!(report.shared_titles, 100);
/// # Ok::<(), sidereal_data::DataError>(())
/// ```
#[must_use]
pub fn audit(dataset: &Dataset, split: &Split) -> Audit {
    let train: HashSet<ItemId> =
        split.train.sequences().flat_map(|sequence| sequence.events).copied().collect();
    let held_out = || split.valid.samples().chain(split.test.samples());
    let cold: HashSet<ItemId> =
        held_out().map(|sample| sample.target).filter(|item| !train.contains(item)).collect();
    let mut titles: HashMap<&str, usize> = HashMap::new();
    for item in dataset.items().iter().filter(|item| !item.title.is_empty()) {
        *titles.entry(&item.title).or_default() += 1;
    }
    let appearance = first_appearance(dataset);
    Audit {
        repeated_events: dataset
            .users()
            .iter()
            .map(|user| user.events.len() - user.events.iter().collect::<HashSet<_>>().len())
            .sum(),
        targets_in_history: held_out().filter(|s| s.seen.contains(&s.target)).count(),
        ambiguous_histories: ambiguous(split.test.samples()),
        trained_samples: trained_samples(split),
        cross_user_future: future::cross_user_future(split),
        targets_named: naming::targets_named(dataset, split),
        items_without_events: dataset.num_items() - appearance.len(),
        cold_targets: cold.len(),
        untitled_items: dataset.items().iter().filter(|item| item.title.is_empty()).count(),
        shared_titles: titles.into_values().filter(|count| *count > 1).sum(),
        identity_order: identity_order(&appearance),
        event_order: order::event_order(dataset),
    }
}

/// Items that appear, in the order of their first appearance.
fn first_appearance(dataset: &Dataset) -> Vec<ItemId> {
    let mut seen = HashSet::new();
    let events = dataset.users().iter().flat_map(|user| &user.events).copied();
    events.filter(|item| seen.insert(*item)).collect()
}

fn ambiguous<'a>(samples: impl Iterator<Item = Sample<'a>>) -> usize {
    let mut targets: HashMap<&[ItemId], (usize, HashSet<ItemId>)> = HashMap::new();
    for sample in samples {
        let (count, of_history) = targets.entry(sample.history).or_default();
        *count += 1;
        of_history.insert(sample.target);
    }
    targets.into_values().filter(|(_, targets)| targets.len() > 1).map(|(count, _)| count).sum()
}

fn trained_samples(split: &Split) -> usize {
    let key = |sample: &Sample<'_>| (sample.target, sample.history.to_vec());
    let held_out: Vec<_> = split.valid.samples().chain(split.test.samples()).collect();
    let wanted: HashSet<_> = held_out.iter().map(key).collect();
    let found: HashSet<_> =
        split.train.samples().map(|sample| key(&sample)).filter(|s| wanted.contains(s)).collect();
    held_out.iter().filter(|sample| found.contains(&key(sample))).count()
}

impl fmt::Display for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = [
            ("events of an item chosen before", self.repeated_events),
            ("targets in their own history", self.targets_in_history),
            ("test histories with several targets", self.ambiguous_histories),
            ("held-out samples that are training samples", self.trained_samples),
            ("held-out samples that show the target's title", self.targets_named),
            ("items without events", self.items_without_events),
            ("held-out items that training never shows", self.cold_targets),
            ("items without a title", self.untitled_items),
            ("items with another item's title", self.shared_titles),
        ];
        for (name, count) in rows {
            writeln!(f, "{name:<46} {count}")?;
        }
        if let Some(CrossUserFuture { samples, events }) = self.cross_user_future {
            writeln!(f, "{:<46} {samples}", "held-out samples before some training event")?;
            writeln!(f, "{:<46} {events}", "training events after some held-out sample")?;
        }
        let IdentityOrder { correlation, deviations } = self.identity_order;
        let verdict = if self.identity_order.leaks() { "LEAKS" } else { "no leak" };
        writeln!(
            f,
            "{:<46} {correlation:+.4} ({deviations:+.1} deviations: {verdict})",
            "item numbers against first appearance"
        )?;
        write!(f, "{:<46} {}", "order of events", self.event_order)
    }
}

/// ```text
/// rho = 1 - 6 Σ d² / (n (n² - 1))       d: difference of the two ranks, no ties
/// ```
fn identity_order(appearance: &[ItemId]) -> IdentityOrder {
    let n = appearance.len() as f64;
    if appearance.len() < 2 {
        return IdentityOrder { correlation: 0.0, deviations: 0.0 };
    }
    let mut by_identity: Vec<(ItemId, usize)> = appearance.iter().copied().zip(0..).collect();
    by_identity.sort_unstable();
    let squares: f64 = by_identity
        .iter()
        .enumerate()
        .map(|(rank, (_, appearance))| (rank as f64 - *appearance as f64).powi(2))
        .sum();
    let correlation = 1.0 - 6.0 * squares / (n * (n * n - 1.0));
    IdentityOrder { correlation, deviations: correlation * (n - 1.0).sqrt() }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;
    use crate::{Item, User, leave_one_out};

    fn report(events: &[&[u32]]) -> Audit {
        let items = (0..6).map(|i| Item::new(i.to_string(), if i == 0 { "" } else { "x" }));
        let users = events
            .iter()
            .enumerate()
            .map(|(u, e)| User::new(u.to_string(), e.iter().copied().map(ItemId).collect()));
        let dataset = Dataset::new(items.collect(), users.collect()).unwrap();
        audit(&dataset, &leave_one_out(&dataset, NonZeroUsize::new(2).unwrap()).unwrap())
    }

    #[test]
    fn every_count_counts_what_it_says() {
        let report = report(&[&[1, 2, 3, 1], &[0, 2, 3, 4], &[4, 2, 3, 4]]);
        assert_eq!(report.repeated_events, 2);
        assert_eq!(report.targets_in_history, 2); // the test targets of the first and last user
        assert_eq!(report.ambiguous_histories, 3); // all three show 2, 3
        assert_eq!(report.trained_samples, 0); // 1 -> 2, 0 -> 2 and 4 -> 2 train
        assert_eq!((report.cross_user_future, report.targets_named), (None, 0));
        assert_eq!(report.items_without_events, 1); // 5
        assert_eq!(report.cold_targets, 1); // 3; 4 and 1 are trained on
        assert_eq!(report.untitled_items, 1);
        assert_eq!(report.shared_titles, 5);
    }

    #[test]
    fn a_held_out_sample_that_was_trained_on_is_counted() {
        let report = report(&[&[1, 2, 3, 4, 5], &[0, 1, 2, 5]]);
        assert_eq!(report.trained_samples, 0); // 0, 1 -> 2 is not 1 -> 2
        let report = super::tests::report(&[&[1, 2, 1, 2, 1, 2, 1, 2, 3], &[5, 1, 2, 1, 0]]);
        assert_eq!(report.trained_samples, 2); // 2, 1 -> 2 and 1, 2 -> 1
        assert!(report.to_string().contains("held-out samples that are training samples     2"));
    }

    #[test]
    fn the_correlation_is_spearmans() {
        // Appearance ranks 0 1 2 3 of the identities 2 0 1 3: d = 2, 1, 1, 0.
        // rho = 1 - 6·6 / (4·15) = 0.4, deviations 0.4·sqrt(3).
        let order = identity_order(&[2, 0, 1, 3].map(ItemId));
        assert!((order.correlation - 0.4).abs() < 1e-12);
        assert!((order.deviations - 0.4 * 3f64.sqrt()).abs() < 1e-12);
        let falling: Vec<_> = (0..50).rev().map(ItemId).collect();
        assert!((identity_order(&falling).correlation + 1.0).abs() < 1e-12);
    }
}
