//! The texts around the chain of thought in a set's reasoning task.

use crate::{Facts, PromptError, PromptSet, SegmentKind, Task};

/// What closes a chain of thought in every set that has one.
const CLOSE: &str = "</think>";

/// The texts around the chain of thought in a set's reasoning task. A decoder writes the opening
/// itself, lets the policy reason up to the close, and writes the bridge before it asks for the
/// Semantic ID.
///
/// ```text
/// prompt | opening | chain … close | bridge | Semantic ID
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReasoningFrame {
    /// Before the chain, such as `<think>` and a line end; may be empty.
    pub opening: String,
    /// Ends the chain: `</think>`.
    pub close: String,
    /// Between the close and the Semantic ID, such as a line end and `<answer>`; may be empty.
    pub bridge: String,
}

impl PromptSet {
    /// The texts around the chain of [`Task::Reasoning`].
    ///
    /// ```
    /// use sidereal_prompts::PromptRegistry;
    /// let prompts = PromptRegistry::builtin()?;
    /// let frame = prompts.set("gream")?.reasoning_frame()?;
    /// assert_eq!((frame.opening.as_str(), frame.bridge.as_str()), ("<think>\n", "\n<answer>"));
    /// assert!(prompts.set("terse")?.reasoning_frame().is_err());
    /// # Ok::<(), sidereal_prompts::PromptError>(())
    /// ```
    ///
    /// # Errors
    /// [`PromptError::NoTemplate`] for a set without the task; [`PromptError::Reasoning`] if its
    /// completion is not an opening, the chain, `</think>` with whatever follows, and the Semantic
    /// ID, each a piece of its own.
    pub fn reasoning_frame(&self) -> Result<ReasoningFrame, PromptError> {
        let probe = Facts::probe();
        let segments = self.completion(Task::Reasoning, &probe)?;
        let refuse = || PromptError::Reasoning { set: self.name().to_owned() };
        let frame = |of: &[crate::Segment]| {
            let plain = of.iter().all(|segment| segment.kind == SegmentKind::Frame);
            plain.then(|| of.iter().map(|segment| segment.text.as_str()).collect::<String>())
        };
        let words = segments.iter().position(|segment| segment.kind == SegmentKind::Words);
        let sid = segments.iter().position(|segment| segment.kind == SegmentKind::Sid);
        let (Some(words), Some(sid)) = (words, sid) else { return Err(refuse()) };
        let alone = probe.reasoning == Some(segments[words].text.as_str());
        let between = segments.get(words + 1..sid).and_then(frame);
        let (Some(opening), Some(between), true) = (frame(&segments[..words]), between, alone)
        else {
            return Err(refuse());
        };
        let (_, bridge) = between.split_once(CLOSE).ok_or_else(refuse)?;
        Ok(ReasoningFrame { opening, close: CLOSE.to_owned(), bridge: bridge.to_owned() })
    }
}
