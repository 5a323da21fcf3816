//! The items that a recommendation head scores.

use sidereal_data::ItemId;

/// The items that a recommendation head scores, with what it reads of each. Items without a text are not scored.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HeadItems {
    items: Vec<ItemId>,
    texts: Vec<Vec<u32>>,
    /// The row of each item of the catalogue.
    rows: Vec<Option<usize>>,
}

impl HeadItems {
    /// Items by their texts as token ids, `[N]` in the order of their ids; `None` for an item without one.
    #[must_use]
    pub fn new(texts: Vec<Option<Vec<u32>>>) -> Self {
        let mut found = Self::default();
        for (item, text) in (0..).map(ItemId).zip(texts) {
            found.rows.push(text.as_ref().map(|_| found.items.len()));
            if let Some(text) = text {
                found.items.push(item);
                found.texts.push(text);
            }
        }
        found
    }

    /// The items that are scored, ascending.
    #[must_use]
    pub fn items(&self) -> &[ItemId] {
        &self.items
    }

    /// The texts of these items.
    #[must_use]
    pub fn texts(&self) -> &[Vec<u32>] {
        &self.texts
    }

    /// The place of an item among them; `None` for an item that is not scored.
    #[must_use]
    pub fn row(&self, item: ItemId) -> Option<usize> {
        self.rows.get(item.index()).copied().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_without_a_text_have_no_row() {
        let items = HeadItems::new(vec![None, Some(vec![4, 5]), None, Some(vec![6])]);
        assert_eq!(items.items(), [ItemId(1), ItemId(3)]);
        let rows: Vec<_> = (0..5).map(|item| items.row(ItemId(item))).collect();
        assert_eq!(rows, [None, Some(0), None, Some(1), None]);
        assert_eq!(items.texts()[1], [6]);
    }
}
