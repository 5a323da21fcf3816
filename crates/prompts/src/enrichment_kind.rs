//! The kinds of text that a teacher writes.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a teacher's text is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
// Exhaustive: a teacher needs requests for every kind.
pub enum EnrichmentKind {
    /// A paragraph about an item that names it only by its Semantic ID (`SIDReasoner`).
    ItemParagraph,
    /// A description of an item, rewritten from its title, its description and its reviews, without
    /// codes (GREAM): it is embedded, so it comes before the Semantic IDs.
    ItemDescription,
    /// A story of a user up to, and without, the item held out (`SIDReasoner`).
    UserNarrative,
    /// What a user prefers, in short (GREAM).
    Preference,
    /// The reasoning from a history to the item chosen next in labelled steps (GREAM), without the
    /// tags around it.
    Reasoning,
    /// The reasoning in the first person from which a [`UserNarrative`](Self::UserNarrative) is
    /// written (`SIDReasoner`).
    Monologue,
}

impl EnrichmentKind {
    /// Whether the text is about an item; else it is about an event of a user.
    #[must_use]
    pub const fn is_about_an_item(self) -> bool {
        matches!(self, Self::ItemParagraph | Self::ItemDescription)
    }
}

impl fmt::Display for EnrichmentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ItemParagraph => "item-paragraph",
            Self::ItemDescription => "item-description",
            Self::UserNarrative => "user-narrative",
            Self::Preference => "preference",
            Self::Reasoning => "reasoning",
            Self::Monologue => "monologue",
        })
    }
}
