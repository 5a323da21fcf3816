//! The one registry of prompts that training, evaluation and serving share.

use std::collections::BTreeMap;
use std::path::Path;

use crate::{PromptError, PromptSet};

/// Text of the token that ends a plain completion without a fixed length. A chat completion has
/// none, because the chat template that frames its prompt also closes the turn.
pub const END_OF_TURN: &str = "<|im_end|>";

/// The sets of this version of the library, as their files are named and hold them.
const BUILTIN: [(&str, &str); 14] = [
    ("prompts/terse.toml", include_str!("../prompts/terse.toml")),
    ("prompts/singer.toml", include_str!("../prompts/singer.toml")),
    ("prompts/singer-terse.toml", include_str!("../prompts/singer-terse.toml")),
    ("prompts/sidreasoner.toml", include_str!("../prompts/sidreasoner.toml")),
    ("prompts/gream.toml", include_str!("../prompts/gream.toml")),
    ("prompts/sage.toml", include_str!("../prompts/sage.toml")),
    ("prompts/sdpo.toml", include_str!("../prompts/sdpo.toml")),
    ("prompts/titles.toml", include_str!("../prompts/titles.toml")),
    ("prompts/lc-rec.toml", include_str!("../prompts/lc-rec.toml")),
    ("prompts/bigrec.toml", include_str!("../prompts/bigrec.toml")),
    ("prompts/slates.toml", include_str!("../prompts/slates.toml")),
    ("prompts/recif.toml", include_str!("../prompts/recif.toml")),
    ("prompts/r2ec.toml", include_str!("../prompts/r2ec.toml")),
    ("prompts/r2ec-terse.toml", include_str!("../prompts/r2ec-terse.toml")),
];

/// Sets of prompts by name.
///
/// ```
/// use sidereal_prompts::{PromptRegistry, Task};
/// let prompts = PromptRegistry::builtin()?;
/// let names: Vec<&str> = prompts.sets().map(|set| set.name()).collect();
/// assert_eq!(names[..6], ["bigrec", "gream", "lc-rec", "r2ec", "r2ec-terse", "recif"]);
/// assert_eq!(names[6..11], ["sage", "sdpo", "sidreasoner", "singer", "singer-terse"]);
/// assert_eq!(names[11..], ["slates", "terse", "titles"]);
/// assert!(prompts.set("gream")?.tasks().any(|task| task == Task::Reasoning));
/// # Ok::<(), sidereal_prompts::PromptError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct PromptRegistry {
    sets: BTreeMap<String, PromptSet>,
}

impl PromptRegistry {
    /// The sets of this version of the library.
    ///
    /// `terse` asks for each task in one word, `singer-terse` for all tasks of SINGER, `r2ec-terse` for those of a
    /// recommendation head, and `titles` and `slates` show candidates as titles and as Semantic IDs and nothing else. A model that is trained from scratch reads these words in every sample and would learn
    /// nothing from more words. The others are instructions for a pretrained model, each named
    /// after the system whose tasks it has.
    ///
    /// # Errors
    /// No error in a released version; see [`PromptSet::new`].
    pub fn builtin() -> Result<Self, PromptError> {
        let mut registry = Self::default();
        for (path, text) in BUILTIN {
            registry.add(PromptSet::parse(Path::new(path), text)?)?;
        }
        Ok(registry)
    }

    /// Adds a set.
    ///
    /// # Errors
    /// [`PromptError::RepeatedSet`].
    pub fn add(&mut self, set: PromptSet) -> Result<(), PromptError> {
        if self.sets.contains_key(set.name()) {
            return Err(PromptError::RepeatedSet { name: set.name().to_owned() });
        }
        self.sets.insert(set.name().to_owned(), set);
        Ok(())
    }

    /// The set of this name.
    ///
    /// # Errors
    /// [`PromptError::UnknownSet`], which names the known sets.
    pub fn set(&self, name: &str) -> Result<&PromptSet, PromptError> {
        self.sets.get(name).ok_or_else(|| PromptError::UnknownSet {
            name: name.to_owned(),
            known: self.sets.keys().cloned().collect::<Vec<_>>().join(", "),
        })
    }

    /// Every set, by name.
    pub fn sets(&self) -> impl Iterator<Item = &PromptSet> {
        self.sets.values()
    }
}

#[cfg(test)]
mod tests;
