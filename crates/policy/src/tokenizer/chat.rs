//! Conversations in the format that a model was taught, by its own Jinja template.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;
use std::time::SystemTime;

use minijinja::value::{Kwargs, Value};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, context};
use minijinja_contrib::pycompat::unknown_method_callback;
use serde::{Deserialize, Serialize};
use serde_json::Map;
use serde_json::ser::{Formatter, PrettyFormatter, Serializer};

use super::SpecialTokens;
use crate::PolicyError;
use crate::config::unsupported;

const NAME: &str = "chat";

/// A turn of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatMessage {
    /// Who speaks: `system`, `user` or `assistant`.
    pub role: String,
    /// What is said.
    pub content: String,
}

impl ChatMessage {
    /// A turn in which `role` says `content`.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Self { role: role.into(), content: content.into() }
    }
}

/// Options for rendering a conversation.
#[derive(Debug, Clone, Default)]
pub struct ChatOptions {
    /// Whether the text ends with the beginning of the assistant's next turn.
    pub add_generation_prompt: bool,
    /// Variables that the template uses, such as `enable_thinking`.
    pub variables: BTreeMap<String, serde_json::Value>,
    /// The time that `strftime_now` returns, in UTC. Without it this function is not defined, so
    /// that equal conversations give equal prompts on every day; templates then use their own date.
    pub now: Option<SystemTime>,
}

/// A tokenizer's Jinja template of conversations, rendered as transformers' `apply_chat_template`
/// does: blocks trimmed, `raise_exception`, `tojson` without HTML escapes, loop controls and the
/// methods of Python's strings, lists and dictionaries.
///
/// Tools and documents are not supported. `{% generation %}` has no effect.
#[derive(Debug, Clone)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    special: SpecialTokens,
}

impl ChatTemplate {
    /// The template of this source.
    ///
    /// # Errors
    /// [`PolicyError::Template`] if the source is not Jinja.
    pub fn new(source: &str, special: &SpecialTokens) -> Result<Self, PolicyError> {
        let mut environment = Environment::new();
        environment.set_trim_blocks(true);
        environment.set_lstrip_blocks(true);
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_unknown_method_callback(unknown_method_callback);
        environment.add_function("raise_exception", raise_exception);
        environment.add_filter("tojson", to_json);
        environment
            .add_template_owned(NAME, without_generation_marks(source).into_owned())
            .map_err(|source| PolicyError::Template { action: "cannot be read", source })?;
        Ok(Self { environment, special: special.clone() })
    }

    /// The text of a conversation, special tokens included: tokens by
    /// [`SidTokenizer::encode`](super::SidTokenizer::encode).
    ///
    /// # Errors
    /// [`PolicyError::Template`] if the template raises an error for the conversation, or needs a
    /// value that is not there.
    pub fn render(
        &self,
        messages: &[ChatMessage],
        options: &ChatOptions,
    ) -> Result<String, PolicyError> {
        let fail = |source| PolicyError::Template { action: "cannot be rendered", source };
        let fixed = context! {
            messages,
            add_generation_prompt => options.add_generation_prompt,
            eos_token => self.special.end_of_turn,
            pad_token => self.special.pad,
            ..options.now.map(|now| context! { strftime_now => strftime(now) }).unwrap_or_default()
        };
        let bos = self.special.bos.as_ref().map(|bos| context! { bos_token => bos });
        let variables = Value::from_serialize(&options.variables);
        let all = context! { ..fixed, ..bos.unwrap_or_default(), ..variables };
        self.environment.get_template(NAME).and_then(|template| template.render(all)).map_err(fail)
    }
}

/// The template in the settings of a tokenizer: a text, or the one named `default` of a list.
///
/// # Errors
/// [`PolicyError::Unsupported`] for a list without a default, or a value that is neither.
pub(super) fn in_settings(
    settings: &Map<String, serde_json::Value>,
) -> Result<Option<String>, PolicyError> {
    let Some(stated) = settings.get("chat_template").filter(|stated| !stated.is_null()) else {
        return Ok(None);
    };
    let is_default = |entry: &&serde_json::Value| entry.get("name").is_some_and(|n| n == "default");
    let of_list = || stated.as_array()?.iter().find(is_default)?.get("template")?.as_str();
    let found = stated.as_str().or_else(of_list).map(str::to_owned);
    found.map(Some).ok_or_else(|| {
        let entries = stated.as_array().into_iter().flatten().filter_map(|entry| entry.get("name"));
        let names: Vec<String> = entries.map(ToString::to_string).collect();
        let found = format!("a list of [{}]", names.join(", "));
        unsupported("chat_template", found, "a text, or a list with a template named \"default\"")
    })
}

#[allow(clippy::needless_pass_by_value, reason = "the engine's signature of a function")]
fn raise_exception(message: String) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, message))
}

/// A function that writes `now` in a format of Python's `strftime`.
fn strftime(now: SystemTime) -> Value {
    Value::from_function(move |format: &str| {
        let fail = |error: jiff::Error| Error::new(ErrorKind::InvalidOperation, error.to_string());
        let now = jiff::Timestamp::try_from(now).map_err(fail)?;
        let now = now.to_zoned(jiff::tz::TimeZone::UTC);
        jiff::fmt::strtime::format(format, &now).map_err(fail)
    })
}

/// Python's `json.dumps` without ASCII escapes; `indent` is the only known setting.
#[allow(clippy::needless_pass_by_value, reason = "the engine's signature of a filter")]
fn to_json(value: Value, settings: Kwargs) -> Result<String, Error> {
    let indent: Option<usize> = settings.get("indent")?;
    settings.assert_all_used()?;
    let mut out = Vec::new();
    let written = match indent {
        None => value.serialize(&mut Serializer::with_formatter(&mut out, PythonSpacing)),
        Some(width) => {
            let spaces = vec![b' '; width];
            let formatter = PrettyFormatter::with_indent(&spaces);
            value.serialize(&mut Serializer::with_formatter(&mut out, formatter))
        }
    };
    let fail = |error: &dyn std::error::Error| {
        Error::new(ErrorKind::InvalidOperation, format!("no JSON: {error}"))
    };
    written.map_err(|error| fail(&error))?;
    String::from_utf8(out).map_err(|error| fail(&error))
}

/// One line with a space after each comma and colon.
struct PythonSpacing;

impl Formatter for PythonSpacing {
    fn begin_array_value<W: ?Sized + io::Write>(
        &mut self,
        w: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if first { Ok(()) } else { w.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + io::Write>(
        &mut self,
        w: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if first { Ok(()) } else { w.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, w: &mut W) -> io::Result<()> {
        w.write_all(b": ")
    }
}

/// A source in which the tags around what an assistant writes, which the engine does not know,
/// are conditions that always hold: they trim the same white space.
fn without_generation_marks(source: &str) -> Cow<'_, str> {
    let mut out = String::new();
    let mut rest = source;
    while let Some((before, tag)) = rest.split_once("{%") {
        let Some((inside, after)) = tag.split_once("%}") else { break };
        out.push_str(before);
        let name = inside.trim_matches(['-', '+']).trim();
        let inside = match name {
            "generation" => Cow::Owned(inside.replace(name, "if true")),
            "endgeneration" => Cow::Owned(inside.replace(name, "endif")),
            _ => Cow::Borrowed(inside),
        };
        out.extend(["{%", &inside, "%}"]);
        rest = after;
    }
    if out.is_empty() { Cow::Borrowed(source) } else { Cow::Owned(out + rest) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn render(source: &str, options: &ChatOptions) -> Result<String, PolicyError> {
        let messages = [ChatMessage::new("user", "a <b> & \"c\"")];
        ChatTemplate::new(source, &SpecialTokens::default())?.render(&messages, options)
    }

    fn cause(error: &PolicyError) -> String {
        std::error::Error::source(error).unwrap().to_string()
    }

    #[test]
    fn the_error_of_a_template_is_passed_on() {
        let source =
            "{% if messages[0].role == 'user' %}{{ raise_exception('no user') }}{% endif %}";
        let error = render(source, &ChatOptions::default()).unwrap_err();
        assert!(cause(&error).contains("no user"), "{error}");
        let error = render("{% if %}", &ChatOptions::default()).unwrap_err();
        assert!(matches!(error, PolicyError::Template { action: "cannot be read", .. }));
        let error = render("{{ messages | tojson(sort_keys=true) }}", &ChatOptions::default());
        assert!(cause(&error.unwrap_err()).contains("sort_keys"));
    }

    #[test]
    fn time_is_told_only_where_it_was_given() {
        let source = "{% if strftime_now is defined %}{{ strftime_now('%d %b %Y') }}{% else %}none{% endif %}";
        assert_eq!(render(source, &ChatOptions::default()).unwrap(), "none");
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(86_400 * 365);
        let options = ChatOptions { now: Some(now), ..ChatOptions::default() };
        assert_eq!(render(source, &options).unwrap(), "01 Jan 1971");
    }

    #[test]
    fn the_default_of_several_templates_is_taken() {
        let settings = serde_json::json!({ "chat_template": [
            { "name": "tool_use", "template": "tools" },
            { "name": "default", "template": "plain" },
        ] });
        let of = |settings: &serde_json::Value| in_settings(settings.as_object().unwrap());
        assert_eq!(of(&settings).unwrap().as_deref(), Some("plain"));
        assert_eq!(of(&serde_json::json!({ "chat_template": null })).unwrap(), None);
        assert_eq!(in_settings(&Map::new()).unwrap(), None);
        let other = serde_json::json!({ "chat_template": [{ "name": "rag", "template": "r" }] });
        assert!(of(&other).unwrap_err().to_string().contains("rag"), "no default");
    }
}
