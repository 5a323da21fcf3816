//! Why a set of prompts, or a text for one, was refused.

use std::path::PathBuf;

use super::{Task, Variable};

/// Why a set of prompts was refused, or does not say what is asked of it.
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
    /// A file that is no set of prompts.
    #[error("`{}` is not the TOML of a prompt set", path.display())]
    File {
        path: PathBuf,
        #[source]
        source: Box<toml::de::Error>,
    },
    /// A name that no set has.
    #[error("no prompt set is called `{name}`, there are {known}")]
    UnknownSet { name: String, known: String },
    /// Two sets of one name.
    #[error("a prompt set called `{name}` is there already")]
    RepeatedSet { name: String },
    /// A set without templates.
    #[error("prompt set `{set}` has no template")]
    EmptySet { set: String },
    /// Two templates of one task.
    #[error("prompt set `{set}`: task `{task}` has {found} templates, expected one")]
    RepeatedTemplate { set: String, task: Task, found: usize },
    /// A template of a task that has none.
    #[error("prompt set `{set}`: task `{task}` comes from data and has no template")]
    TaskOfData { set: String, task: Task },
    /// A task that the set does not word.
    #[error("prompt set `{set}` has no template of task `{task}`, it has {known}")]
    NoTemplate { set: String, task: Task, known: String },
    /// A template without a paraphrase, or a completion without a segment.
    #[error("prompt set `{set}`: task `{task}`, version {version}: the {part} is empty")]
    EmptyTemplate { set: String, task: Task, version: u32, part: &'static str },
    /// System text where nothing frames it.
    #[error("prompt set `{set}`: a plain set has no system text, found `{found}`")]
    SystemInPlain { set: String, found: String },
    /// The continuation law claimed for messages.
    #[error("prompt set `{set}`: only a plain set with task `next-item` can be a continuation")]
    ContinuationOfMessages { set: String },
    /// A template that does not compile, or does not render.
    #[error("prompt set `{set}`: task `{task}`, version {version}: {part} does not render")]
    Template {
        set: String,
        task: Task,
        version: u32,
        part: String,
        #[source]
        source: minijinja::Error,
    },
    /// A template that names what its task does not give it.
    #[error(
        "prompt set `{set}`: task `{task}`, version {version}: {part} names `{found}`, it knows \
         {known}"
    )]
    UnknownVariable {
        set: String,
        task: Task,
        version: u32,
        part: String,
        found: String,
        known: String,
    },
    /// A template that keeps from the model what its task is about.
    #[error(
        "prompt set `{set}`: task `{task}`, version {version}: {part} never shows `{variable}`"
    )]
    UnusedVariable { set: String, task: Task, version: u32, part: String, variable: Variable },
    /// A value that a task needs and was not given.
    #[error("prompt set `{set}`: task `{task}`: {part} needs `{variable}`, which was not given")]
    MissingFact { set: String, task: Task, part: String, variable: Variable },
    /// A next-item template whose prompt and completion are not the beginning of the next prompt.
    #[error(
        "prompt set `{set}`: {part} of task `{task}`, version {version}, is not a continuation: \
         prompt and completion give `{found}`, the next prompt is `{expected}`"
    )]
    NotContinuation {
        set: String,
        task: Task,
        version: u32,
        part: String,
        found: String,
        expected: String,
    },
    /// A reasoning template that does not say where thoughts begin and end.
    #[error(
        "prompt set `{set}`: the completion of task `reasoning` needs pieces of their own for what \
         opens the thoughts, the thoughts, `</think>` with what follows, and the semantic id"
    )]
    Thoughts { set: String },
    /// A paraphrase that is not there.
    #[error(
        "prompt set `{set}`: task `{task}` has {count} paraphrases, number {found} was asked for"
    )]
    Paraphrase { set: String, task: Task, count: usize, found: usize },
}
