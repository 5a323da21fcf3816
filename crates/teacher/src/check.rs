//! The checks that an answer must pass to become a text.

use std::borrow::Cow;

use sidereal_prompts::{ControlKind, REWRITING, control_tokens};
use sidereal_sid::{Catalog, TokenStyle};

use crate::wording::Wording;
use crate::{Answer, Finish, RequestStage, Subject};

/// Number of words of a title in a row that reveal it, if no known text of a shown item has them.
const TELLING_WORDS: usize = 4;
/// What the parts of a reasoning begin with, in their order: GREAM's steps (its appendix C), and the
/// history without what does not matter.
pub(super) const LABELS: [&str; 4] = [
    "Step 1: Extraction of Behavioral Evidence:",
    "Step 2: Modeling of Latent Preferences:",
    "Step 3: Inference of User Intent and Goal Formulation:",
    REWRITING,
];

/// Why an answer is rejected. The message is sent back to the teacher.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each message names its fields")]
pub enum Rejection {
    /// It stopped at the limit of tokens.
    #[error("it was cut short at the limit of tokens, it must be shorter")]
    Cut,
    /// It is neither complete nor stopped at the limit.
    #[error("it was withheld or stopped before its end")]
    Stopped,
    /// Outside the bounds on words.
    #[error("it has {found} words, between {min} and {max} are needed")]
    Words { found: usize, min: usize, max: usize },
    /// A marker or tag that would end a turn or a chain in a prompt.
    #[error("it holds `{token}`, which may not stand there")]
    Token { token: String },
    /// Tags or labels that are missing, repeated or out of order.
    #[error("its form is not as asked: {expected}")]
    Form { expected: &'static str },
    /// Codes that are not a whole Semantic ID, or not the Semantic ID of an item.
    #[error("`{text}` is the code of no product")]
    UnknownSid { text: String },
    /// The Semantic ID of an item that was not shown.
    #[error("`{text}` is the code of a product that is not to be spoken of")]
    ForeignSid { text: String },
    /// A paragraph without the Semantic ID of its item.
    #[error("it must name the product by its code `{sid}`")]
    MissingSid { sid: String },
    /// A text that contains the title of its item.
    #[error("it names the product by its title")]
    Titled,
    /// The held-out item, by Semantic ID or title.
    #[error("it gives the next choice away: `{words}`")]
    HeldOut { words: String },
    /// An answer other than the item that was chosen.
    #[error("the answer between its tags must be `{expected}`")]
    WrongAnswer { expected: String },
    /// The items in the part `rewriting` are not those of the history in their order.
    #[error("the rewriting must hold codes of the history, earliest first")]
    Rewriting,
}

/// The checks of all stages.
#[derive(Debug, Clone, Copy)]
pub(super) struct Checks<'a> {
    /// `None` if no text may hold a code.
    pub(super) catalog: Option<&'a Catalog>,
    /// Fewest and most words.
    pub(super) words: (usize, usize),
}

impl Checks<'_> {
    /// The text of an answer as it is kept: for reasoning, the text between the tags `<think>` and
    /// `</think>`; for all others, the text without the teacher's own reasoning before it.
    pub(super) fn text(
        &self,
        stage: RequestStage,
        subject: &Subject<'_>,
        answer: &Answer,
    ) -> Result<String, Rejection> {
        match answer.finish {
            Finish::Complete => {}
            Finish::Length => return Err(Rejection::Cut),
            Finish::Other => return Err(Rejection::Stopped),
        }
        let text = if stage == RequestStage::Reasoning {
            let (chain, found) = framed(&answer.text)?;
            let expected = &subject.target().sid;
            if found != expected {
                return Err(Rejection::WrongAnswer { expected: expected.clone() });
            }
            chain
        } else {
            without_reasoning(&answer.text)
        };
        self.length(text, if stage.is_notes() { 1 } else { self.words.0 })?;
        let codes = stage != RequestStage::ItemDescribe;
        let refused = |(kind, _): &(ControlKind, &str)| !codes || *kind != ControlKind::Code;
        if let Some((_, token)) = control_tokens(text, &self.style()).find(refused) {
            return Err(Rejection::Token { token: token.to_owned() });
        }
        let sids = self.sids(text)?;
        held_out_is_unnamed(subject, text, &sids)?;
        let may_stand = |sid: &str| {
            subject.history().iter().any(|shown| shown.sid == sid) || is_own(subject, sid)
        };
        if let Some(foreign) = sids.iter().find(|sid| !may_stand(sid)) {
            return Err(Rejection::ForeignSid { text: (*foreign).to_owned() });
        }
        match stage {
            RequestStage::ItemIntegrate => names_by_sid_alone(subject, text, &sids)?,
            RequestStage::Reasoning => labelled(subject, text, &self.style())?,
            _ => {}
        }
        Ok(text.to_owned())
    }

    /// How codes are written; the published styles are known besides.
    fn style(&self) -> Cow<'_, TokenStyle> {
        self.catalog.map_or_else(
            || Cow::Owned(TokenStyle::default()),
            |catalog| Cow::Borrowed(catalog.spec().style()),
        )
    }

    fn length(&self, text: &str, min: usize) -> Result<(), Rejection> {
        let (found, max) = (text.split_whitespace().count(), self.words.1);
        let fits = (min..=max).contains(&found);
        if fits { Ok(()) } else { Err(Rejection::Words { found, min, max }) }
    }

    /// The Semantic IDs of a text, each of an item of the catalogue.
    fn sids<'t>(&self, text: &'t str) -> Result<Vec<&'t str>, Rejection> {
        let sids = code_runs(text, &self.style());
        for sid in &sids {
            let known = self.catalog.is_some_and(|catalog| {
                catalog.spec().parse(sid).is_ok_and(|sid| !catalog.items(&sid).is_empty())
            });
            if !known {
                return Err(Rejection::UnknownSid { text: (*sid).to_owned() });
            }
        }
        Ok(sids)
    }
}

fn is_own(subject: &Subject<'_>, sid: &str) -> bool {
    matches!(subject, Subject::Item(item) if item.sid == sid)
}

/// Codes that stand side by side, with the marks of their style; a new one with every mark before codes or,
/// in a style without marks, every code of the first level.
fn code_runs<'t>(text: &'t str, style: &TokenStyle) -> Vec<&'t str> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    let mut at = 0;
    let tokens = control_tokens(text, style).filter(|(kind, _)| *kind == ControlKind::Code);
    for (_, token) in tokens {
        let Some(start) = text[at..].find(token).map(|found| at + found) else { break };
        at = start + token.len();
        match runs.last_mut() {
            Some((_, end)) if *end == start && !style.begins(token) => *end = at,
            _ => runs.push((start, at)),
        }
    }
    runs.into_iter().map(|(start, end)| &text[start..end]).collect()
}

/// Rejects the Semantic ID of the held-out item, and words of its title in a row (as many as it
/// has, or [`TELLING_WORDS`]) that no known text of a shown item has.
fn held_out_is_unnamed(subject: &Subject<'_>, text: &str, sids: &[&str]) -> Result<(), Rejection> {
    let Subject::Event { history, held_out } = subject else { return Ok(()) };
    if sids.contains(&held_out.sid.as_str()) {
        return Err(Rejection::HeldOut { words: held_out.sid.clone() });
    }
    let title = Wording::of(&held_out.item.title);
    let telling = title.len().min(TELLING_WORDS);
    if telling == 0 {
        return Ok(());
    }
    let text = Wording::of(text);
    let mut named = title.words().windows(telling).filter(|words| text.contains(words)).peekable();
    if named.peek().is_none() {
        return Ok(());
    }
    let shown: Vec<Wording> = history
        .iter()
        .map(|shown| shown.item)
        .flat_map(|it| [&it.title, &it.description, &it.brand].into_iter().chain(&it.categories))
        .map(|text| Wording::of(text))
        .collect();
    match named.find(|words| !shown.iter().any(|shown| shown.contains(words))) {
        Some(words) => Err(Rejection::HeldOut { words: words.join(" ") }),
        None => Ok(()),
    }
}

/// An item's paragraph holds its Semantic ID and not its title; a title of one word may be the
/// only word for what the item is.
fn names_by_sid_alone(subject: &Subject<'_>, text: &str, sids: &[&str]) -> Result<(), Rejection> {
    let item = subject.target();
    if sids.is_empty() {
        return Err(Rejection::MissingSid { sid: item.sid.clone() });
    }
    let title = Wording::of(&item.item.title);
    let titled = title.len() > 1 && Wording::of(text).contains(title.words());
    if titled { Err(Rejection::Titled) } else { Ok(()) }
}

/// Chain and answer of `<think>…</think> <answer>…</answer>`, each tag once and nothing besides.
fn framed(text: &str) -> Result<(&str, &str), Rejection> {
    let expected = "<think>…</think> and then <answer>…</answer>, each once, nothing before, \
                    between or after";
    let framed = || {
        let rest = text.trim().strip_prefix("<think>")?;
        let (chain, rest) = rest.split_once("</think>")?;
        let answer = rest.trim().strip_prefix("<answer>")?.strip_suffix("</answer>")?;
        let plain = |part: &str| {
            !control_tokens(part, &TokenStyle::default()).any(|(kind, _)| kind == ControlKind::Tag)
        };
        (plain(chain) && plain(answer)).then(|| (chain.trim(), answer.trim()))
    };
    framed().ok_or(Rejection::Form { expected })
}

/// Some models write their reasoning first, between tags.
fn without_reasoning(text: &str) -> &str {
    let text = text.trim();
    let chain = text.strip_prefix("<think>").and_then(|rest| rest.split_once("</think>"));
    chain.map_or(text, |(_, rest)| rest.trim())
}

/// Four lines that begin with [`LABELS`], in their order; the last one holds a part of the history.
fn labelled(subject: &Subject<'_>, text: &str, style: &TokenStyle) -> Result<(), Rejection> {
    let expected = "four lines that begin with `Step 1: Extraction of Behavioral Evidence:`, `Step 2: \
                    Modeling of Latent Preferences:`, `Step 3: Inference of User Intent and Goal \
                    Formulation:` and `Rewriting:`, each once";
    let starts: Vec<&str> = text
        .lines()
        .filter_map(|line| {
            LABELS.iter().copied().find(|label| line.trim_start().starts_with(label))
        })
        .collect();
    let begins = text.trim_start().starts_with(LABELS[0]);
    let (Some((_, rewriting)), true) = (text.rsplit_once(REWRITING), begins && starts == LABELS)
    else {
        return Err(Rejection::Form { expected });
    };
    let mut history = subject.history().iter();
    let kept = code_runs(rewriting, style);
    let in_order = kept.iter().all(|sid| history.any(|shown| shown.sid == *sid));
    if in_order && !kept.is_empty() { Ok(()) } else { Err(Rejection::Rewriting) }
}

#[cfg(test)]
mod tests;
