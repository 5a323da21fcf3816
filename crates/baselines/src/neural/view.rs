//! What a neural recommender learns from.

use std::collections::BTreeMap;

use sidereal_data::Item;
use sidereal_sid::ItemId;

use super::NeuralError;

/// The training part of a dataset.
///
/// Take the sequences from the training set of a split: they hold no validation and no test event.
#[derive(Debug, Clone, Copy)]
pub struct TrainingView<'a> {
    /// Number of items `N` of the catalogue.
    pub num_items: usize,
    /// The items of each user, earliest first. A sequence of one item teaches `bsarec` alone, what comes
    /// first.
    pub sequences: &'a [&'a [ItemId]],
    /// What is known of the items; only `fdsa` and `s3rec` read it.
    pub attributes: Option<&'a Attributes>,
}

impl TrainingView<'_> {
    /// Fails where a sequence holds an item outside the catalogue, or where no sequence has a target.
    pub(crate) fn check(&self) -> Result<(), NeuralError> {
        let num_items = self.num_items;
        let mut items = self.sequences.iter().flat_map(|sequence| sequence.iter());
        if let Some(item) = items.find(|item| item.index() >= num_items) {
            return Err(NeuralError::Item { item: *item, num_items });
        }
        if self.sequences.iter().all(|sequence| sequence.len() < 2) {
            return Err(NeuralError::NoTargets);
        }
        Ok(())
    }
}

/// The attributes of every item as numbers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Attributes {
    of_item: Vec<Vec<u32>>,
    count: usize,
}

impl Attributes {
    /// The categories and the brand of each item, `[N]`; equal texts are one attribute.
    #[must_use]
    pub fn of(items: &[Item]) -> Self {
        let mut numbers: BTreeMap<(bool, &str), u32> = BTreeMap::new();
        let mut of_item = Vec::with_capacity(items.len());
        for item in items {
            let brand = Some(item.brand.as_str()).filter(|brand| !brand.is_empty());
            let categories = item.categories.iter().map(|category| (false, category.as_str()));
            let mut own: Vec<u32> = Vec::new();
            for attribute in categories.chain(brand.map(|brand| (true, brand))) {
                let next = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
                own.push(*numbers.entry(attribute).or_insert(next));
            }
            own.sort_unstable();
            own.dedup();
            of_item.push(own);
        }
        Self { of_item, count: numbers.len() }
    }

    /// Attributes that are numbered already, `[N]` lists of numbers in `0..count`.
    ///
    /// # Errors
    /// [`NeuralError::Attributes`] for a number of `count` or above.
    pub fn numbered(of_item: Vec<Vec<u32>>, count: usize) -> Result<Self, NeuralError> {
        for (item, attributes) in of_item.iter().enumerate() {
            if let Some(number) = attributes.iter().find(|number| **number as usize >= count) {
                let problem = format!("item {item} has attribute {number}, but there are {count}");
                return Err(NeuralError::Attributes { model: "a model of attributes", problem });
            }
        }
        Ok(Self { of_item, count })
    }

    /// Number of different attributes.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.count
    }

    /// The attributes of each item, `[N]`, each list ascending if made by [`of`](Self::of).
    #[must_use]
    pub fn of_items(&self) -> &[Vec<u32>] {
        &self.of_item
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_categories_are_one_attribute_and_a_brand_is_no_category() {
        let item = |categories: &[&str], brand: &str| {
            let categories = categories.iter().map(|c| (*c).to_owned()).collect();
            Item::new("x", "").with_categories(categories).with_brand(brand)
        };
        let attributes = Attributes::of(&[item(&["a", "b", "a"], ""), item(&["b"], "a")]);
        assert_eq!(attributes.count(), 3);
        assert_eq!(attributes.of_items(), [vec![0, 1], vec![1, 2]]);
        assert!(Attributes::numbered(vec![vec![3]], 3).is_err());
    }

    #[test]
    fn an_item_outside_the_catalogue_is_refused() {
        let sequence = [ItemId(0), ItemId(7)];
        let view = TrainingView { num_items: 7, sequences: &[&sequence], attributes: None };
        let error = view.check().unwrap_err().to_string();
        assert!(error.contains("item 7"), "{error}");
        let short = TrainingView { num_items: 8, sequences: &[&sequence[..1]], attributes: None };
        assert!(matches!(short.check(), Err(NeuralError::NoTargets)));
    }
}
