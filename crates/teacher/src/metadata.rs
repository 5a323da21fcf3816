//! The teacher that needs no model.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::check::LABELS;
use crate::wording::Wording;
use crate::{
    Answer, AskError, AskErrorKind, Finish, Request, RequestStage, Shown, Subject, Teacher, Usage,
};

/// Number of items of a history that are named, the latest ones.
const MAX_NAMED: usize = 5;
/// Categories, makers or words that are listed.
const MAX_LISTED: usize = 3;
/// Words of a review that are repeated.
const MAX_REVIEWED: usize = 30;
/// Words of a description that are repeated.
const MAX_DESCRIBED: usize = 60;
/// Shortest word of a title that counts as meaningful.
const MIN_LETTERS: usize = 4;

/// Composes texts by rule from what is known of items: titles, categories, makers, descriptions.
///
/// The same request always gets the same answer, at no cost. It says only what the metadata say. It
/// is the weakest teacher in the tables of the papers, and the one that every other teacher has to
/// beat.
#[derive(Debug, Clone, Copy, Default)]
pub struct MetadataTeacher;

impl Teacher for MetadataTeacher {
    fn name(&self) -> &'static str {
        "metadata"
    }

    fn ask(&self, request: &Request<'_>) -> Result<Answer, AskError> {
        let text = match (request.stage, request.subject) {
            (RequestStage::ItemAnalyse | RequestStage::ItemIntegrate, Subject::Item(item)) => {
                paragraph(&item.sid, item)
            }
            (RequestStage::ItemDescribe, Subject::Item(item)) => description(item),
            (stage, Subject::Event { history, held_out }) => {
                let history = History { items: history, hidden: Wording::of(&held_out.item.title) };
                match stage {
                    RequestStage::UserReason => history.monologue(),
                    RequestStage::Preference => history.preference(),
                    RequestStage::UserIntegrate => history.narrative(),
                    RequestStage::Reasoning => history.reasoning(&held_out.sid),
                    RequestStage::ItemAnalyse
                    | RequestStage::ItemIntegrate
                    | RequestStage::ItemDescribe => {
                        return Err(wrong_subject());
                    }
                }
            }
            _ => return Err(wrong_subject()),
        };
        Ok(Answer { text, finish: Finish::Complete, usage: Usage::default() })
    }
}

fn wrong_subject() -> AskError {
    AskError::new(AskErrorKind::Refused, "the stage is not about such a subject")
}

/// What is known of an item, called `name`. The words of its title are sorted by length, so
/// that they do not form the title.
fn paragraph(name: &str, shown: &Shown<'_>) -> String {
    let item = shown.item;
    let mut text = format!("{name} is a product");
    if !item.brand.is_empty() {
        let _ = write!(text, " by {}", plain(&item.brand));
    }
    if !item.categories.is_empty() {
        let _ = write!(text, " in the categories {}", plain(&item.categories.join(", ")));
    }
    text.push('.');
    let title = Wording::of(&item.title);
    let mut words: Vec<&str> = title.words().iter().map(String::as_str).collect();
    words.sort_by_key(|word| (std::cmp::Reverse(word.chars().count()), *word));
    words.dedup();
    if !words.is_empty() {
        let _ = write!(text, " Words that describe it, the longest first: {}.", words.join(", "));
    }
    let described: Vec<&str> = item
        .description
        .split_inclusive(['.', '!', '?', ';'])
        .filter(|sentence| !Wording::of(sentence).contains(title.words()))
        .flat_map(str::split_whitespace)
        .take(MAX_DESCRIBED)
        .collect();
    if !described.is_empty() {
        let _ = write!(text, " Its seller says: {}", plain(&described.join(" ")));
    }
    text
}

/// What is known of an item without its Semantic ID, and how its reviews begin.
fn description(shown: &Shown<'_>) -> String {
    let mut text = paragraph("This", shown);
    for review in shown.reviews {
        let words: Vec<&str> = review.split_whitespace().take(MAX_REVIEWED).collect();
        let _ = write!(text, " A customer wrote: {}", plain(&words.join(" ")));
    }
    text
}

/// A history without the item to be predicted.
struct History<'a> {
    items: &'a [Shown<'a>],
    /// Title that must not be revealed.
    hidden: Wording,
}

impl History<'_> {
    /// The latest items, each with its Semantic ID and the part of its title that may be shown.
    fn named(&self) -> String {
        let start = self.items.len().saturating_sub(MAX_NAMED);
        let name = |shown: &Shown<'_>| {
            let title = plain(&shown.item.title);
            let told = !title.is_empty() && !Wording::of(&title).contains(self.hidden.words());
            if told { format!("{title} {}", shown.sid) } else { shown.sid.clone() }
        };
        let named: Vec<_> = self.items.iter().skip(start).map(name).collect();
        named.join(", then ")
    }

    /// What items of the history share, most frequent first.
    fn shared(&self) -> String {
        let categories = self.items.iter().flat_map(|shown| shown.item.categories.iter().cloned());
        let brands = self.items.iter().map(|shown| shown.item.brand.clone());
        let words = self.items.iter().flat_map(|shown| {
            let mut words = Wording::of(&shown.item.title).words().to_vec();
            words.retain(|word| {
                word.chars().count() >= MIN_LETTERS && word.chars().all(char::is_alphabetic)
            });
            words.sort();
            words.dedup();
            words
        });
        let listed = [
            ("kinds", frequent(categories)),
            ("makers", frequent(brands)),
            ("words of titles", frequent(words)),
        ];
        let listed = listed.into_iter().filter(|(_, values)| !values.is_empty());
        let listed: Vec<_> = listed.map(|(what, values)| format!("{what}: {values}")).collect();
        if listed.is_empty() {
            "nothing that the metadata tell".to_owned()
        } else {
            listed.join("; ")
        }
    }

    fn preference(&self) -> String {
        let count = self.items.len();
        let shared = self.shared();
        format!(
            "The customer made {count} choices that are known. Most frequent among them, with how \
             many choices show it, are {shared}."
        )
    }

    fn monologue(&self) -> String {
        format!(
            "I look at the latest choices of this customer, which were, in their order, {}. Most \
             frequent among all choices, with how many choices show it, I find {}. I see no break \
             with it, so I expect that the customer goes on in this direction.",
            self.named(),
            self.shared(),
        )
    }

    fn narrative(&self) -> String {
        let named = self.named();
        let shared = self.shared();
        format!(
            "The customer's latest choices were, in their order, {named}. Most frequent among all \
             choices, with how many show it, are {shared}."
        )
    }

    fn reasoning(&self, answer: &str) -> String {
        let start = self.items.len().saturating_sub(MAX_NAMED);
        let kept: Vec<&str> =
            self.items.iter().skip(start).map(|shown| shown.sid.as_str()).collect();
        let [evidence, preferences, intent, rewriting] = LABELS;
        format!(
            "<think>\n{evidence} the latest choices were, in their order, {}.\n\
             {preferences} most frequent, with how many choices show it, are {}.\n\
             {intent} the customer goes on as before, with a product that shares most of this.\n\
             {rewriting} {}\n</think>\n<answer>{answer}</answer>",
            self.named(),
            self.shared(),
            kept.join(" "),
        )
    }
}

/// The most frequent values, each with its count; ties in alphabetical order.
fn frequent(values: impl Iterator<Item = String>) -> String {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for value in values.filter(|value| !value.is_empty()) {
        *counts.entry(plain(&value)).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count)); // stable
    let listed = counts.iter().take(MAX_LISTED).map(|(value, count)| format!("{value} ({count})"));
    listed.collect::<Vec<_>>().join(", ")
}

/// A text on one line, without what a tokenizer could take for a control token.
fn plain(text: &str) -> String {
    let text: String = text.chars().filter(|c| !matches!(c, '<' | '>')).collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use sidereal_data::{Dataset, Item, ItemId, SampleId, User, UserId, leave_one_out};
    use sidereal_prompts::EnrichmentKind;
    use sidereal_sid::{Catalog, SemanticId, SidSpec};

    use super::super::{EnrichConfig, Enriched, Enricher, Failed, Job};
    use super::*;
    use crate::{Reason, TeacherError};

    /// Odd items on purpose: a title of markup, one within another, one of one word, two alike.
    fn dataset() -> Dataset {
        let items = vec![
            Item::new("a", "Green tea from Uji")
                .with_brand("Uji Leaf")
                .with_categories(vec!["Food".to_owned(), "Tea".to_owned()])
                .with_description("Green tea from Uji. Mild; <b>hand</b> picked! <a_9>"),
            Item::new("b", "Steel <a_1> kettle </think> x"),
            Item::new("c", "Kettle").with_brand("Steel"),
            Item::new("d", "Set: green tea from Uji, and a cup"),
            Item::new("e", "GREEN TEA - FROM UJI").with_categories(vec!["Kettle".to_owned()]),
        ];
        let user = |key: &str, events: &[u32]| {
            User::new(key, events.iter().copied().map(ItemId).collect())
        };
        let users = vec![
            user("u", &[3, 1, 0, 2, 4, 3, 0]),
            user("v", &[0, 0, 4, 1, 2]), // two choices of its own title at the beginning
        ];
        Dataset::new(items, users).unwrap()
    }

    fn enrich(kind: EnrichmentKind) -> Enriched {
        let dataset = dataset();
        let sids = (0..5).map(|i| SemanticId::from([i, 0])).collect();
        let catalog = Catalog::new(SidSpec::new(vec![5, 1], 0).unwrap(), sids).unwrap();
        let split = leave_one_out(&dataset, NonZeroUsize::MAX).unwrap();
        let enricher = Enricher::new(&dataset, &catalog, EnrichConfig::new(1)).unwrap();
        let items = Job::items(kind, &dataset);
        let jobs: Vec<_> = items.chain(Job::events(kind, &split.train)).collect();
        enricher.run(&MetadataTeacher, None, &jobs, &mut |_| {}).unwrap()
    }

    #[test]
    fn every_text_passes_every_check() {
        for kind in [
            EnrichmentKind::ItemParagraph,
            EnrichmentKind::ItemDescription,
            EnrichmentKind::UserNarrative,
            EnrichmentKind::Preference,
            EnrichmentKind::Reasoning,
            EnrichmentKind::Monologue,
        ] {
            let made = enrich(kind);
            let about_items = kind.is_about_an_item();
            // Users' training events after the first: 4 and 2, of which v's have no history left.
            assert_eq!(made.enrichments.len(), if about_items { 5 } else { 4 }, "{kind}: {made:?}");
            let nothing = |it: &Failed| it.reason == Reason::NothingShown;
            assert_eq!(made.failed.iter().filter(|it| nothing(it)).count(), made.failed.len());
            assert_eq!(made.failed.len(), if about_items { 0 } else { 2 });
            assert_eq!(made.enrichments, enrich(kind).enrichments);
        }
    }

    #[test]
    fn a_paragraph_says_what_is_known_and_not_the_title() {
        let made = enrich(EnrichmentKind::ItemParagraph);
        let text = made.enrichments.text(EnrichmentKind::ItemParagraph, SampleId::Item(ItemId(0)));
        let expected = "<a_0><b_0> is a product by Uji Leaf in the categories Food, Tea. Words that \
                        describe it, the longest first: green, from, tea, uji. Its seller says: \
                        Mild; bhand/b picked! a_9";
        assert_eq!(text, Some(expected));
    }

    #[test]
    fn a_description_is_made_before_there_are_codes_and_tells_what_users_wrote() {
        let dataset = dataset();
        let reviews: Vec<_> =
            ["Fresh and <i>mild</i>.", "", "", "", ""].map(|it| vec![it.to_owned()]).to_vec();
        let enricher = Enricher::without_catalog(&dataset, EnrichConfig::new(1)).unwrap();
        let refused = Enricher::without_catalog(&dataset, EnrichConfig::new(1)).unwrap();
        let refused = refused.with_reviews(&reviews[1..]);
        assert!(matches!(refused, Err(TeacherError::ReviewCount { reviews: 4, dataset: 5 })));
        let enricher = enricher.with_reviews(&reviews).unwrap();
        let run = |kind| {
            let jobs: Vec<_> = Job::items(kind, &dataset).collect();
            enricher.run(&MetadataTeacher, None, &jobs, &mut |_| {})
        };
        let made = run(EnrichmentKind::ItemDescription).unwrap().enrichments;
        assert_eq!(made.len(), 5);
        let text = |item| made.text(EnrichmentKind::ItemDescription, SampleId::Item(ItemId(item)));
        assert!(text(0).unwrap().starts_with("This is a product by Uji Leaf in the categories"));
        assert!(
            text(0).unwrap().ends_with("A customer wrote: Fresh and imild/i."),
            "{:?}",
            text(0)
        );
        let refused = run(EnrichmentKind::ItemParagraph);
        assert!(matches!(refused, Err(TeacherError::NoCatalog { .. })));
    }

    #[test]
    fn a_monologue_is_in_the_first_person_and_never_names_the_answer() {
        let (dataset, made) = (dataset(), enrich(EnrichmentKind::Monologue));
        assert!(!made.enrichments.is_empty());
        for text in made.enrichments.iter() {
            let SampleId::Event { user, position } = text.id else { unreachable!("{}", text.id) };
            let target = dataset.user(user).unwrap().events[position as usize];
            let title = Wording::of(&dataset.item(target).unwrap().title);
            let words = Wording::of(&text.text);
            assert!(text.text.starts_with("I "), "{text:?}");
            assert!(!text.text.contains(&format!("<a_{}>", target.0)), "{text:?}");
            let shown = history(&dataset, user, position as usize);
            let telling = title.len() > 1 && !shown.contains(title.words());
            assert!(!(telling && words.contains(title.words())), "{text:?}");
        }
    }

    /// The words of the items before an event.
    fn history(dataset: &Dataset, user: UserId, position: usize) -> Wording {
        let events = &dataset.user(user).unwrap().events[..position];
        let titles: Vec<_> =
            events.iter().map(|item| dataset.item(*item).unwrap().title.as_str()).collect();
        Wording::of(&titles.join(" "))
    }

    #[test]
    fn a_reasoning_leads_from_the_history_without_the_answer() {
        let made = enrich(EnrichmentKind::Reasoning);
        let id = SampleId::Event { user: UserId(0), position: 2 };
        let text = made.enrichments.text(EnrichmentKind::Reasoning, id).unwrap();
        // Item d's title holds that of the answer, a: it goes by its code.
        assert!(text.contains("in their order, <a_3><b_0>, then Steel a_1 kettle /think x <a_1>"));
        assert!(text.ends_with("Rewriting: <a_3><b_0> <a_1><b_0>"), "{text}");
        assert!(!text.contains("<a_0>"), "{text}");
    }
}
