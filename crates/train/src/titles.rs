//! The titles of all items as answers.

use sidereal_policy::{Constraint, Excluded};
use sidereal_prompts::{Facts, Format, PromptSet, Task};
use sidereal_sid::{ItemId, NodeId, SemanticId};
use tch::Device;

use crate::TrainError;
use crate::encode::Encoder;

/// The trie of the titles of all items, each with its end, as a set of prompts writes them: what may be written
/// where a title is the answer.
///
/// SINGER §3.1: "a precompiled dictionary that contains the SID of each item as well as its canonical title".
/// Items with one title share a leaf. Items without a title are no answers.
#[derive(Debug)]
pub struct TitleTrie {
    constraint: Constraint,
    untitled: Excluded,
}

impl TitleTrie {
    /// The trie of `titles`, one for each item of the catalogue in the order of their ids, in the form in which
    /// `prompts` write the answers to these tasks. An empty title is none.
    ///
    /// # Errors
    /// [`TrainError::Setting`] if no task is given, or if the answers to two of them are not written alike;
    /// [`TrainError::Policy`] if one answer is the beginning of another, as in a set that does not write their
    /// ends; those of templates and of the tokenizer.
    pub fn new(
        titles: &[&str],
        tasks: &[Task],
        prompts: &PromptSet,
        encoder: &Encoder<'_>,
        device: Device,
    ) -> Result<Self, TrainError> {
        let chat = prompts.spec().format == Format::Chat;
        let written = |task: Task| -> Result<Vec<Vec<u32>>, TrainError> {
            let answer = |title: &&str| {
                if title.is_empty() {
                    // No answer, but each item has a leaf.
                    return encoder.in_words(&[], true);
                }
                let facts = Facts { title: Some(title), ..Facts::default() };
                encoder.in_words(&prompts.completion(task, &facts)?, chat)
            };
            titles.iter().map(answer).collect()
        };
        let refuse = |found: String, needed| TrainError::Setting {
            field: "prompts".to_owned(),
            found: format!("`{}`, {found}", prompts.name()),
            needed,
        };
        let Some((first, others)) = tasks.split_first() else {
            return Err(refuse("without a task".to_owned(), "a task that titles answer"));
        };
        let sequences = written(*first)?;
        for task in others {
            if written(*task)? != sequences {
                let found = format!("whose titles in `{first}` and `{task}` differ");
                return Err(refuse(found, "a set that writes the titles of both in one form"));
            }
        }
        let constraint = Constraint::from_sequences(&sequences, device)?;
        let items = (0..).map(ItemId).zip(titles);
        let untitled = items.filter(|(_, title)| title.is_empty()).map(|(item, _)| item);
        let untitled = Excluded::new(constraint.trie(), untitled)?;
        Ok(Self { constraint, untitled })
    }

    /// What may be written.
    #[must_use]
    pub const fn constraint(&self) -> &Constraint {
        &self.constraint
    }

    /// What may not: the leaf of items without a title.
    #[must_use]
    pub const fn untitled(&self) -> &Excluded {
        &self.untitled
    }

    /// The title of an item as an answer to compare; empty for an unknown item.
    pub(crate) fn of_item(&self, item: ItemId) -> SemanticId {
        self.constraint.trie().leaf(item).map_or_else(SemanticId::default, Self::identity)
    }

    /// A title as an answer to compare: the number of its leaf, in two codes. All items with this title have the
    /// same, and no other item has it, whatever their Semantic IDs are.
    pub(crate) fn identity(leaf: NodeId) -> SemanticId {
        let [a, b, c, d] = leaf.0.to_be_bytes();
        SemanticId::from([u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])])
    }
}
