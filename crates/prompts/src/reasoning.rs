//! The texts around the chain of thought in a set's reasoning task.

use crate::{Facts, PromptError, PromptSet, Segment, SegmentKind, Task};

/// What can close a chain of thought.
const CLOSES: [&str; 2] = ["</think>", "<answer>"];

/// The texts around the chain of thought in a set's reasoning task. A decoder writes the opening
/// itself, lets the policy reason up to the close, and writes the bridge before it asks for the
/// Semantic ID.
///
/// ```text
/// prompt | opening | chain … close | bridge | Semantic ID
/// ```
/// Everything before the close is the chain: in GREAM, where `<answer>` is the close, also `</think>`
/// and the rewritten history after it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReasoningFrame {
    /// Before the chain, such as `<think>` and a line end; may be empty.
    pub opening: String,
    /// Ends the chain: `</think>`, or `<answer>` if words of a teacher stand between the two.
    pub close: String,
    /// Between the close and the Semantic ID, such as a line end; may be empty.
    pub bridge: String,
}

impl PromptSet {
    /// The texts around the chain of [`Task::Reasoning`].
    ///
    /// ```
    /// use sidereal_prompts::PromptRegistry;
    /// let prompts = PromptRegistry::builtin()?;
    /// let frame = prompts.set("sidreasoner")?.reasoning_frame()?;
    /// assert_eq!((frame.opening.as_str(), frame.bridge.as_str()), ("<think>\n", "\n"));
    /// assert_eq!(frame.close, "</think>");
    /// assert_eq!(prompts.set("gream")?.reasoning_frame()?.close, "<answer>");
    /// assert!(prompts.set("terse")?.reasoning_frame().is_err());
    /// # Ok::<(), sidereal_prompts::PromptError>(())
    /// ```
    ///
    /// # Errors
    /// [`PromptError::NoTemplate`] for a set without the task; [`PromptError::Reasoning`] if its
    /// completion is not an opening, the chain, `</think>` or `<answer>` with whatever follows, and
    /// the Semantic ID. The texts of a teacher and the Semantic ID must each be a piece of its own.
    pub fn reasoning_frame(&self) -> Result<ReasoningFrame, PromptError> {
        let segments = self.completion(Task::Reasoning, &Facts::probe())?;
        frame(&segments).ok_or_else(|| PromptError::Reasoning { set: self.name().to_owned() })
    }
}

/// The frame of a completion that was rendered from [`Facts::probe`].
fn frame(segments: &[Segment]) -> Option<ReasoningFrame> {
    let is = |kind| move |segment: &Segment| segment.kind == kind;
    let before = &segments[..segments.iter().position(is(SegmentKind::Sid))?];
    let first = before.iter().position(is(SegmentKind::Words))?;
    let last = before.iter().rposition(is(SegmentKind::Words))?;
    let (opening, chain, between) = (&before[..first], &before[first..=last], &before[last + 1..]);
    let Facts { reasoning, rewriting, monologue, .. } = Facts::probe();
    let texts = [reasoning, rewriting, monologue];
    let bare = |it: &Segment| is(SegmentKind::Frame)(it) || texts.contains(&Some(it.text.as_str()));
    let between = text(between);
    let (at, close) =
        CLOSES.iter().filter_map(|close| Some((between.find(close)?, *close))).min()?;
    let whole = chain.iter().all(bare) && !text(chain).contains(close);
    let bridge = between[at + close.len()..].to_owned();
    whole.then(|| ReasoningFrame { opening: text(opening), close: close.to_owned(), bridge })
}

fn text(segments: &[Segment]) -> String {
    segments.iter().map(|segment| segment.text.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// The frame of a set with this completion of its reasoning task.
    fn frame_of(completion: &str) -> Result<[String; 3], PromptError> {
        let text = format!(
            "name = 'mine'\nabout = 'a test'\nformat = 'chat'\n[[template]]\ntask = 'reasoning'\n\
             version = 1\nprompts = ['{{{{ history | join }}}}']\ncompletion = [{completion}]"
        );
        let frame = PromptSet::parse(Path::new("mine.toml"), &text)?.reasoning_frame()?;
        Ok([frame.opening, frame.close, frame.bridge])
    }

    #[test]
    fn a_chain_ends_where_the_last_text_of_the_teacher_does() {
        let pieces = |texts: &[&str]| {
            let pieces: Vec<_> =
                texts.iter().map(|text| format!("{{ text = \"{text}\" }}")).collect();
            frame_of(&pieces.join(", "))
        };
        let sid = "{{ sid }}";
        for (texts, frame) in [
            (
                &["<think>", "{{ reasoning }}", "</think> so ", sid][..],
                ["<think>", "</think>", " so "],
            ),
            (
                &["{{ monologue }}", "</think><answer>", sid, "</answer>"],
                ["", "</think>", "<answer>"],
            ),
            (
                &[
                    "o",
                    "{{ reasoning }}",
                    "</think> of ",
                    "{{ rewriting }}",
                    " is ",
                    "<answer>",
                    sid,
                ],
                ["o", "<answer>", ""],
            ),
        ] {
            assert_eq!(pieces(texts).unwrap(), frame.map(str::to_owned), "{texts:?}");
        }
        for texts in [
            &["{{ reasoning }}", sid][..],             // never closed
            &["so: {{ reasoning }}", "</think>", sid], // not alone
            &["{{ reasoning }}", "</think>"],          // no answer
            &["</think>", sid],                        // no chain
            &["{{ reasoning }}", "{{ monologue }}", "</think>", sid], // two
            &["{{ rewriting }}", "</think>", sid],     // only its end
            &["{{ reasoning }}", "</think>", "{{ rewriting }}", "</think>", sid], // closed early
        ] {
            assert!(pieces(texts).is_err(), "{texts:?}");
        }
    }
}
