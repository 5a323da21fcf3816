//! Answers as they come over the wire: whole, or in pieces.

use std::io::{BufRead, Read};

use serde::Deserialize;

use crate::{Answer, AskError, AskErrorKind, Finish, Usage};

/// Longest answer in bytes, whole or the sum of its pieces.
pub(super) const MAX_BODY: u64 = 16 << 20;

/// A reply of an endpoint: a whole answer or a part of it.
#[derive(Debug, Deserialize)]
struct Reply {
    #[serde(default)]
    choices: Vec<Choice>,
    usage: Option<Tokens>,
    /// Some endpoints report failures with status 200.
    error: Option<serde_json::Value>,
}

#[derive(Debug, Deserialize)]
struct Choice {
    #[serde(alias = "delta", default)]
    message: Said,
    finish_reason: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Said {
    content: Option<String>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
struct Tokens {
    #[serde(default)]
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: u64,
}

/// An answer under way.
#[derive(Debug, Default)]
struct Pieces {
    text: String,
    finish: Option<Finish>,
    usage: Option<Tokens>,
}

impl Pieces {
    fn add(&mut self, reply: Reply) -> Result<(), AskError> {
        if let Some(error) = reply.error {
            return Err(AskError::new(AskErrorKind::Server, short(&error.to_string())));
        }
        self.usage = reply.usage.or(self.usage);
        let Some(choice) = reply.choices.into_iter().next() else { return Ok(()) };
        if let Some(content) = choice.message.content {
            self.text.push_str(&content);
        }
        if let Some(reason) = choice.finish_reason {
            self.finish = Some(match reason.as_str() {
                "stop" => Finish::Complete,
                "length" => Finish::Length,
                _ => Finish::Other,
            });
        }
        Ok(())
    }

    /// The answer, if it is complete. If the endpoint does not count its tokens, they are estimated
    /// as a quarter of the bytes. The caller knows the tokens of the messages.
    fn answer(self, prompt_tokens: u64) -> Result<Answer, AskError> {
        let Some(finish) = self.finish else {
            return Err(AskError::new(AskErrorKind::Truncated, "no reason why the answer ended"));
        };
        let usage = match self.usage {
            Some(Tokens { prompt_tokens, completion_tokens }) => {
                Usage { prompt_tokens, completion_tokens }
            }
            None => Usage { prompt_tokens, completion_tokens: self.text.len().div_ceil(4) as u64 },
        };
        Ok(Answer { text: self.text, finish, usage })
    }
}

/// Reads an answer that is one JSON object.
pub(super) fn whole(body: impl Read, prompt_tokens: u64) -> Result<Answer, AskError> {
    let mut bytes = Vec::new();
    body.take(MAX_BODY).read_to_end(&mut bytes).map_err(|error| broken(&error))?;
    let mut pieces = Pieces::default();
    let reply: Reply = serde_json::from_slice(&bytes).map_err(|error| malformed(&error, &bytes))?;
    if reply.choices.is_empty() && reply.error.is_none() {
        return Err(AskError::new(AskErrorKind::Malformed, "an answer without a choice"));
    }
    pieces.add(reply)?;
    pieces.answer(prompt_tokens)
}

/// Reads an answer of server-sent events: a line `data: {…}` a piece, at the end `data: [DONE]`,
/// <https://html.spec.whatwg.org/multipage/server-sent-events.html>.
pub(super) fn streamed(body: impl BufRead, prompt_tokens: u64) -> Result<Answer, AskError> {
    let mut body = body.take(MAX_BODY);
    let mut pieces = Pieces::default();
    let mut line = Vec::new();
    loop {
        line.clear();
        if body.read_until(b'\n', &mut line).map_err(|error| broken(&error))? == 0 {
            // Some endpoints leave out the last line; a reason to end is an end too.
            return pieces.answer(prompt_tokens);
        }
        let line = line.trim_ascii();
        let Some(data) = line.strip_prefix(b"data:").map(<[u8]>::trim_ascii) else {
            continue; // comments, names of events, blank lines
        };
        if data == b"[DONE]" {
            return pieces.answer(prompt_tokens);
        }
        let reply = serde_json::from_slice(data).map_err(|error| malformed(&error, data))?;
        pieces.add(reply)?;
    }
}

/// The error of a body that cannot be read to its end.
pub(super) fn broken(error: &std::io::Error) -> AskError {
    let kind = match error.kind() {
        std::io::ErrorKind::TimedOut | std::io::ErrorKind::WouldBlock => AskErrorKind::Timeout,
        _ => AskErrorKind::Truncated,
    };
    AskError::new(kind, error.to_string())
}

fn malformed(error: &serde_json::Error, bytes: &[u8]) -> AskError {
    // An object that ends too early was cut on its way.
    let cut = error.is_eof() && bytes.trim_ascii_start().starts_with(b"{");
    let kind = if cut { AskErrorKind::Truncated } else { AskErrorKind::Malformed };
    AskError::new(kind, error.to_string())
}

/// As much of a text as a message repeats.
pub(super) fn short(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(text: &str, reason: &str) -> String {
        format!(
            "data: {{\"choices\":[{{\"delta\":{{\"content\":{text:?}}},\"finish_reason\":{reason}}}]}}\r\n\r\n"
        )
    }

    fn kind(answer: Result<Answer, AskError>) -> AskErrorKind {
        answer.unwrap_err().kind
    }

    #[test]
    fn pieces_make_the_same_answer_as_the_whole() {
        let usage = r#""usage":{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9}"#;
        let one = format!(
            r#"{{"id":"x","choices":[{{"index":0,"message":{{"role":"assistant","content":"salt & pepper"}},"finish_reason":"stop"}}],{usage}}}"#
        );
        let many = format!(
            ": hello\n{}{}{}data: {{\"choices\":[],{usage}}}\n\ndata: [DONE]\n\n",
            piece("salt", "null"),
            piece(" & pepper", "null"),
            "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":null}\n\n",
        );
        let whole = whole(one.as_bytes(), 1).unwrap();
        assert_eq!(whole, streamed(many.as_bytes(), 1).unwrap());
        assert_eq!(whole.text, "salt & pepper");
        assert_eq!(whole.usage, Usage { prompt_tokens: 7, completion_tokens: 2 });
    }

    #[test]
    fn an_answer_cut_anywhere_is_no_answer() {
        let one = r#"{"choices":[{"message":{"content":"salt"},"finish_reason":"stop"}]}"#;
        for cut in 1..one.len() {
            assert_eq!(kind(whole(&one.as_bytes()[..cut], 1)), AskErrorKind::Truncated, "{cut}");
        }
        let many = piece("salt", "null") + &piece(" and", "null");
        assert_eq!(kind(streamed(many.as_bytes(), 1)), AskErrorKind::Truncated);
        let done = format!("{many}data: [DONE]\n");
        assert_eq!(kind(streamed(done.as_bytes(), 1)), AskErrorKind::Truncated);
        let cut = format!("{many}data: {{\"choices\":[{{\"del");
        assert_eq!(kind(streamed(cut.as_bytes(), 1)), AskErrorKind::Truncated);
    }

    #[test]
    fn what_is_no_answer_is_told_from_one() {
        for body in ["", "[]", "x", "{}", r#"{"choices":[]}"#, "<html>busy</html>"] {
            assert_eq!(kind(whole(body.as_bytes(), 1)), AskErrorKind::Malformed, "{body}");
        }
        let failed = r#"{"error":{"message":"overloaded"}}"#;
        assert_eq!(kind(whole(failed.as_bytes(), 1)), AskErrorKind::Server);
        assert_eq!(kind(streamed(format!("data: {failed}\n").as_bytes(), 1)), AskErrorKind::Server);
        assert_eq!(kind(streamed(&b"data: x\n"[..], 1)), AskErrorKind::Malformed);
    }

    #[test]
    fn finish_reasons_are_distinguished_and_missing_token_counts_estimated() {
        for (reason, finish) in [
            ("stop", Finish::Complete),
            ("length", Finish::Length),
            ("content_filter", Finish::Other),
        ] {
            let answer = streamed(piece("saltines", &format!("{reason:?}")).as_bytes(), 5).unwrap();
            assert_eq!(answer.finish, finish);
            assert_eq!(answer.usage, Usage { prompt_tokens: 5, completion_tokens: 2 });
        }
    }
}
