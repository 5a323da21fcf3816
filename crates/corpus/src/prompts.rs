//! The one registry of templates that training, evaluation and serving share.

use std::collections::BTreeMap;
use std::fmt;

use minijinja::{Environment, UndefinedBehavior, Value, context};
use serde::{Deserialize, Serialize};

use crate::CorpusError;
use crate::dataset::Digest;

/// Text of the token that ends a completion without a fixed length.
pub const END_OF_TURN: &str = "<|im_end|>";

/// What a sample asks a model to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Task {
    /// Semantic IDs of a history → Semantic ID of the next item (SINGER §2.2).
    NextItem,
    /// Title of an item → its Semantic ID (SINGER §2.2).
    TitleToSid,
    /// Semantic ID of an item → its title (SINGER §2.2).
    SidToTitle,
}

impl Task {
    /// Every task, in the order of the registry.
    pub const ALL: [Self; 3] = [Self::NextItem, Self::TitleToSid, Self::SidToTitle];
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NextItem => "next-item",
            Self::TitleToSid => "title-to-sid",
            Self::SidToTitle => "sid-to-title",
        })
    }
}

/// The two texts of a task, in Jinja's notation.
///
/// [`Task::NextItem`] knows `history` (a list of Semantic IDs) and `sid` (the target's); the item
/// tasks know `title` and `sid`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// Which task.
    pub task: Task,
    /// Raised with every change of the texts.
    pub version: u32,
    /// What the model reads.
    pub prompt: String,
    /// What the model must write: the only part with a loss.
    pub completion: String,
}

/// A prompt and its completion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RenderedText {
    /// What the model reads.
    pub prompt: String,
    /// What the model must write.
    pub completion: String,
}

/// One template for every task, compiled, checked and hashed.
///
/// A next-item template is a *continuation*: an instruction, then the history's Semantic IDs, each
/// written exactly as a completion is. Prompt and completion of one prefix of a history are then
/// literally the beginning of the next prefix's prompt, so that one forward pass over a user's
/// longest prompt trains all of them. [`new`](Self::new) refuses a template that breaks this.
///
/// A Semantic ID ends where the trie does, so its completion carries no end-of-turn; a title's
/// completion ends with [`END_OF_TURN`].
///
/// ```
/// use sidereal_corpus::PromptRegistry;
/// let prompts = PromptRegistry::builtin()?;
/// let text = prompts.next_item(&["<a_1><b_2>", "<a_0><b_3>"], "<a_1><b_0>")?;
/// assert_eq!(text.prompt, "next:<a_1><b_2><a_0><b_3>");
/// assert_eq!(text.completion, "<a_1><b_0>");
/// # Ok::<(), sidereal_corpus::CorpusError>(())
/// ```
#[derive(Debug, Clone)]
pub struct PromptRegistry {
    templates: BTreeMap<Task, Template>,
    environment: Environment<'static>,
    hash: String,
}

impl PromptRegistry {
    /// The templates of this version of the library, one a task.
    ///
    /// Instructions are one word each: a model trained from scratch reads them in every sample and
    /// learns nothing from more.
    ///
    /// # Errors
    /// None that a released version can meet; see [`new`](Self::new).
    pub fn builtin() -> Result<Self, CorpusError> {
        let template = |task, prompt: &str, completion: &str| Template {
            task,
            version: 1,
            prompt: prompt.to_owned(),
            completion: completion.to_owned(),
        };
        Self::new(vec![
            template(Task::NextItem, "next:{{ history | join }}", "{{ sid }}"),
            template(Task::TitleToSid, "title: {{ title }} sid:", "{{ sid }}"),
            template(Task::SidToTitle, "sid:{{ sid }}title:", " {{ title }}<|im_end|>"),
        ])
    }

    /// A registry of these templates, exactly one a task.
    ///
    /// # Errors
    /// [`CorpusError::TemplateCount`], [`CorpusError::Template`] for one that does not compile or
    /// names an unknown variable, [`CorpusError::NotContinuation`].
    pub fn new(templates: Vec<Template>) -> Result<Self, CorpusError> {
        for task in Task::ALL {
            let found = templates.iter().filter(|template| template.task == task).count();
            if found != 1 {
                return Err(CorpusError::TemplateCount { task, found });
            }
        }
        let templates: BTreeMap<_, _> = templates.into_iter().map(|t| (t.task, t)).collect();
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_keep_trailing_newline(true);
        let mut digest = Digest::default();
        for template in templates.values() {
            let Template { task, version, prompt, completion } = template;
            digest.text(&task.to_string());
            digest.size(*version as usize);
            for (part, text) in [("prompt", prompt), ("completion", completion)] {
                digest.text(text);
                environment.add_template_owned(name(*task, part), text.clone()).map_err(
                    |source| CorpusError::Template { task: *task, version: *version, part, source },
                )?;
            }
        }
        let registry = Self { templates, environment, hash: digest.finish() };
        registry.prove_continuation()?;
        for task in [Task::TitleToSid, Task::SidToTitle] {
            registry.item(task, "a title", "<a_0>")?;
        }
        Ok(registry)
    }

    /// The templates, by task.
    pub fn templates(&self) -> impl Iterator<Item = &Template> {
        self.templates.values()
    }

    /// BLAKE3 of every template's task, version and texts, in hexadecimal: a checkpoint carries
    /// it, and using the checkpoint with other prompts is an error.
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// Prompt and completion of [`Task::NextItem`]; Semantic IDs in token notation.
    ///
    /// # Errors
    /// [`CorpusError::Template`] where a template refuses these values.
    pub fn next_item(&self, history: &[&str], sid: &str) -> Result<RenderedText, CorpusError> {
        let prompt = self.next_item_prompt(history)?;
        let completion = self.render(Task::NextItem, "completion", context! { history, sid })?;
        Ok(RenderedText { prompt, completion })
    }

    /// Prompt of [`Task::NextItem`], for serving: the target is unknown.
    ///
    /// # Errors
    /// [`CorpusError::Template`] where the template refuses these values.
    pub fn next_item_prompt(&self, history: &[&str]) -> Result<String, CorpusError> {
        self.render(Task::NextItem, "prompt", context! { history })
    }

    /// Prompt and completion of a task about one item.
    ///
    /// # Errors
    /// [`CorpusError::Template`] where a template refuses these values, and for
    /// [`Task::NextItem`], whose variables these are not.
    pub fn item(&self, task: Task, title: &str, sid: &str) -> Result<RenderedText, CorpusError> {
        let values = context! { title, sid };
        let prompt = self.render(task, "prompt", values.clone())?;
        Ok(RenderedText { prompt, completion: self.render(task, "completion", values)? })
    }

    fn render(&self, task: Task, part: &'static str, values: Value) -> Result<String, CorpusError> {
        self.environment
            .get_template(&name(task, part))
            .and_then(|template| template.render(values))
            .map_err(|source| {
                let version = self.templates.get(&task).map_or(0, |template| template.version);
                CorpusError::Template { task, version, part, source }
            })
    }

    /// Renders two prefixes of a history and compares the one, completed, with the other.
    fn prove_continuation(&self) -> Result<(), CorpusError> {
        let history = ["<a_0><b_1>", "<a_2><b_3><c_4>", "<a_5><b_6>", "<a_0><b_1>"];
        for len in 0..history.len() {
            let text = self.next_item(&history[..len], history[len])?;
            let found = text.prompt + &text.completion;
            let expected = self.next_item_prompt(&history[..=len])?;
            if found != expected {
                let task = Task::NextItem;
                let version = self.templates.get(&task).map_or(0, |template| template.version);
                return Err(CorpusError::NotContinuation { task, version, found, expected });
            }
        }
        Ok(())
    }
}

fn name(task: Task, part: &str) -> String {
    format!("{task}/{part}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(task: Task, prompt: &str, completion: &str) -> Result<PromptRegistry, CorpusError> {
        let mut templates: Vec<_> =
            PromptRegistry::builtin().unwrap().templates().cloned().collect();
        for template in templates.iter_mut().filter(|template| template.task == task) {
            (template.prompt, template.completion) = (prompt.to_owned(), completion.to_owned());
        }
        PromptRegistry::new(templates)
    }

    #[test]
    fn a_separator_or_trailing_text_breaks_the_continuation() {
        for prompt in ["next:{{ history | join(' ') }}", "{{ history | join }} next:"] {
            assert!(matches!(
                with(Task::NextItem, prompt, "{{ sid }}"),
                Err(CorpusError::NotContinuation { .. })
            ));
        }
        assert!(with(Task::NextItem, "buys {{ history | join }}", "{{ sid }}").is_ok());
    }

    #[test]
    fn an_unknown_variable_and_broken_syntax_are_refused() {
        for prompt in ["title: {{ name }}", "title: {{ title"] {
            assert!(matches!(
                with(Task::TitleToSid, prompt, "{{ sid }}"),
                Err(CorpusError::Template { task: Task::TitleToSid, part: "prompt", .. })
            ));
        }
    }

    #[test]
    fn every_task_needs_one_template() {
        let mut templates: Vec<_> =
            PromptRegistry::builtin().unwrap().templates().cloned().collect();
        templates.pop();
        assert!(matches!(
            PromptRegistry::new(templates.clone()),
            Err(CorpusError::TemplateCount { task: Task::SidToTitle, found: 0 })
        ));
        templates.extend(templates.clone());
        assert!(matches!(
            PromptRegistry::new(templates),
            Err(CorpusError::TemplateCount { task: Task::NextItem, found: 2 })
        ));
    }

    #[test]
    fn the_hash_follows_texts_and_versions() {
        let builtin = PromptRegistry::builtin().unwrap();
        let same = PromptRegistry::new(builtin.templates().cloned().collect()).unwrap();
        assert_eq!(same.hash(), builtin.hash());
        let other = with(Task::NextItem, "nxt:{{ history | join }}", "{{ sid }}").unwrap();
        assert_ne!(other.hash(), builtin.hash());
        let mut templates: Vec<_> = builtin.templates().cloned().collect();
        templates[0].version += 1;
        assert_ne!(PromptRegistry::new(templates).unwrap().hash(), builtin.hash());
    }

    #[test]
    fn titles_are_not_escaped_or_evaluated() {
        let prompts = PromptRegistry::builtin().unwrap();
        let text = prompts.item(Task::TitleToSid, "salt & \"pepper\" {{ sid }}", "<a_0>").unwrap();
        assert_eq!(text.prompt, "title: salt & \"pepper\" {{ sid }} sid:");
    }
}
