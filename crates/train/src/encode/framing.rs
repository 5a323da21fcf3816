//! Messages as one text that ends where the assistant begins.

use sidereal_corpus::Message;
use sidereal_policy::{ChatOptions, ChatTemplate, PolicyError, SidTokenizer};

use crate::TrainError;

/// How messages become text.
#[derive(Debug)]
pub(super) enum Framing {
    /// By the template that the model was taught.
    Template(Box<ChatTemplate>),
    /// One a line behind the speaker's name, for models that were taught none.
    Plain,
}

impl Framing {
    /// The framing of a tokenizer's folder.
    pub(super) fn of(tokenizer: &SidTokenizer) -> Result<Self, TrainError> {
        match tokenizer.chat_template() {
            Ok(template) => Ok(Self::Template(Box::new(template))),
            Err(PolicyError::NoChatTemplate) => Ok(Self::Plain),
            Err(error) => Err(error.into()),
        }
    }

    /// The messages, and the opening of the assistant's turn.
    pub(super) fn text(&self, messages: &[Message]) -> Result<String, TrainError> {
        match self {
            Self::Template(template) => {
                let messages: Vec<_> = messages
                    .iter()
                    .map(|Message { role, content }| {
                        sidereal_policy::Message::new(role.name(), content.as_str())
                    })
                    .collect();
                let options = ChatOptions { add_generation_prompt: true, ..ChatOptions::default() };
                Ok(template.render(&messages, &options)?)
            }
            Self::Plain => {
                let line =
                    |message: &Message| format!("{}: {}\n", message.role.name(), message.content);
                let read: String = messages.iter().map(line).collect();
                Ok(read + "assistant: ")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use sidereal_corpus::Role;
    use sidereal_policy::SpecialTokens;

    use super::*;

    #[test]
    fn a_template_frames_messages_and_without_one_speakers_are_named() {
        let messages = [Message::new(Role::System, "be brief"), Message::new(Role::User, "next?")];
        let plain = "system: be brief\nuser: next?\nassistant: ";
        assert_eq!(Framing::Plain.text(&messages).unwrap(), plain);
        let source = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}{{ eos_token \
                      }}\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n\
                      {% endif %}";
        let template = ChatTemplate::new(source, &SpecialTokens::default()).unwrap();
        assert_eq!(
            Framing::Template(Box::new(template)).text(&messages).unwrap(),
            "<|im_start|>system\nbe brief<|im_end|>\n<|im_start|>user\nnext?<|im_end|>\n\
             <|im_start|>assistant\n"
        );
    }
}
