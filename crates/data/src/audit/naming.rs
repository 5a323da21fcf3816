//! Prompts that contain the answer.

use std::collections::HashMap;

use sidereal_sid::ItemId;

use crate::{Dataset, HeldOut, Sample, Split};

/// Words that a title needs before it counts as named: a single word is in many texts.
const MIN_WORDS: usize = 2;

/// Held-out samples that show another item whose title or description holds the target's title: a
/// prompt with these texts then contains the answer, or another item looks the same.
pub(super) fn targets_named(dataset: &Dataset, split: &Split) -> usize {
    let text = |words: &str| -> String {
        let words = words.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        // Spaces around every word: `pen` is not in `open`.
        format!(" {} ", words.collect::<Vec<_>>().join(" ").to_lowercase())
    };
    let mut texts: HashMap<ItemId, (String, String)> = HashMap::new();
    let mut prepare = |id: ItemId| {
        let item = dataset.item(id)?;
        texts.entry(id).or_insert_with(|| (text(&item.title), text(&item.description)));
        Some(())
    };
    let samples: Vec<Sample<'_>> = split.valid.samples().chain(split.test.samples()).collect();
    for sample in &samples {
        sample.history.iter().chain([&sample.target]).for_each(|item| {
            prepare(*item);
        });
    }
    let is_named = |sample: &&Sample<'_>| {
        let Some((title, _)) = texts.get(&sample.target) else { return false };
        let others = sample.history.iter().filter(|item| **item != sample.target);
        title.split_whitespace().count() >= MIN_WORDS
            && others.filter_map(|item| texts.get(item)).any(|(shown, described)| {
                shown.contains(title.as_str()) || described.contains(title.as_str())
            })
    };
    samples.iter().filter(is_named).count()
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;
    use crate::{Item, User, leave_one_out};

    #[test]
    fn a_title_within_another_text_names_its_item_and_a_part_of_a_word_does_not() {
        let items = vec![
            Item::new("a", "Red Pen"),
            Item::new("b", "Case").with_description("Holds a red pen, and more."),
            Item::new("c", "Sacred Pencil"),
            Item::new("d", "Case"),
        ];
        let histories = [[1, 1, 0], [2, 2, 0], [3, 3, 1], [0, 0, 0]];
        let users = histories
            .iter()
            .enumerate()
            .map(|(u, events)| User::new(u.to_string(), events.map(ItemId).to_vec()));
        let dataset = Dataset::new(items, users.collect()).unwrap();
        let split = leave_one_out(&dataset, NonZeroUsize::MAX).unwrap();
        assert_eq!(targets_named(&dataset, &split), 1); // the first user's test
    }
}
