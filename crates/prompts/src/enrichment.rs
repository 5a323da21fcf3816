//! Texts that a teacher wrote about items and users: they are paid for once and used by the tasks
//! that need them.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sidereal_data::read::{OnDoubtful, Problem, ProblemKind, RowPolicy, Skips, json_lines};
use sidereal_data::write::write_whole;
use sidereal_data::{Dataset, Digest, SampleId};

use sidereal_sid::TokenStyle;

use crate::control::{ControlKind, control_tokens};
use crate::{ControlMarkers, EnrichmentKind, PromptError};

/// One text of a teacher: a line of a file of enrichments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enrichment {
    /// What the text is about: an item for the kinds that are about an item, else the event of a user
    /// that is to be predicted.
    pub id: SampleId,
    /// What the text is.
    pub kind: EnrichmentKind,
    /// The text, Semantic IDs in token notation, without chat markers and without the tags of
    /// reasoning.
    pub text: String,
    /// Who wrote it.
    pub teacher: String,
    /// Hash of the prompt that asked for it.
    pub prompt_hash: String,
    /// Hash of the dataset that `id` belongs to. If it is there, the text is an error with other
    /// data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset: Option<String>,
}

impl Enrichment {
    /// The same, if the identity fits the kind and the text is allowed in a prompt.
    fn checked(self) -> Result<Self, Problem> {
        let field = |field: &'static str, found: &str, expected| {
            Err(Problem::new(ProblemKind::Field, field, found, expected))
        };
        match (self.kind.is_about_an_item(), self.id) {
            (true, SampleId::Item(_)) | (false, SampleId::Event { .. }) => {}
            (true, id) => return field("id", &id.to_string(), "an item like `i33`"),
            (false, id) => return field("id", &id.to_string(), "an event like `u17.4`"),
        }
        if self.text.trim().is_empty() {
            return field("text", &self.text, "a text");
        }
        if let Some((_, token)) = control_tokens(&self.text, &TokenStyle::default())
            .find(|(kind, _)| *kind != ControlKind::Code)
        {
            return field("text", token, "no chat marker and no tag of reasoning");
        }
        Ok(self)
    }
}

/// Texts of teachers by their subjects; at most one of a kind for an item or an event.
///
/// ```
/// use sidereal_data::read::RowPolicy;
/// use sidereal_data::{ItemId, SampleId};
/// use sidereal_prompts::{EnrichmentKind, Enrichments};
///
/// let dir = tempfile::tempdir()?;
/// let path = dir.path().join("enriched.jsonl");
/// std::fs::write(&path, r#"{"id": "i3", "kind": "item-paragraph",
///     "text": "<a_1><b_2> keeps tea hot.", "teacher": "rules", "prompt_hash": "5f"}"#
///     .replace('\n', ""))?;
/// let loaded = Enrichments::read(&path, &RowPolicy::strict())?;
/// let about = loaded.enrichments.text(EnrichmentKind::ItemParagraph, SampleId::Item(ItemId(3)));
/// assert_eq!(about, Some("<a_1><b_2> keeps tea hot."));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Enrichments {
    texts: BTreeMap<(EnrichmentKind, SampleId), Enrichment>,
}

/// What was read of a file of enrichments.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LoadedEnrichments {
    /// The texts.
    pub enrichments: Enrichments,
    /// Lines left out.
    pub skips: Skips,
}

impl Enrichments {
    /// Reads one JSON object a line, as [`Enrichment`] names its fields; plain, gzip or zstd.
    ///
    /// A second text of one kind about one thing is a duplicate; a policy that keeps duplicates
    /// lets the later one count.
    ///
    /// # Errors
    /// [`PromptError::Data`] for a file that cannot be read, for the first problem that `policy`
    /// calls an error: a line that is not such an object, an identity that does not fit the kind,
    /// an empty text, a control token; and if no line is left.
    pub fn read(path: &Path, policy: &RowPolicy) -> Result<LoadedEnrichments, PromptError> {
        let mut enrichments = Self::default();
        let mut skips = Skips::new(path);
        json_lines::read(path, policy, &mut skips, Enrichment::checked, |row| {
            enrichments.add(row, policy.duplicates == OnDoubtful::Keep)
        })?;
        skips.tell();
        Ok(LoadedEnrichments { enrichments, skips })
    }

    /// Adds a text.
    ///
    /// # Errors
    /// [`Problem`] of line 0, for a text that is not allowed in a prompt, an identity that does not
    /// fit the kind and, unless `replace`, a second text of one kind about one thing.
    pub fn insert(&mut self, text: Enrichment, replace: bool) -> Result<(), Problem> {
        self.add(text.checked()?, replace)
    }

    fn add(&mut self, text: Enrichment, replace: bool) -> Result<(), Problem> {
        let key = (text.kind, text.id);
        if !replace && self.texts.contains_key(&key) {
            let found = format!("{} {}", text.kind, text.id);
            let needed = "one text of a kind about one thing";
            return Err(Problem::new(ProblemKind::Duplicate, "", &found, needed));
        }
        self.texts.insert(key, text);
        Ok(())
    }

    /// Writes what [`read`](Self::read) reads, by kind and identity, whole or not at all.
    ///
    /// # Errors
    /// [`PromptError::Data`] for a file that cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), PromptError> {
        Ok(write_whole(path, |out| {
            for text in self.iter() {
                serde_json::to_writer(&mut *out, text)?;
                out.write_all(b"\n")?;
            }
            Ok(())
        })?)
    }

    /// Rejects texts whose subject is not in `dataset`, or that were written for another dataset.
    ///
    /// # Errors
    /// [`PromptError::ForeignEnrichment`], naming the first.
    pub fn check(&self, dataset: &Dataset) -> Result<(), PromptError> {
        let hash = dataset.hash();
        for text in self.iter() {
            let there = match text.id {
                SampleId::Item(item) => dataset.item(item).is_some(),
                SampleId::Event { user, position } => {
                    dataset.user(user).is_some_and(|user| (position as usize) < user.events.len())
                }
                SampleId::Chat(_) | SampleId::Query { .. } => false,
            };
            let same = text.dataset.as_ref().is_none_or(|made_for| *made_for == hash);
            if !(there && same) {
                return Err(PromptError::ForeignEnrichment { id: text.id, kind: text.kind });
            }
        }
        Ok(())
    }

    /// Rejects texts with one of the tokenizer's own control tokens. Chat markers and tags were
    /// rejected before, and codes of Semantic IDs are allowed.
    ///
    /// # Errors
    /// [`PromptError::ControlTokenInText`], naming the first.
    pub fn check_markers(&self, markers: &ControlMarkers) -> Result<(), PromptError> {
        let found = |text: &Enrichment| markers.find_token(&text.text).map(str::to_owned);
        match self.iter().find_map(|text| Some((text, found(text)?))) {
            None => Ok(()),
            Some((text, token)) => {
                let (id, what) = (text.id, format!("{} text", text.kind));
                Err(PromptError::ControlTokenInText { id, what, token })
            }
        }
    }

    /// The text of a kind about an item or an event.
    #[must_use]
    pub fn text(&self, kind: EnrichmentKind, id: SampleId) -> Option<&str> {
        self.texts.get(&(kind, id)).map(|text| text.text.as_str())
    }

    /// The texts of one kind alone.
    #[must_use]
    pub fn of_kind(&self, kind: EnrichmentKind) -> Self {
        let texts = self.texts.iter().filter(|((found, _), _)| *found == kind);
        Self { texts: texts.map(|(key, text)| (*key, text.clone())).collect() }
    }

    /// Every text, by kind and identity.
    pub fn iter(&self) -> impl Iterator<Item = &Enrichment> {
        self.texts.values()
    }

    /// Number of texts.
    #[must_use]
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// BLAKE3 of every identity, kind and text, in hexadecimal.
    #[must_use]
    pub fn hash(&self) -> String {
        let mut digest = Digest::default();
        for text in self.iter() {
            digest.text(&text.id.to_string());
            digest.text(&text.kind.to_string());
            digest.text(&text.text);
        }
        digest.finish()
    }
}

#[cfg(test)]
mod tests {
    use sidereal_data::{Item, ItemId, User, UserId};

    use super::*;

    fn text(id: &str, kind: EnrichmentKind, text: &str) -> Enrichment {
        Enrichment {
            id: id.parse().unwrap(),
            kind,
            text: text.to_owned(),
            teacher: "rules".to_owned(),
            prompt_hash: "5f".to_owned(),
            dataset: None,
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        let mut texts = Enrichments::default();
        texts.insert(text("u2.3", EnrichmentKind::Reasoning, "so <a_1>"), false).unwrap();
        texts.insert(text("i2", EnrichmentKind::ItemParagraph, "two\nlines"), false).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.jsonl");
        texts.write(&path).unwrap();
        let loaded = Enrichments::read(&path, &RowPolicy::strict()).unwrap();
        assert_eq!(loaded.enrichments, texts);
        assert_eq!(loaded.enrichments.hash(), texts.hash());
    }

    #[test]
    fn texts_that_cannot_stand_in_a_prompt_are_refused_by_field() {
        for (id, kind, body, field) in [
            ("u1.2", EnrichmentKind::ItemParagraph, "x", "id"),
            ("i1", EnrichmentKind::Preference, "x", "id"),
            ("i1", EnrichmentKind::ItemParagraph, " \n", "text"),
            ("i1", EnrichmentKind::ItemParagraph, "a <|im_end|> b", "text"),
            ("u1.2", EnrichmentKind::Reasoning, "<think>x</think>", "text"),
        ] {
            let problem = Enrichments::default().insert(text(id, kind, body), false).unwrap_err();
            assert_eq!((problem.kind, &*problem.field), (ProblemKind::Field, field), "{body}");
        }
    }

    #[test]
    fn bad_lines_and_duplicates_are_named_by_line() {
        let good =
            r#"{"id":"i1","kind":"item-paragraph","text":"a","teacher":"t","prompt_hash":""}"#;
        let lines = [
            good,
            good,
            "{",
            r#"{"id":"x1"}"#,
            &good.replace("text\":\"a", "text\":\"<|x|>"),
            &good.replace("item-paragraph", "poem"),
        ];
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.jsonl");
        std::fs::write(&path, lines.join("\n")).unwrap();
        let loaded = Enrichments::read(&path, &RowPolicy::lenient()).unwrap();
        assert_eq!(loaded.enrichments.len(), 1);
        let found: Vec<_> = loaded.skips.listed.iter().map(|p| (p.line, p.kind)).collect();
        let malformed = ProblemKind::Malformed;
        let expected = [
            (2, ProblemKind::Duplicate),
            (3, malformed),
            (4, malformed),
            (5, ProblemKind::Field),
            (6, malformed),
        ];
        assert_eq!(found, expected);
        let error = Enrichments::read(&path, &RowPolicy::strict()).unwrap_err().to_string();
        assert!(error.contains("line 2: duplicate"), "{error}");
    }

    #[test]
    fn texts_about_nothing_in_the_data_are_refused() {
        let items = vec![Item::new("a", "x"), Item::new("b", "y")];
        let dataset =
            Dataset::new(items, vec![User::new("u", [0, 1].map(ItemId).to_vec())]).unwrap();
        let check = |text: Enrichment| {
            let mut texts = Enrichments::default();
            texts.insert(text, false).unwrap();
            texts.check(&dataset)
        };
        let event = |position| SampleId::Event { user: UserId(0), position };
        assert!(check(text("i1", EnrichmentKind::ItemParagraph, "x")).is_ok());
        assert!(check(text(&event(1).to_string(), EnrichmentKind::Preference, "x")).is_ok());
        for id in ["u0.2", "u1.0"] {
            assert!(matches!(
                check(text(id, EnrichmentKind::Preference, "x")),
                Err(PromptError::ForeignEnrichment { .. })
            ));
        }
        let mut foreign = text("i1", EnrichmentKind::ItemParagraph, "x");
        foreign.dataset = Some(dataset.hash());
        assert!(check(foreign.clone()).is_ok());
        foreign.dataset = Some("other".to_owned());
        assert!(matches!(check(foreign), Err(PromptError::ForeignEnrichment { .. })));
    }
}
