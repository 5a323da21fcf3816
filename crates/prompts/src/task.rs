//! The tasks that a model can be asked, and the variables that a template of each task has.

use std::fmt;
use std::str::FromStr;

use minijinja::Value;
use serde::{Deserialize, Serialize};

use crate::message::SegmentKind;

/// What a sample asks a model to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Task {
    /// Semantic IDs of a history → Semantic ID of the next item (SINGER §3.1, all systems).
    NextItem,
    /// Title of an item → its Semantic ID (SINGER §3.1).
    TitleToSid,
    /// Semantic ID of an item → its title (SINGER §3.1).
    SidToTitle,
    /// Titles of a history → Semantic ID of the next item (SINGER §3.1).
    TitleHistoryToSid,
    /// Semantic IDs of a history → title of the next item (SINGER §3.1).
    SidHistoryToTitle,
    /// Titles of a history → title of the next item (`SIDReasoner`).
    TitleHistoryToTitle,
    /// Description of an item → its Semantic ID (SINGER §3.1, GREAM's reconstruction).
    DescriptionToSid,
    /// Semantic ID of an item → its description (GREAM's reconstruction).
    SidToDescription,
    /// Semantic ID of an item → a teacher's paragraph, which names it so (`SIDReasoner`).
    ItemParagraph,
    /// Semantic IDs of a history → a teacher's story of the user (`SIDReasoner`).
    UserNarrative,
    /// Semantic IDs of a history → what the user prefers (GREAM).
    Preference,
    /// Semantic IDs of a history → a chain of thought, then the Semantic ID of the next item (GREAM's
    /// steps, `SIDReasoner`'s activation).
    Reasoning,
    /// Titles of a history and of candidates → a slate of titles, one a line (SAGE's `TextRec`).
    TitleSlate,
    /// Semantic IDs of a history and of candidates → a slate of Semantic IDs, one a line (SAGE).
    SidSlate,
    /// Titles of a history and of candidates → the title chosen next (S-DPO).
    TitleChoice,
    /// Semantic IDs of a history and a behaviour → Semantic ID of an item with which the user shows it next
    /// (`RecIF-Bench`'s label-conditional recommendation).
    LabelConditional,
    /// Semantic IDs of a history, that of an item and a behaviour → `yes` or `no`: whether the user shows it with
    /// the item (`RecIF-Bench`'s label prediction).
    LabelPrediction,
    /// A user's portrait and a query in words → Semantic ID of an item that the user chose for it
    /// (`RecIF-Bench`'s interactive recommendation).
    Interactive,
    /// Semantic IDs of a history → a slate of Semantic IDs out of the whole catalogue, one a line (SAGE's
    /// `OneRec-SAGE`).
    CatalogueSlate,
    /// Semantic IDs of a history → what the next item is, in free words (SINGER, figure 2).
    DescribeNext,
    /// A conversation as data hold it: general reasoning. It has no template.
    Chat,
    /// Titles of a history → words about the next item, then the mark after which a recommendation head scores all
    /// items (`R²ec`). The words to learn are the title of the next item.
    TitleHistoryToItem,
    /// Title of an item → the mark after which a recommendation head reads its vector (`R²ec`).
    TitleToItem,
}

/// What a template can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Variable {
    /// List: Semantic IDs of the items chosen, earliest first.
    History,
    /// List: their titles.
    Titles,
    /// List: the items to choose from, Semantic IDs or titles by the task.
    Candidates,
    /// Semantic ID of the item.
    Sid,
    /// Its title.
    Title,
    /// Its description.
    Description,
    /// [`EnrichmentKind::ItemParagraph`](crate::EnrichmentKind::ItemParagraph).
    Paragraph,
    /// [`EnrichmentKind::UserNarrative`](crate::EnrichmentKind::UserNarrative).
    Narrative,
    /// [`EnrichmentKind::Preference`](crate::EnrichmentKind::Preference).
    Preference,
    /// [`EnrichmentKind::Reasoning`](crate::EnrichmentKind::Reasoning), in a set that shows
    /// `rewriting` too without that part.
    Reasoning,
    /// The part of [`EnrichmentKind::Reasoning`](crate::EnrichmentKind::Reasoning) after the label
    /// [`REWRITING`](crate::REWRITING): the items of the history that matter.
    Rewriting,
    /// [`EnrichmentKind::Monologue`](crate::EnrichmentKind::Monologue).
    Monologue,
    /// The name of a behaviour, such as `like`.
    Behaviour,
    /// `yes` or `no`.
    Verdict,
    /// Who the user is, in words.
    Portrait,
    /// What the user asks for, in words.
    Query,
    /// How many items a slate has.
    SlateSize,
    /// List: the items of a slate, best first, Semantic IDs or titles by the task.
    Slate,
}

impl Task {
    /// Every task, in the order of a set.
    pub const ALL: [Self; 23] = [
        Self::NextItem,
        Self::TitleToSid,
        Self::SidToTitle,
        Self::TitleHistoryToSid,
        Self::SidHistoryToTitle,
        Self::TitleHistoryToTitle,
        Self::DescriptionToSid,
        Self::SidToDescription,
        Self::ItemParagraph,
        Self::UserNarrative,
        Self::Preference,
        Self::Reasoning,
        Self::TitleSlate,
        Self::SidSlate,
        Self::TitleChoice,
        Self::LabelConditional,
        Self::LabelPrediction,
        Self::Interactive,
        Self::CatalogueSlate,
        Self::DescribeNext,
        Self::Chat,
        Self::TitleHistoryToItem,
        Self::TitleToItem,
    ];

    /// The variables that a prompt gets and must show. None of them is part of the answer.
    #[must_use]
    pub const fn inputs(self) -> &'static [Variable] {
        use Variable::{
            Behaviour, Candidates, Description, History, Portrait, Query, Sid, SlateSize, Title,
            Titles,
        };
        match self {
            Self::NextItem
            | Self::SidHistoryToTitle
            | Self::UserNarrative
            | Self::Preference
            | Self::Reasoning
            | Self::DescribeNext => &[History],
            Self::TitleHistoryToSid | Self::TitleHistoryToTitle | Self::TitleHistoryToItem => {
                &[Titles]
            }
            Self::TitleToSid | Self::TitleToItem => &[Title],
            Self::DescriptionToSid => &[Description],
            Self::SidToTitle | Self::SidToDescription | Self::ItemParagraph => &[Sid],
            Self::TitleChoice => &[Titles, Candidates],
            Self::TitleSlate => &[Titles, Candidates, SlateSize],
            Self::SidSlate => &[History, Candidates, SlateSize],
            Self::LabelConditional => &[History, Behaviour],
            Self::LabelPrediction => &[History, Sid, Behaviour],
            Self::Interactive => &[Portrait, Query],
            Self::CatalogueSlate => &[History, SlateSize],
            Self::Chat => &[],
        }
    }

    /// The variables that a completion can show. It must show them all, but of those of a chain of
    /// thought either `monologue`, or `reasoning`, with or without `rewriting`.
    /// [`PromptSet::outputs`](crate::PromptSet::outputs) says which ones a set shows.
    #[must_use]
    pub const fn outputs(self) -> &'static [Variable] {
        use Variable::{
            Description, Monologue, Narrative, Paragraph, Preference, Reasoning, Rewriting, Sid,
            Slate, Title, Verdict,
        };
        match self {
            Self::NextItem
            | Self::TitleToSid
            | Self::TitleHistoryToSid
            | Self::DescriptionToSid
            | Self::LabelConditional
            | Self::Interactive => &[Sid],
            Self::LabelPrediction => &[Verdict],
            Self::SidToTitle
            | Self::SidHistoryToTitle
            | Self::TitleHistoryToTitle
            | Self::TitleHistoryToItem
            | Self::TitleChoice => &[Title],
            Self::SidToDescription | Self::DescribeNext => &[Description],
            Self::ItemParagraph => &[Paragraph],
            Self::UserNarrative => &[Narrative],
            Self::Preference => &[Preference],
            Self::Reasoning => &[Reasoning, Rewriting, Monologue, Sid],
            Self::TitleSlate | Self::SidSlate | Self::CatalogueSlate => &[Slate],
            Self::TitleToItem | Self::Chat => &[],
        }
    }

    /// Whether the task is about one item, whoever chose it; the others, except
    /// [`Chat`](Self::Chat) and those about a query, predict an event of a user.
    #[must_use]
    pub const fn is_about_an_item(self) -> bool {
        matches!(
            self,
            Self::TitleToSid
                | Self::SidToTitle
                | Self::DescriptionToSid
                | Self::SidToDescription
                | Self::ItemParagraph
                | Self::TitleToItem
        )
    }

    /// Whether the task is about a query of a user.
    #[must_use]
    pub const fn is_about_a_query(self) -> bool {
        matches!(self, Self::Interactive)
    }

    const fn name(self) -> &'static str {
        match self {
            Self::NextItem => "next-item",
            Self::TitleToSid => "title-to-sid",
            Self::SidToTitle => "sid-to-title",
            Self::TitleHistoryToSid => "title-history-to-sid",
            Self::SidHistoryToTitle => "sid-history-to-title",
            Self::TitleHistoryToTitle => "title-history-to-title",
            Self::DescriptionToSid => "description-to-sid",
            Self::SidToDescription => "sid-to-description",
            Self::ItemParagraph => "item-paragraph",
            Self::UserNarrative => "user-narrative",
            Self::Preference => "preference",
            Self::Reasoning => "reasoning",
            Self::TitleSlate => "title-slate",
            Self::SidSlate => "sid-slate",
            Self::TitleChoice => "title-choice",
            Self::LabelConditional => "label-conditional",
            Self::LabelPrediction => "label-prediction",
            Self::Interactive => "interactive",
            Self::CatalogueSlate => "catalogue-slate",
            Self::DescribeNext => "describe-next",
            Self::Chat => "chat",
            Self::TitleHistoryToItem => "title-history-to-item",
            Self::TitleToItem => "title-to-item",
        }
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that names no task.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a task like `next-item` or `title-to-sid`, found `{text}`")]
#[allow(missing_docs, reason = "the message names its field")]
pub struct TaskError {
    pub text: String,
}

impl FromStr for Task {
    type Err = TaskError;

    fn from_str(text: &str) -> Result<Self, TaskError> {
        let task = Self::ALL.into_iter().find(|task| task.name() == text);
        task.ok_or_else(|| TaskError { text: text.to_owned() })
    }
}

impl Variable {
    /// The name in a template.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::History => "history",
            Self::Titles => "titles",
            Self::Candidates => "candidates",
            Self::Sid => "sid",
            Self::Title => "title",
            Self::Description => "description",
            Self::Paragraph => "paragraph",
            Self::Narrative => "narrative",
            Self::Preference => "preference",
            Self::Reasoning => "reasoning",
            Self::Rewriting => "rewriting",
            Self::Monologue => "monologue",
            Self::Behaviour => "behaviour",
            Self::Verdict => "verdict",
            Self::Portrait => "portrait",
            Self::Query => "query",
            Self::SlateSize => "slate_size",
            Self::Slate => "slate",
        }
    }
}

impl Variable {
    /// Whether it is a text of a chain of thought.
    pub(super) const fn is_of_a_chain(self) -> bool {
        matches!(self, Self::Reasoning | Self::Rewriting | Self::Monologue)
    }
}

/// Whether a completion with these variables has one chain of thought.
pub(super) fn show_one_chain(shown: &[Variable]) -> bool {
    let [reasoning, rewriting, monologue] =
        [Variable::Reasoning, Variable::Rewriting, Variable::Monologue].map(|v| shown.contains(&v));
    if monologue { !reasoning && !rewriting } else { reasoning }
}

impl fmt::Display for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Values of [`Variable`]s; a text whose task needs one that is `None` does not render.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the variable of its name")]
pub struct Facts<'a> {
    pub history: Option<Vec<&'a str>>,
    pub titles: Option<Vec<&'a str>>,
    pub candidates: Option<Vec<&'a str>>,
    pub sid: Option<&'a str>,
    pub title: Option<&'a str>,
    pub description: Option<&'a str>,
    pub paragraph: Option<&'a str>,
    pub narrative: Option<&'a str>,
    pub preference: Option<&'a str>,
    pub reasoning: Option<&'a str>,
    pub rewriting: Option<&'a str>,
    pub monologue: Option<&'a str>,
    pub behaviour: Option<&'a str>,
    pub verdict: Option<&'a str>,
    pub portrait: Option<&'a str>,
    pub query: Option<&'a str>,
    pub slate_size: Option<usize>,
    pub slate: Option<Vec<&'a str>>,
}

impl Facts<'_> {
    /// The values that a template with these variables sees, and no others. The first one that is
    /// missing is an error, because Jinja's filters treat an undefined value as empty.
    pub(super) fn only(&self, variables: &[Variable]) -> Result<Value, Variable> {
        let known = variables.iter().map(|variable| {
            let list = |texts: &Option<Vec<&str>>| {
                let values =
                    |texts: &Vec<&str>| texts.iter().map(|text| Value::from(*text)).collect();
                texts.as_ref().map(values)
            };
            let value = match variable {
                Variable::History => list(&self.history),
                Variable::Titles => list(&self.titles),
                Variable::Candidates => list(&self.candidates),
                Variable::Slate => list(&self.slate),
                Variable::SlateSize => self.slate_size.map(Value::from),
                Variable::Behaviour => self.behaviour.map(Value::from),
                Variable::Verdict => self.verdict.map(Value::from),
                Variable::Portrait => self.portrait.map(Value::from),
                Variable::Query => self.query.map(Value::from),
                Variable::Sid => self.sid.map(Value::from),
                Variable::Title => self.title.map(Value::from),
                Variable::Description => self.description.map(Value::from),
                Variable::Paragraph => self.paragraph.map(Value::from),
                Variable::Narrative => self.narrative.map(Value::from),
                Variable::Preference => self.preference.map(Value::from),
                Variable::Reasoning => self.reasoning.map(Value::from),
                Variable::Rewriting => self.rewriting.map(Value::from),
                Variable::Monologue => self.monologue.map(Value::from),
            };
            value.map(|value| (variable.name(), value)).ok_or(*variable)
        });
        known.collect()
    }

    /// Values of every variable, to try a template with.
    pub(super) fn probe() -> Self {
        let sids = vec!["<a_0><b_1>", "<a_2><b_3><c_4>"];
        let titles = vec!["a title", "another"];
        Self {
            history: Some(sids.clone()),
            titles: Some(titles.clone()),
            candidates: Some(titles.clone()),
            behaviour: Some("like"),
            verdict: Some("yes"),
            portrait: Some("likes tea"),
            query: Some("tea"),
            slate_size: Some(2),
            slate: Some(titles),
            sid: Some("<a_0>"),
            title: Some("a title"),
            description: Some("a description"),
            paragraph: Some("a paragraph"),
            narrative: Some("a story"),
            preference: Some("a preference"),
            reasoning: Some("a chain"),
            rewriting: Some("a rewriting"),
            monologue: Some("a monologue"),
        }
    }
}

/// What a segment of a completion is, by the variables that its template names.
pub(super) fn segment_kind(text: &str, names_variables: bool) -> SegmentKind {
    let inner = text.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}"));
    match inner.map(str::trim) {
        Some("sid") => SegmentKind::Sid,
        _ if names_variables => SegmentKind::Words,
        _ => SegmentKind::Frame,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_reads_back_by_its_name_as_in_json() {
        for task in Task::ALL {
            assert_eq!(task.to_string().parse(), Ok(task));
            assert_eq!(serde_json::to_string(&task).unwrap(), format!("\"{task}\""));
        }
        assert!("next_item".parse::<Task>().is_err());
    }

    #[test]
    fn no_prompt_shows_its_completion() {
        for task in Task::ALL {
            assert!(task.outputs().iter().all(|output| !task.inputs().contains(output)), "{task}");
        }
    }

    #[test]
    fn only_a_bare_semantic_id_is_one() {
        assert_eq!(segment_kind("{{sid}}", true), SegmentKind::Sid);
        assert_eq!(segment_kind("{{ sid }}\n", true), SegmentKind::Words);
        assert_eq!(segment_kind("<answer>", false), SegmentKind::Frame);
    }
}
