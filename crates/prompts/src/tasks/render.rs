//! The values that the data give to the templates of a sample's task.

use std::collections::HashSet;

use sidereal_data::{Sample, SampleId};
use sidereal_sid::ItemId;

use super::subject::{Subject, present, shows};
use super::{Rendered, Tasks};
use crate::rewriting::split_rewriting;
use crate::verdict::{NO, YES};
use crate::{EnrichmentKind, Facts, PromptError, Task, Variable, Wording};

impl Tasks<'_> {
    /// The candidates; none for a task without candidates.
    pub(super) fn candidates(
        &self,
        task: Task,
        sample: &Sample<'_>,
    ) -> Result<Vec<ItemId>, PromptError> {
        if !task.inputs().contains(&Variable::Candidates) {
            return Ok(Vec::new());
        }
        let pools = self.pools.ok_or(PromptError::NoPool { task })?;
        // Two candidates with one title, or with one Semantic ID, could not be told apart, and every
        // candidate must have one.
        let in_words = shows(task, Variable::Titles);
        let name = |item: ItemId| {
            let title = || self.dataset.item(item).map(|item| item.title.as_str());
            if in_words { title() } else { self.sid(item).ok() }
        };
        let mut names: HashSet<&str> = HashSet::from([""]);
        names.extend(name(sample.target));
        pools.draw_accepted(sample, &mut |item| name(item).is_some_and(|name| names.insert(name)))
    }

    pub(super) fn render(
        &self,
        task: Task,
        subject: Subject<'_>,
        wording: Wording,
    ) -> Result<Option<Rendered>, PromptError> {
        let Some(inputs) = self.facts(task, task.inputs(), &subject)? else { return Ok(None) };
        let Subject { id, target, .. } = subject;
        let count = self.prompts.template(task)?.prompts.len();
        let paraphrase = wording.paraphrase(task, id, count);
        let prompt = self.prompts.prompt(task, paraphrase, &inputs)?;
        let completion = match self.facts(task, self.prompts.outputs(task)?, &subject)? {
            Some(outputs) => self.prompts.completion(task, &outputs)?,
            None => Vec::new(),
        };
        let (target, candidates) = (Some(target), subject.candidates);
        Ok(Some(Rendered { id, task, target, prompt, paraphrase, completion, candidates }))
    }

    /// Values of these variables; `None` if the data lack one.
    fn facts<'f>(
        &'f self,
        task: Task,
        variables: &[Variable],
        subject: &'f Subject<'_>,
    ) -> Result<Option<Facts<'f>>, PromptError> {
        let Subject { id, sample, target, history, candidates, query } = subject;
        let in_words = shows(task, Variable::Titles);
        let names = |items: &[ItemId]| {
            if in_words { self.titles_of(items) } else { self.sids_of(items).map(Some) }
        };
        let mut facts = Facts::default();
        for variable in variables {
            let found = match variable {
                Variable::History => {
                    facts.history = Some(self.sids_of(history)?);
                    true
                }
                Variable::Titles => {
                    facts.titles = self.titles_of(history)?;
                    facts.titles.is_some()
                }
                Variable::Candidates => {
                    facts.candidates = names(candidates)?;
                    facts.candidates.is_some()
                }
                Variable::SlateSize => {
                    facts.slate_size = self.pools.map(|pools| pools.config().slate_size);
                    facts.slate_size.is_some()
                }
                Variable::Slate => {
                    let asked = self.pools.zip(sample.as_ref());
                    let slate = asked.and_then(|(pools, sample)| {
                        if task == Task::CatalogueSlate {
                            return Some(
                                pools.slate_of_all(sample, &mut |item| self.sid(item).ok()),
                            );
                        }
                        pools.slate(sample, candidates)
                    });
                    facts.slate = slate.map(|slate| names(&slate)).transpose()?.flatten();
                    facts.slate.is_some()
                }
                Variable::Sid => {
                    facts.sid = Some(self.sid(*target)?);
                    true
                }
                Variable::Behaviour => {
                    let sample = sample.as_ref();
                    let place = sample.and_then(|sample| self.asked_behaviour(task, sample));
                    let name = place.and_then(|place| self.dataset.behaviours().get(place));
                    facts.behaviour = name.map(String::as_str);
                    facts.behaviour.is_some()
                }
                Variable::Verdict => {
                    facts.verdict = sample.as_ref().and_then(|sample| {
                        let place = self.asked_behaviour(task, sample)?;
                        Some(if self.labels(sample).contains(place) { YES } else { NO })
                    });
                    facts.verdict.is_some()
                }
                Variable::Portrait => {
                    let portrait = query.map(|(user, _)| user.portrait.as_str());
                    let shown = portrait.map(|text| first_words(text, self.description_words));
                    facts.portrait = shown.and_then(present);
                    facts.portrait.is_some()
                }
                Variable::Query => {
                    facts.query = query.and_then(|(_, query)| present(&query.words));
                    facts.query.is_some()
                }
                Variable::Title => {
                    facts.title = present(&self.data(*target)?.title);
                    let offered = candidates.is_empty() || candidates.contains(target);
                    facts.title.is_some() && offered
                }
                Variable::Description => {
                    let description = &self.data(*target)?.description;
                    facts.description = present(first_words(description, self.description_words));
                    facts.description.is_some()
                }
                Variable::Paragraph
                | Variable::Narrative
                | Variable::Preference
                | Variable::Reasoning
                | Variable::Rewriting
                | Variable::Monologue => {
                    let text = self.of_a_teacher(*variable, variables, *id);
                    let fact = match variable {
                        Variable::Paragraph => &mut facts.paragraph,
                        Variable::Narrative => &mut facts.narrative,
                        Variable::Preference => &mut facts.preference,
                        Variable::Reasoning => &mut facts.reasoning,
                        Variable::Rewriting => &mut facts.rewriting,
                        _ => &mut facts.monologue,
                    };
                    *fact = text;
                    text.is_some()
                }
            };
            if !found {
                return Ok(None);
            }
        }
        Ok(Some(facts))
    }

    /// A teacher's text, or a part of it, beside the other variables that a template shows.
    fn of_a_teacher(
        &self,
        variable: Variable,
        variables: &[Variable],
        id: SampleId,
    ) -> Option<&str> {
        let text = |kind| self.enrichments.and_then(|texts| texts.text(kind, id));
        match variable {
            Variable::Paragraph => text(EnrichmentKind::ItemParagraph),
            Variable::Narrative => text(EnrichmentKind::UserNarrative),
            Variable::Preference => text(EnrichmentKind::Preference),
            Variable::Monologue => text(EnrichmentKind::Monologue),
            Variable::Reasoning => {
                let whole = text(EnrichmentKind::Reasoning);
                let parts = whole.filter(|_| variables.contains(&Variable::Rewriting));
                let steps = parts.and_then(split_rewriting).map(|(steps, _)| steps);
                steps.or(whole)
            }
            Variable::Rewriting => {
                let whole = text(EnrichmentKind::Reasoning);
                whole.and_then(split_rewriting).map(|(_, rewriting)| rewriting)
            }
            _ => None,
        }
    }
}

/// A text up to its word number `most`.
fn first_words(text: &str, most: usize) -> &str {
    let mut inside = false;
    let mut count = 0;
    for (at, letter) in text.char_indices() {
        if letter.is_whitespace() {
            if inside && count == most {
                return &text[..at];
            }
            inside = false;
        } else if !inside {
            inside = true;
            count += 1;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::first_words;

    #[test]
    fn a_cut_text_ends_with_a_whole_word() {
        assert_eq!(first_words(" one  two\tthree", 2), " one  two");
        assert_eq!(first_words("one two", 2), "one two");
        assert_eq!(first_words("one two ", usize::MAX), "one two ");
        assert_eq!(first_words("", 3), "");
    }
}
