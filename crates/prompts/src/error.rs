//! Why a set of prompts, a text or a task could not be used.

use std::path::PathBuf;

use sidereal_data::{DataError, SampleId};
use sidereal_sid::ItemId;

use crate::{EnrichmentKind, Task, Variable};

/// Why a set of prompts or a text could not be used, or a sample could not be rendered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each message names its fields")]
pub enum PromptError {
    /// A file that cannot be read.
    #[error("cannot read `{}`", path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// A file that is not a set of prompts.
    #[error("`{}` is not the TOML of a prompt set", path.display())]
    File {
        path: PathBuf,
        #[source]
        source: Box<toml::de::Error>,
    },
    /// A name that no set has.
    #[error("there is no prompt set `{name}`; the sets are {known}")]
    UnknownSet { name: String, known: String },
    /// Two sets of one name.
    #[error("there is already a prompt set `{name}`: choose another name")]
    RepeatedSet { name: String },
    /// A set without templates.
    #[error("prompt set `{set}` has no template")]
    EmptySet { set: String },
    /// Two templates of one task.
    #[error("prompt set `{set}`: task `{task}` has {found} templates, but it must have one")]
    RepeatedTemplate { set: String, task: Task, found: usize },
    /// A template of a task that has none.
    #[error("prompt set `{set}`: task `{task}` comes from data and has no template")]
    TaskOfData { set: String, task: Task },
    /// A task for which the set has no texts.
    #[error("prompt set `{set}` has no template for task `{task}`; it has templates for {known}")]
    NoTemplate { set: String, task: Task, known: String },
    /// A template without a paraphrase, or a completion without a segment.
    #[error("prompt set `{set}`: task `{task}`, version {version}: the {part} is empty")]
    EmptyTemplate { set: String, task: Task, version: u32, part: &'static str },
    /// System text in a plain set, which has no place for it.
    #[error(
        "prompt set `{set}`: a set of plain prompts cannot have a system text, but it has `{found}`"
    )]
    SystemInPlain { set: String, found: String },
    /// A set of messages that says it is a continuation.
    #[error("prompt set `{set}`: only a plain set with task `next-item` can be a continuation")]
    ContinuationOfMessages { set: String },
    /// A template that does not compile, or does not render.
    #[error("prompt set `{set}`: task `{task}`, version {version}: {part} cannot be rendered")]
    Template {
        set: String,
        task: Task,
        version: u32,
        part: String,
        #[source]
        source: minijinja::Error,
    },
    /// A template with a variable that its task does not have.
    #[error(
        "prompt set `{set}`: task `{task}`, version {version}: {part} uses `{found}`, which does not exist; \
         it can use {known}"
    )]
    UnknownVariable {
        set: String,
        task: Task,
        version: u32,
        part: String,
        found: String,
        known: String,
    },
    /// A template that leaves out a variable of its task.
    #[error("prompt set `{set}`: task `{task}`, version {version}: {part} never uses `{variable}`")]
    UnusedVariable { set: String, task: Task, version: u32, part: String, variable: Variable },
    /// A value that a task needs but was not given.
    #[error("prompt set `{set}`: task `{task}`: {part} uses `{variable}`, but no value was given")]
    MissingFact { set: String, task: Task, part: String, variable: Variable },
    /// A next-item template whose prompt and completion are not the beginning of the next prompt.
    #[error(
        "prompt set `{set}`: {part} of task `{task}`, version {version}, is not a continuation: \
         prompt and completion give `{found}`, but the next prompt is `{expected}`"
    )]
    NotContinuation {
        set: String,
        task: Task,
        version: u32,
        part: String,
        found: String,
        expected: String,
    },
    /// A reasoning template that does not say where the reasoning begins and ends.
    #[error(
        "prompt set `{set}`: the completion of task `reasoning` must have separate pieces for the text \
         before the chain of thought; the chain, which is `monologue`, or `reasoning` and then \
         perhaps `rewriting`; `</think>` or `<answer>`; and the Semantic ID"
    )]
    Reasoning { set: String },
    /// Templates for a recommendation head that do not end with one mark.
    #[error(
        "prompt set `{set}`: the completions of tasks `title-history-to-item` and `title-to-item` must end with the \
         same piece without variables, such as `<answer>`"
    )]
    ItemMark { set: String },
    /// A paraphrase that is not there.
    #[error(
        "prompt set `{set}`: task `{task}` has {count} paraphrases, but paraphrase {found} was requested"
    )]
    Paraphrase { set: String, task: Task, count: usize, found: usize },
    /// A sample to evaluate for which the data lack a text.
    #[error("task `{task}`: the prompt of sample `{id}` uses a text that the sample does not have")]
    MissingText { id: SampleId, task: Task },
    /// A task about an item that was used for an event, or the reverse.
    #[error("task `{task}` is not about {what}")]
    WrongTask { task: Task, what: &'static str },
    /// A behaviour that the data do not have.
    #[error("the data have no behaviour `{name}`; they have: {known}")]
    NoBehaviour { name: String, known: String },
    /// A task over candidates, without a pool of them.
    #[error("task `{task}` needs a pool of candidates, but none was set up")]
    NoPool { task: Task },
    /// A text of an item that would be read as a control token.
    #[error(
        "item `{item}`: its {field} contains `{token}`, which the tokenizer reads as a control token"
    )]
    ControlToken { item: String, field: &'static str, token: String },
    /// A portrait or a query that would be read as a control token in part.
    #[error(
        "user `{user}`: the {what} contains `{token}`, which the tokenizer reads as a control token"
    )]
    ControlTokenOfUser { user: String, what: &'static str, token: String },
    /// A teacher's text or a conversation that would be read as a control token in part.
    #[error("the {what} `{id}` contains `{token}`, which the tokenizer reads as a control token")]
    ControlTokenInText { id: SampleId, what: String, token: String },
    /// A teacher's paragraph that does not name its item by the catalogue's Semantic ID.
    #[error(
        "the paragraph about item {item} does not contain its Semantic ID `{sid}`: it was probably written for another catalogue"
    )]
    ForeignSid { item: ItemId, sid: String },
    /// A teacher's reasoning without the part that the prompts show apart.
    #[error(
        "the reasoning text `{id}` has no last line that begins with `{label}`, which the prompt set `{set}` needs: \
         write it again with `sidereal enrich --kind reasoning`"
    )]
    NoRewriting { set: String, id: SampleId, label: &'static str },
    /// A teacher's text about an item or event that the dataset lacks, or of another dataset.
    #[error(
        "the {kind} text `{id}` does not belong to this data: it was probably written for other data"
    )]
    ForeignEnrichment { id: SampleId, kind: EnrichmentKind },
    /// A catalogue of another dataset.
    #[error("the catalogue has {catalog} items, but the dataset has {dataset}")]
    CatalogSize { catalog: usize, dataset: usize },
    /// An item outside the dataset.
    #[error("item {item} is outside the {num_items} items")]
    ItemRange { item: ItemId, num_items: usize },
    /// Settings outside their range.
    #[error("`{field}` is {found}; expected {expected}")]
    Config { field: &'static str, found: String, expected: &'static str },
    /// Data or a file of data that could not be used.
    #[error(transparent)]
    Data(#[from] DataError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_is_wrong_where_and_what_was_expected() {
        let error = PromptError::NoTemplate {
            set: "terse".to_owned(),
            task: Task::Reasoning,
            known: "next-item, title-to-sid".to_owned(),
        };
        insta::assert_snapshot!(
            error.to_string(),
            @"prompt set `terse` has no template for task `reasoning`; it has templates for next-item, title-to-sid"
        );
    }
}
