//! Models at an endpoint with the protocol of `OpenAI`'s chat completions.

use std::fmt;
use std::io::{BufReader, Read};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sidereal_prompts::Message;

use crate::stream::{self, short};
use crate::{Answer, AskError, AskErrorKind, Request, Teacher, TeacherError};

/// Largest number of bytes that are read of the body of an error response.
const MAX_REFUSAL: u64 = 1 << 12;

/// The endpoint of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct EndpointConfig {
    /// Address without the method, such as `https://api.openai.com/v1`.
    pub base_url: String,
    /// Name of the model.
    pub model: String,
    /// Environment variable that holds the key; `None` if no key is needed.
    #[serde(default)]
    pub key_variable: Option<String>,
    /// Seconds from the beginning of a request to the end of its answer. Range above 0, to a day.
    pub timeout: f64,
    /// Whether the answer comes in pieces. This keeps connections alive that would be cut while
    /// nothing is sent.
    #[serde(default)]
    pub stream: bool,
}

impl EndpointConfig {
    /// An endpoint that asks for no key, has five minutes for an answer and sends it whole.
    #[must_use]
    pub fn new(base_url: impl Into<String>, model: impl Into<String>) -> Self {
        let (base_url, model) = (base_url.into(), model.into());
        Self { base_url, model, key_variable: None, timeout: 300.0, stream: false }
    }
}

/// A model at `POST {base_url}/chat/completions`
/// (<https://platform.openai.com/docs/api-reference/chat>), the first choice of its answer.
///
/// The key is read once, from the environment. It never appears in a message: if the endpoint
/// repeats it, it is blotted out. Redirections are errors, because they could send the key
/// elsewhere.
pub struct OpenAiTeacher {
    config: EndpointConfig,
    url: String,
    key: Option<Key>,
    agent: ureq::Agent,
}

/// A text that is not shown.
struct Key(String);

impl fmt::Debug for OpenAiTeacher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenAiTeacher").field("config", &self.config).finish_non_exhaustive()
    }
}

/// What is sent.
#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    messages: &'a [Message],
    temperature: f32,
    max_tokens: u32,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

impl OpenAiTeacher {
    /// A teacher at this endpoint.
    ///
    /// # Errors
    /// [`TeacherError::MissingKey`] if the variable is not set, is empty, or holds characters that
    /// a header cannot hold; [`TeacherError::Config`] for a wrong address or time.
    pub fn new(config: EndpointConfig) -> Result<Self, TeacherError> {
        let refuse = |field, found: &str, expected| {
            Err(TeacherError::Config { field, found: found.to_owned(), expected })
        };
        let base = config.base_url.trim_end_matches('/');
        let parsed: Option<ureq::http::Uri> = base.parse().ok();
        let web = parsed.is_some_and(|uri| {
            uri.host().is_some() && matches!(uri.scheme_str(), Some("http" | "https"))
        });
        if !web {
            return refuse("base_url", &config.base_url, "an http or https address");
        }
        if !(config.timeout > 0.0 && config.timeout <= 86_400.0) {
            return refuse("timeout", &config.timeout.to_string(), "seconds up to a day");
        }
        let key = config.key_variable.as_deref().map(Key::read).transpose()?;
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(Duration::from_secs_f64(config.timeout)))
            .http_status_as_error(false)
            .max_redirects(0)
            .build();
        let url = format!("{base}/chat/completions");
        Ok(Self { config, url, key, agent: agent.into() })
    }

    fn send(&self, request: &Request<'_>) -> Result<Answer, AskError> {
        let body = Body {
            model: &self.config.model,
            messages: request.messages,
            temperature: request.sampling.temperature,
            max_tokens: request.sampling.max_tokens,
            stream: self.config.stream,
            stream_options: self.config.stream.then_some(StreamOptions { include_usage: true }),
        };
        let body = serde_json::to_vec(&body)
            .map_err(|error| AskError::new(AskErrorKind::Refused, error.to_string()))?;
        let mut post = self.agent.post(&self.url).header("content-type", "application/json");
        if let Some(Key(key)) = &self.key {
            post = post.header("authorization", format!("Bearer {key}"));
        }
        let response = post.send(&body[..]).map_err(|error| unsent(&error))?;
        let status = response.status().as_u16();
        let retry_after = response.headers().get("retry-after").and_then(|it| it.to_str().ok());
        let retry_after = retry_after.and_then(waited);
        let reader = response.into_body().into_reader();
        let bytes: u64 = request.messages.iter().map(|message| message.content.len() as u64).sum();
        let estimate = bytes.div_ceil(4);
        let kind = match status {
            200 if self.config.stream => return stream::streamed(BufReader::new(reader), estimate),
            200 => return stream::whole(reader, estimate),
            429 => AskErrorKind::Busy,
            408 => AskErrorKind::Timeout,
            400 | 413 | 422 => AskErrorKind::Refused,
            500.. => AskErrorKind::Server,
            _ => AskErrorKind::Denied,
        };
        let mut text = Vec::new();
        // Whatever can be read of it.
        let _ = reader.take(MAX_REFUSAL).read_to_end(&mut text);
        let mut error =
            AskError::new(kind, format!("status {status}: {}", String::from_utf8_lossy(&text)));
        error.retry_after = retry_after;
        error.may_have_cost = false;
        Err(error)
    }

    /// A text of the endpoint without the key.
    fn blotted(&self, text: String) -> String {
        match &self.key {
            Some(Key(key)) => text.replace(key, "[key]"),
            None => text,
        }
    }
}

impl Teacher for OpenAiTeacher {
    fn name(&self) -> &str {
        &self.config.model
    }

    fn ask(&self, request: &Request<'_>) -> Result<Answer, AskError> {
        match self.send(request) {
            Ok(answer) => Ok(Answer { text: self.blotted(answer.text), ..answer }),
            Err(error) => Err(AskError { message: short(&self.blotted(error.message)), ..error }),
        }
    }
}

impl Key {
    fn read(variable: &str) -> Result<Self, TeacherError> {
        let refuse = |found| Err(TeacherError::MissingKey { variable: variable.to_owned(), found });
        match std::env::var(variable) {
            Err(std::env::VarError::NotPresent) => refuse("is not set"),
            Err(std::env::VarError::NotUnicode(_)) => refuse("is not text"),
            Ok(key) if key.trim().is_empty() => refuse("is empty"),
            Ok(key) if !key.trim().bytes().all(|byte| byte.is_ascii_graphic()) => {
                refuse("holds characters that no key has")
            }
            Ok(key) => Ok(Self(key.trim().to_owned())),
        }
    }
}

/// The error of a request without a response.
fn unsent(error: &ureq::Error) -> AskError {
    let kind = match error {
        ureq::Error::Timeout(_) => AskErrorKind::Timeout,
        ureq::Error::Io(io) if io.kind() == std::io::ErrorKind::TimedOut => AskErrorKind::Timeout,
        ureq::Error::BadUri(_) | ureq::Error::Tls(_) | ureq::Error::RequireHttpsOnly(_) => {
            AskErrorKind::Denied
        }
        _ => AskErrorKind::Connection,
    };
    AskError::new(kind, error.to_string())
}

/// `Retry-After`: seconds, or a date (RFC 9110 §10.2.3).
fn waited(text: &str) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    // A date in the past asks for no wait.
    let wait = date.as_millisecond() - jiff::Timestamp::now().as_millisecond();
    Some(Duration::from_millis(u64::try_from(wait).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_seconds_or_dates() {
        assert_eq!(waited("7"), Some(Duration::from_secs(7)));
        assert_eq!(waited(" 0.5 "), Some(Duration::from_millis(500)));
        assert_eq!(waited("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        let future = waited("Sat, 06 Nov 2094 08:49:37 GMT").unwrap();
        assert!(future > Duration::from_secs(3600));
        for text in ["", "soon", "-1", "NaN"] {
            assert_eq!(waited(text), None, "{text}");
        }
    }

    #[test]
    fn a_key_comes_from_the_environment_and_is_not_shown() {
        let config = |variable: &str| {
            let mut config = EndpointConfig::new("http://localhost:1/v1/", "m");
            config.key_variable = Some(variable.to_owned());
            config
        };
        let teacher = OpenAiTeacher::new(config("CARGO_PKG_NAME")).unwrap();
        assert_eq!(teacher.url, "http://localhost:1/v1/chat/completions");
        assert!(!format!("{teacher:?}").contains("sidereal-teacher"));
        assert_eq!(teacher.blotted("sidereal-teacher is wrong".to_owned()), "[key] is wrong");
        let error = OpenAiTeacher::new(config("NO_SUCH_VARIABLE_HERE")).unwrap_err().to_string();
        assert!(
            error.contains("`NO_SUCH_VARIABLE_HERE`") && error.ends_with("is not set"),
            "{error}"
        );
    }

    #[test]
    fn addresses_and_times_are_checked() {
        for address in ["", "localhost:80", "ftp://x/v1", "http://", "not an address"] {
            let refused = OpenAiTeacher::new(EndpointConfig::new(address, "m"));
            assert!(
                matches!(refused, Err(TeacherError::Config { field: "base_url", .. })),
                "{address}"
            );
        }
        let mut config = EndpointConfig::new("https://example.org/v1", "m");
        config.timeout = 0.0;
        let refused = OpenAiTeacher::new(config);
        assert!(matches!(refused, Err(TeacherError::Config { field: "timeout", .. })));
    }
}
