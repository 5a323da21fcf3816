//! The mark after which a recommendation head scores items, or reads an item's vector.

use crate::{Facts, PromptError, PromptSet, SegmentKind, Task};

impl PromptSet {
    /// The last piece of the completions of [`Task::TitleHistoryToItem`] and [`Task::TitleToItem`], which is the same in
    /// both: a model reads it, and what it makes of all that came before is its state after it.
    ///
    /// ```
    /// use sidereal_prompts::PromptRegistry;
    /// let prompts = PromptRegistry::builtin()?;
    /// assert_eq!(prompts.set("r2ec")?.item_mark()?, "<answer>");
    /// assert!(prompts.set("terse")?.item_mark().is_err());
    /// # Ok::<(), sidereal_prompts::PromptError>(())
    /// ```
    ///
    /// # Errors
    /// [`PromptError::NoTemplate`] for a set without one of the tasks; [`PromptError::ItemMark`] if they end with
    /// different pieces, or with one that has variables or no text.
    pub fn item_mark(&self) -> Result<String, PromptError> {
        let facts = Facts::probe();
        let mark = |task| -> Result<Option<String>, PromptError> {
            let last = self.completion(task, &facts)?.pop();
            let frame = last.filter(|piece| piece.kind == SegmentKind::Frame);
            Ok(frame.map(|piece| piece.text).filter(|text| !text.is_empty()))
        };
        match (mark(Task::TitleHistoryToItem)?, mark(Task::TitleToItem)?) {
            (Some(of_user), Some(of_item)) if of_user == of_item => Ok(of_user),
            _ => Err(PromptError::ItemMark { set: self.name().to_owned() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn both_tasks_end_with_one_mark() {
        let set = |user: &str, item: &str| {
            let text = format!(
                "name = 'mine'\nabout = 'a test'\nformat = 'plain'\n\
                 [[template]]\ntask = 'title-history-to-item'\nversion = 1\n\
                 prompts = ['{{{{ titles | join }}}}']\ncompletion = {user}\n\
                 [[template]]\ntask = 'title-to-item'\nversion = 1\n\
                 prompts = ['{{{{ title }}}}']\ncompletion = {item}\n"
            );
            PromptSet::parse(Path::new("mine.toml"), &text).unwrap().item_mark()
        };
        let words = "[{ text = '{{ title }}' }, { text = '=>' }]";
        assert_eq!(set(words, "'=>'").unwrap(), "=>");
        for (user, item) in [(words, "'->'"), ("'{{ title }}=>'", "'=>'")] {
            let error = set(user, item).unwrap_err();
            assert!(matches!(error, PromptError::ItemMark { .. }), "{error}");
        }
    }
}
