//! The prompts of a teacher, versioned and hashed.

use minijinja::{Environment, UndefinedBehavior, Value, context};
use sidereal_data::Digest;
use sidereal_prompts::{EnrichmentKind, Message, Role};

use crate::{RequestStage, Shown, Subject, TeacherError};

/// Raised with every change of what the templates get. Their texts are hashed themselves, so that a
/// change of one does not cost the answers of the others.
const VERSION: u32 = 1;
/// Longest description that is shown, in characters: it is paid for by length.
const MAX_DESCRIPTION: usize = 2000;
/// Longest review that is shown, in characters.
const MAX_REVIEW: usize = 1000;
const SYSTEM: &str = include_str!("templates/system.jinja");
const CORRECTION: &str = include_str!("templates/correction.jinja");

impl RequestStage {
    const fn template(self) -> &'static str {
        match self {
            Self::ItemAnalyse => include_str!("templates/item_analyse.jinja"),
            Self::ItemIntegrate => include_str!("templates/item_integrate.jinja"),
            Self::ItemDescribe => include_str!("templates/item_describe.jinja"),
            Self::UserReason => include_str!("templates/user_reason.jinja"),
            Self::UserIntegrate => include_str!("templates/user_integrate.jinja"),
            Self::Preference => include_str!("templates/preference.jinja"),
            Self::Reasoning => include_str!("templates/reasoning.jinja"),
        }
    }
}

/// The templates of this version of the library, compiled.
///
/// They know `item`, `held_out` and `history` (each with `sid`, `title`, `brand`, `categories`,
/// `description` and `reviews`), `notes` (the answer of the stage before), `min_words` and `max_words`.
#[derive(Debug, Clone)]
pub struct TeacherPrompts {
    environment: Environment<'static>,
    /// Fewest and most words of an answer.
    words: (usize, usize),
}

impl TeacherPrompts {
    /// Templates that ask for texts with these numbers of words.
    ///
    /// # Errors
    /// [`TeacherError::Template`]; this cannot happen in a released version.
    pub fn builtin(words: (usize, usize)) -> Result<Self, TeacherError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        let texts = RequestStage::ALL.map(|stage| (stage.to_string(), stage.template()));
        for (name, text) in texts.into_iter().chain([("correction".to_owned(), CORRECTION)]) {
            environment
                .add_template_owned(name.clone(), text)
                .map_err(|source| refused(name, source))?;
        }
        Ok(Self { environment, words })
    }

    /// BLAKE3 of version and texts of all that makes a text of this kind, in hexadecimal.
    #[must_use]
    pub fn hash(&self, kind: EnrichmentKind) -> String {
        let mut digest = Digest::default();
        digest.size(VERSION as usize);
        for text in [SYSTEM, CORRECTION] {
            digest.text(text);
        }
        for stage in RequestStage::of(kind) {
            digest.text(stage.template());
        }
        digest.size(self.words.0);
        digest.size(self.words.1);
        digest.finish()
    }

    /// The messages of a stage; `notes` is the answer of the stage before, if there is one.
    ///
    /// # Errors
    /// [`TeacherError::Template`] if a template fails for these values, for example a stage about
    /// an item for an event.
    pub fn messages(
        &self,
        stage: RequestStage,
        subject: &Subject<'_>,
        notes: &str,
    ) -> Result<Vec<Message>, TeacherError> {
        let (min_words, max_words) = self.words;
        let values = match subject {
            Subject::Item(item) => {
                context! { item => facts(item), notes, min_words, max_words }
            }
            Subject::Event { history, held_out } => {
                let history: Vec<Value> = history.iter().map(facts).collect();
                context! { history, held_out => facts(held_out), notes, min_words, max_words }
            }
        };
        let asked = self.render(&stage.to_string(), values)?;
        Ok(vec![
            Message { role: Role::System, content: SYSTEM.trim().to_owned() },
            Message { role: Role::User, content: asked },
        ])
    }

    /// The messages that ask again after a rejected answer.
    ///
    /// # Errors
    /// [`TeacherError::Template`], as [`messages`](Self::messages).
    pub fn correction(&self, rejected: &str, reason: &str) -> Result<[Message; 2], TeacherError> {
        let content = self.render("correction", context! { reason })?;
        Ok([
            Message { role: Role::Assistant, content: rejected.to_owned() },
            Message { role: Role::User, content },
        ])
    }

    fn render(&self, name: &str, values: Value) -> Result<String, TeacherError> {
        self.environment
            .get_template(name)
            .and_then(|template| template.render(values))
            .map_err(|source| refused(name.to_owned(), source))
    }
}

fn refused(name: String, source: minijinja::Error) -> TeacherError {
    TeacherError::Template { name, source }
}

fn facts(shown: &Shown<'_>) -> Value {
    let item = shown.item;
    let description: String = item.description.chars().take(MAX_DESCRIPTION).collect();
    let short = |text: &String| text.chars().take(MAX_REVIEW).collect::<String>();
    let reviews: Vec<String> = shown.reviews.iter().map(short).collect();
    context! {
        sid => shown.sid,
        title => item.title,
        brand => item.brand,
        categories => item.categories.join(" > "),
        description,
        reviews,
    }
}

#[cfg(test)]
mod tests {
    use sidereal_data::Item;

    use super::*;

    #[test]
    fn every_stage_renders_and_shows_the_held_out_item_only_where_it_must() {
        let prompts = TeacherPrompts::builtin((5, 100)).unwrap();
        let items = ["Green tea {{ notes }}", "Kettle", "Whisk & bowl"].map(|t| Item::new(t, t));
        let wrote = ["It keeps warm.".to_owned()];
        let shown =
            |i: usize| Shown { item: &items[i], sid: format!("<a_{i}><b_0>"), reviews: &wrote };
        let item = Subject::Item(shown(0));
        let event = Subject::Event { history: vec![shown(0), shown(1)], held_out: shown(2) };
        for stage in RequestStage::ALL {
            let about_item = stage.kind().is_about_an_item();
            let (subject, other) = if about_item { (&item, &event) } else { (&event, &item) };
            let text = &prompts.messages(stage, subject, "so it is").unwrap()[1].content;
            let reveals = matches!(stage, RequestStage::UserReason | RequestStage::Reasoning);
            assert_eq!(text.contains("Whisk & bowl"), reveals, "{stage}: {text}");
            let with_notes =
                matches!(stage, RequestStage::ItemIntegrate | RequestStage::UserIntegrate);
            assert_eq!(text.contains("so it is"), with_notes, "{stage}: {text}");
            let title = stage != RequestStage::ItemIntegrate;
            assert_eq!(text.contains("Green tea {{ notes }}"), title, "{stage}: {text}");
            let describes = stage == RequestStage::ItemDescribe;
            assert_eq!(text.contains("It keeps warm."), describes, "{stage}: {text}");
            assert!(!(describes && text.contains("<a_")), "{text}");
            assert!(prompts.messages(stage, other, "").is_err(), "{stage}");
        }
    }

    #[test]
    fn the_hash_tells_kinds_and_lengths_apart() {
        let hash = |words, kind| TeacherPrompts::builtin(words).unwrap().hash(kind);
        let one = hash((5, 100), EnrichmentKind::Preference);
        assert_eq!(one, hash((5, 100), EnrichmentKind::Preference));
        assert_ne!(one, hash((5, 101), EnrichmentKind::Preference));
        assert_ne!(one, hash((5, 100), EnrichmentKind::Reasoning));
        assert_ne!(
            hash((5, 100), EnrichmentKind::Monologue),
            hash((5, 100), EnrichmentKind::Reasoning)
        );
    }
}
