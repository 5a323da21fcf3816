//! Conversations from a file: general reasoning that is mixed into training, so that a model does
//! not lose it.

use std::collections::HashSet;
use std::path::Path;

use serde::Deserialize;
use sidereal_data::read::{OnDoubtful, Problem, ProblemKind, RowPolicy, Skips, json_lines};
use sidereal_data::{Digest, SampleId};

use sidereal_sid::TokenStyle;

use crate::control::{ControlKind, control_tokens};
use crate::{
    ControlMarkers, Message, Prompt, PromptError, Rendered, Role, Segment, SegmentKind, Task,
};

/// A conversation that ends with an answer.
///
/// ```
/// use sidereal_prompts::Chat;
/// use sidereal_data::read::RowPolicy;
///
/// let dir = tempfile::tempdir()?;
/// let path = dir.path().join("chat.jsonl");
/// std::fs::write(&path, r#"{"messages": [{"role": "user", "content": "1 + 1?"},
///     {"role": "assistant", "content": "<think>easy</think>2"}], "source": "sums"}"#
///     .replace('\n', ""))?;
/// let mut rows = Vec::new();
/// Chat::read(&path, &RowPolicy::strict(), |chat| rows.push(chat))?;
/// let row = rows[0].render(0);
/// assert_eq!(row.prompt.messages().unwrap()[0].content, "1 + 1?");
/// assert_eq!(row.completion_text(), "<think>easy</think>2");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Chat {
    messages: Vec<Message>,
}

/// A row of the file. Other fields are ignored, because published data have many different ones.
#[derive(Deserialize)]
struct Row {
    messages: Vec<Message>,
}

impl Chat {
    /// A conversation of these turns.
    ///
    /// # Errors
    /// [`Problem`] of line 0 unless an optional system message comes first, then user and assistant
    /// take turns, the assistant last; for an empty turn; for a chat marker or a code of a Semantic
    /// ID in a turn, and for tags of reasoning in one that is not the assistant's.
    pub fn new(messages: Vec<Message>) -> Result<Self, Problem> {
        let problem = |found: &str, expected| {
            Err(Problem::new(ProblemKind::Field, "messages", found, expected))
        };
        let turns = match messages.split_first() {
            Some((first, rest)) if first.role == Role::System => rest,
            _ => messages.as_slice(),
        };
        let alternate = turns.iter().zip([Role::User, Role::Assistant].into_iter().cycle());
        let in_turn = alternate.into_iter().all(|(message, role)| message.role == role);
        if !in_turn || turns.is_empty() || turns.len() % 2 != 0 {
            let roles: Vec<&str> = messages.iter().map(|message| message.role.name()).collect();
            return problem(&roles.join(" "), "user and assistant by turns, the assistant last");
        }
        for Message { role, content } in &messages {
            if content.trim().is_empty() {
                return problem(role.name(), "a text in every turn");
            }
            let legal = |kind| kind == ControlKind::Tag && *role == Role::Assistant;
            if let Some((_, token)) =
                control_tokens(content, &TokenStyle::default()).find(|(kind, _)| !legal(*kind))
            {
                return problem(token, "no control token of recommendations");
            }
        }
        Ok(Self { messages })
    }

    /// Hands every conversation of a file to `take`, in file order: an object a line, plain, gzip
    /// or zstd.
    ///
    /// ```text
    /// {"messages": [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}]}
    /// ```
    /// Lines stream through all cores; memory is a few blocks of them, what `take` keeps, and, if
    /// duplicates are not kept, about 64 bytes for each row.
    ///
    /// # Errors
    /// [`PromptError::Data`] for a file that cannot be read, for the first problem that `policy`
    /// calls an error: a line that is not such an object, an error of [`new`](Self::new), a
    /// conversation that was there before; and if no line is left.
    pub fn read(
        path: &Path,
        policy: &RowPolicy,
        mut take: impl FnMut(Self) + Send,
    ) -> Result<Skips, PromptError> {
        let mut skips = Skips::new(path);
        let mut seen = HashSet::new();
        let check = |row: Row| Self::new(row.messages);
        json_lines::read(path, policy, &mut skips, check, |chat| {
            if policy.duplicates != OnDoubtful::Keep && !seen.insert(chat.digest()) {
                let found = chat.messages.first().map_or("", |message| message.content.as_str());
                let needed = "every conversation once";
                return Err(Problem::new(ProblemKind::Duplicate, "messages", found, needed));
            }
            take(chat);
            Ok(())
        })?;
        skips.tell();
        Ok(skips)
    }

    /// Rejects a conversation, row `row` of its file, with one of the tokenizer's own control
    /// tokens. Tags of reasoning are checked by [`new`](Self::new).
    ///
    /// # Errors
    /// [`PromptError::ControlTokenInText`].
    pub fn check_markers(&self, row: u32, markers: &ControlMarkers) -> Result<(), PromptError> {
        match self.messages.iter().find_map(|message| markers.find_token(&message.content)) {
            None => Ok(()),
            Some(token) => {
                let (id, token) = (SampleId::Chat(row), token.to_owned());
                Err(PromptError::ControlTokenInText { id, what: "conversation".to_owned(), token })
            }
        }
    }

    /// The turns: an optional system message, then user and assistant by turns.
    #[must_use]
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// The conversation as a sample: the last turn is learned, those before it are read.
    #[must_use]
    pub fn render(&self, row: u32) -> Rendered {
        let mut messages = self.messages.clone();
        let text = messages.pop().map_or_else(String::new, |message| message.content);
        Rendered {
            id: SampleId::Chat(row),
            task: Task::Chat,
            target: None,
            prompt: Prompt::Chat(messages),
            paraphrase: 0,
            completion: vec![Segment { text, loss: true, kind: SegmentKind::Words }],
            candidates: Vec::new(),
        }
    }

    /// A hash that is equal for two equal conversations only.
    fn digest(&self) -> String {
        let mut digest = Digest::default();
        for message in &self.messages {
            digest.text(message.role.name());
            digest.text(&message.content);
        }
        digest.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chat(turns: &[(&str, &str)]) -> String {
        let messages: Vec<_> = turns
            .iter()
            .map(|(role, content)| serde_json::json!({"role": role, "content": content}))
            .collect();
        serde_json::json!({"messages": messages, "id": 7}).to_string()
    }

    fn read(lines: &[String], policy: &RowPolicy) -> Result<(Vec<Chat>, Skips), PromptError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("chat.jsonl");
        std::fs::write(&path, lines.join("\n")).unwrap();
        let mut chats = Vec::new();
        let skips = Chat::read(&path, policy, |chat| chats.push(chat))?;
        Ok((chats, skips))
    }

    #[test]
    fn only_the_last_turn_is_learned() {
        let turns =
            [("system", "s"), ("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")];
        let (chats, _) = read(&[chat(&turns)], &RowPolicy::strict()).unwrap();
        let row = chats[0].render(5);
        assert_eq!(row.id.to_string(), "c5");
        let read: Vec<&str> =
            row.prompt.messages().unwrap().iter().map(|m| m.content.as_str()).collect();
        assert_eq!((read, row.completion_text().as_str()), (vec!["s", "a", "b", "c"], "d"));
    }

    #[test]
    fn bad_conversations_are_left_out_by_line() {
        let good = chat(&[("user", "a"), ("assistant", "<think>b</think> c")]);
        let lines = [
            good.clone(),
            chat(&[("user", "a")]),
            chat(&[("assistant", "a"), ("user", "b")]),
            chat(&[("user", "a"), ("system", "b"), ("user", "c"), ("assistant", "d")]),
            chat(&[("system", "a")]),
            chat(&[]),
            chat(&[("user", "a"), ("assistant", " ")]),
            chat(&[("user", "<think>a</think>"), ("assistant", "b")]),
            chat(&[("user", "a"), ("assistant", "b <|im_end|> c")]),
            chat(&[("user", "a"), ("assistant", "take <a_3>")]),
            good,
            chat(&[("user", "a"), ("tool", "b"), ("assistant", "c")]),
            r#"{"messages": [{"role": "user", "content": [{"text": "a"}]}]}"#.to_owned(),
            "[]".to_owned(),
        ];
        let (chats, skips) = read(&lines, &RowPolicy::lenient()).unwrap();
        assert_eq!(chats.len(), 1);
        let found: Vec<_> = skips.listed.iter().map(|p| (p.line, p.kind)).collect();
        let mut expected: Vec<_> = (2..=10).map(|line| (line, ProblemKind::Field)).collect();
        expected.push((11, ProblemKind::Duplicate));
        expected.extend((12..=14).map(|line| (line, ProblemKind::Malformed)));
        assert_eq!(found, expected);
        let error = read(&lines, &RowPolicy::strict()).unwrap_err().to_string();
        assert!(error.contains("line 2, field `messages`"), "{error}");
        let keep = RowPolicy { duplicates: OnDoubtful::Keep, ..RowPolicy::lenient() };
        assert_eq!(read(&lines, &keep).unwrap().0.len(), 2);
    }
}
