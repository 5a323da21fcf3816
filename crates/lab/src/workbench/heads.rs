//! What a recommendation head reads, and where it scores.

use sidereal_data::ItemId;
use sidereal_policy::ReasoningMarkers;
use sidereal_prompts::{Task, Wording};
use sidereal_train::HeadItems;

use super::Words;
use crate::error::LabError;

/// The items of a recommendation head, and the mark at which it scores them.
pub(crate) struct Heads {
    pub(crate) items: HeadItems,
    pub(crate) markers: ReasoningMarkers,
}

impl Words<'_> {
    /// What a head needs, of `num_items` items in the words of the run's prompts. An item without a title has no text;
    /// the log counts them.
    pub(crate) fn heads(&self, num_items: usize) -> Result<Heads, LabError> {
        let prompts = self.tasks.prompts();
        let markers = ReasoningMarkers::closing(self.tokenizer, &prompts.item_mark()?)?;
        let text = |item: ItemId| -> Result<Option<Vec<u32>>, LabError> {
            let Some(rendered) = self.tasks.item(Task::TitleToItem, item, Wording::First)? else {
                return Ok(None);
            };
            let read = self.encoder.read(&rendered.prompt)?;
            Ok(Some([read.as_slice(), markers.close()].concat()))
        };
        let texts = (0..).map(ItemId).take(num_items).map(text).collect::<Result<Vec<_>, _>>()?;
        let items = HeadItems::new(texts);
        let untitled = num_items - items.items().len();
        if untitled > 0 {
            tracing::warn!(untitled, of = num_items, "items without a title are not recommended");
        }
        Ok(Heads { items, markers })
    }
}
