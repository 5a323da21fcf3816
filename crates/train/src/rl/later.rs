//! What the users of training prompts did after the history that the prompt shows.

use sidereal_data::{Dataset, SampleId, TrainSet};
use sidereal_rl::LaterChoice;
use sidereal_sid::Catalog;

/// The user's training choices from the target of a sample on that have a behaviour; none for a task about an
/// item.
///
/// `train` is what the stage learns from: it ends before the user's validation and test events, so nothing of
/// them is in the result.
#[must_use]
pub fn later_choices(
    dataset: &Dataset,
    train: &TrainSet,
    catalog: &Catalog,
    id: SampleId,
) -> Vec<LaterChoice> {
    let SampleId::Event { user, position } = id else { return Vec::new() };
    let Some(of_user) = dataset.user(user) else { return Vec::new() };
    let first = position as usize;
    let events = train.events_of(user).get(first..).unwrap_or_default();
    let choice = |(at, item): (usize, &sidereal_data::ItemId)| {
        let labels = of_user.labels_of(first + at);
        let sid = catalog.sid(*item).filter(|_| !labels.is_empty())?;
        Some(LaterChoice { item: *item, sid: sid.clone(), behaviours: labels.bits() })
    };
    events.iter().enumerate().filter_map(choice).collect()
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use sidereal_data::{HeldOut as _, Item, ItemId, Labels, User, leave_one_out};
    use sidereal_sid::{SemanticId, SidSpec};

    use super::*;

    #[test]
    fn only_what_the_user_did_later_in_training_counts() {
        let items = (0..6).map(|i| Item::new(i.to_string(), "")).collect();
        let like = Labels::default().with(0);
        // Every event is liked but the third.
        let labels = (0..6).map(|at| if at == 2 { Labels::default() } else { like }).collect();
        let user = User::new("u", (0..6).map(ItemId).collect()).with_labels(labels);
        let dataset = Dataset::with_behaviours(items, vec![user], vec!["like".to_owned()]).unwrap();
        let sids = (0..6).map(|i| SemanticId::from([i])).collect();
        let catalog = Catalog::new(SidSpec::new(vec![6], 0).unwrap(), sids).unwrap();
        let split = leave_one_out(&dataset, NonZeroUsize::MAX).unwrap();
        let items = |id| -> Vec<u32> {
            let found = later_choices(&dataset, &split.train, &catalog, id);
            found.iter().map(|choice| choice.item.0).collect()
        };
        // Items 4 and 5 are held out, item 2 has no behaviour; the target is among its later choices.
        for (sample, expected) in split.train.samples().zip([&[1, 3][..], &[3], &[3]]) {
            assert_eq!(items(sample.id), expected, "{}", sample.id);
        }
        for sample in split.valid.samples().chain(split.test.samples()) {
            assert!(items(sample.id).is_empty());
        }
        assert!(items(SampleId::Item(ItemId(1))).is_empty());
    }
}
