//! The texts that are wanted, and what a teacher may know for each of them.

use std::fmt;

use serde::Serialize;
use sidereal_data::{Dataset, Item, Sample, SampleId, TrainSet};
use sidereal_prompts::EnrichmentKind;
use sidereal_sid::{Catalog, ItemId};

use crate::TeacherError;
use crate::wording::Wording;

/// The stage of a request in the making of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum RequestStage {
    /// What the item is, from its title and description.
    ItemAnalyse,
    /// The analysis as a paragraph that names the item by its Semantic ID.
    ItemIntegrate,
    /// What the item is, from its title, its description and its reviews, without codes.
    ItemDescribe,
    /// Reasoning in the first person from the history towards the held-out item, without revealing it.
    UserReason,
    /// The reasoning as a story.
    UserIntegrate,
    /// What the user prefers.
    Preference,
    /// Labelled steps between tags, and the answer.
    Reasoning,
}

impl RequestStage {
    /// Every stage.
    pub const ALL: [Self; 7] = [
        Self::ItemAnalyse,
        Self::ItemIntegrate,
        Self::ItemDescribe,
        Self::UserReason,
        Self::UserIntegrate,
        Self::Preference,
        Self::Reasoning,
    ];

    /// The requests that make a text, in their order.
    #[must_use]
    pub const fn of(kind: EnrichmentKind) -> &'static [Self] {
        match kind {
            EnrichmentKind::ItemParagraph => &[Self::ItemAnalyse, Self::ItemIntegrate],
            EnrichmentKind::ItemDescription => &[Self::ItemDescribe],
            EnrichmentKind::UserNarrative => &[Self::UserReason, Self::UserIntegrate],
            EnrichmentKind::Preference => &[Self::Preference],
            EnrichmentKind::Reasoning => &[Self::Reasoning],
            EnrichmentKind::Monologue => &[Self::UserReason],
        }
    }

    /// The kind of text that the requests of a stage are remembered for. The monologue from which a
    /// narrative is written is a text too, so it is paid for once for both.
    #[must_use]
    pub const fn kind(self) -> EnrichmentKind {
        match self {
            Self::ItemAnalyse | Self::ItemIntegrate => EnrichmentKind::ItemParagraph,
            Self::ItemDescribe => EnrichmentKind::ItemDescription,
            Self::UserReason => EnrichmentKind::Monologue,
            Self::UserIntegrate => EnrichmentKind::UserNarrative,
            Self::Preference => EnrichmentKind::Preference,
            Self::Reasoning => EnrichmentKind::Reasoning,
        }
    }

    /// Whether the answer is only notes for the next stage, and no text of its own.
    #[must_use]
    pub const fn is_notes(self) -> bool {
        matches!(self, Self::ItemAnalyse)
    }
}

impl fmt::Display for RequestStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ItemAnalyse => "item-analyse",
            Self::ItemIntegrate => "item-integrate",
            Self::ItemDescribe => "item-describe",
            Self::UserReason => "user-reason",
            Self::UserIntegrate => "user-integrate",
            Self::Preference => "preference",
            Self::Reasoning => "reasoning",
        })
    }
}

/// One text to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Job<'a> {
    kind: EnrichmentKind,
    about: About<'a>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum About<'a> {
    Item(ItemId),
    Event(Sample<'a>),
}

impl<'a> Job<'a> {
    /// A paragraph about an item.
    #[must_use]
    pub const fn item(item: ItemId) -> Self {
        Self { kind: EnrichmentKind::ItemParagraph, about: About::Item(item) }
    }

    /// Texts of one kind about all items that have a title, by identity; none for kinds that are
    /// about an event.
    pub fn items(kind: EnrichmentKind, dataset: &Dataset) -> impl Iterator<Item = Self> {
        let titled = kind.is_about_an_item().then(|| (0..).map(ItemId).zip(dataset.items()));
        let titled = titled.into_iter().flatten().filter(|(_, item)| !item.title.is_empty());
        titled.map(move |(id, _)| Self { kind, about: About::Item(id) })
    }

    /// Texts of one kind about all samples of a training set; none for kinds that are about an item.
    pub fn events(kind: EnrichmentKind, train: &'a TrainSet) -> impl Iterator<Item = Self> {
        let samples = (!kind.is_about_an_item()).then(|| train.samples());
        samples.into_iter().flatten().map(move |it| Self { kind, about: About::Event(it) })
    }

    /// What the text is to be.
    #[must_use]
    pub const fn kind(&self) -> EnrichmentKind {
        self.kind
    }

    /// What it is about.
    #[must_use]
    pub const fn id(&self) -> SampleId {
        match self.about {
            About::Item(item) => SampleId::Item(item),
            About::Event(sample) => sample.id,
        }
    }

    /// What a teacher may know for it.
    pub(super) fn subject<'d>(&self, known: &Known<'d>) -> Result<Subject<'d>, TeacherError> {
        let Known { dataset, catalog, reviews } = *known;
        let num_items = dataset.num_items();
        if catalog.is_none() && self.kind != EnrichmentKind::ItemDescription {
            return Err(TeacherError::NoCatalog { kind: self.kind });
        }
        let shown = |id: ItemId| -> Result<Shown<'d>, TeacherError> {
            let outside = || TeacherError::ItemRange { item: id, num_items };
            let item = dataset.item(id).ok_or_else(outside)?;
            let sid = match catalog {
                Some(catalog) => catalog.spec().text(catalog.sid(id).ok_or_else(outside)?),
                None => String::new(),
            };
            let reviews = reviews.get(id.index()).map_or(&[][..], Vec::as_slice);
            Ok(Shown { item, sid, reviews })
        };
        match self.about {
            About::Item(item) => Ok(Subject::Item(shown(item)?)),
            About::Event(sample) => {
                let held_out = shown(sample.target)?;
                let title = Wording::of(&held_out.item.title);
                let mut history = Vec::with_capacity(sample.history.len());
                for item in sample.history {
                    let item = shown(*item)?;
                    let same = item.sid == held_out.sid
                        || (title.len() > 0 && Wording::of(&item.item.title) == title);
                    if !same {
                        history.push(item);
                    }
                }
                Ok(Subject::Event { history, held_out })
            }
        }
    }
}

/// What is known of the items of all jobs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) dataset: &'a Dataset,
    /// `None` before items have Semantic IDs.
    pub(super) catalog: Option<&'a Catalog>,
    /// Of each item, the best first; empty if there are none.
    pub(super) reviews: &'a [Vec<String>],
}

/// An item as a teacher sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Shown<'a> {
    /// What is known of it.
    #[serde(skip)]
    pub item: &'a Item,
    /// Its Semantic ID in token notation; empty if it has none yet.
    pub sid: String,
    /// What users wrote of it, the best first.
    #[serde(skip)]
    pub reviews: &'a [String],
}

/// What a text is about.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Subject<'a> {
    /// An item.
    Item(Shown<'a>),
    /// An event of a user.
    Event {
        /// The items before it, earliest first. Items that are the held-out item, or have its
        /// Semantic ID or title, are left out, because a text about them would name it.
        history: Vec<Shown<'a>>,
        /// The item of the event.
        held_out: Shown<'a>,
    },
}

impl Subject<'_> {
    /// The item that the text is about, or that it leads to.
    #[must_use]
    pub const fn target(&self) -> &Shown<'_> {
        match self {
            Subject::Item(item) | Subject::Event { held_out: item, .. } => item,
        }
    }

    /// The items before the event; none for a text about an item.
    #[must_use]
    pub fn history(&self) -> &[Shown<'_>] {
        match self {
            Subject::Item(_) => &[],
            Subject::Event { history, .. } => history,
        }
    }
}
