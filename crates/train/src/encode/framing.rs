//! Messages as one text that ends where the assistant begins.

use sidereal_policy::{ChatOptions, ChatTemplate, PolicyError, SidTokenizer};
use sidereal_prompts::Message;

use crate::TrainError;

/// How messages become text.
#[derive(Debug)]
pub enum Framing {
    /// By the chat template of the model.
    Template(Box<ChatTemplate>),
    /// One line for each message, after the name of the speaker, for models without a template.
    Plain,
}

impl Framing {
    /// The framing by what a tokenizer says of its chat template: the template or, if it has none, lines.
    ///
    /// # Errors
    /// [`TrainError::Policy`] for a template that cannot be read.
    pub fn new(template: Result<ChatTemplate, PolicyError>) -> Result<Self, TrainError> {
        match template {
            Ok(template) => Ok(Self::Template(Box::new(template))),
            Err(PolicyError::NoChatTemplate) => Ok(Self::Plain),
            Err(error) => Err(error.into()),
        }
    }

    /// Token ids of the messages and of the opening of the assistant's turn. The output of a
    /// template already contains the beginning token, if the model needs one; lines are a plain
    /// prompt.
    pub(super) fn read(
        &self,
        tokenizer: &SidTokenizer,
        messages: &[Message],
    ) -> Result<Vec<u32>, TrainError> {
        let text = self.text(messages)?;
        Ok(match self {
            Self::Template(_) => tokenizer.encode(&text)?,
            Self::Plain => tokenizer.encode_prompt(&text)?,
        })
    }

    /// The messages, and the opening of the assistant's turn.
    ///
    /// # Errors
    /// [`TrainError::Policy`] if the template raises an error for them.
    pub fn text(&self, messages: &[Message]) -> Result<String, TrainError> {
        match self {
            Self::Template(template) => {
                let messages: Vec<_> = messages
                    .iter()
                    .map(|Message { role, content }| {
                        sidereal_policy::ChatMessage::new(role.name(), content.as_str())
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
    use std::fs;
    use std::num::NonZeroUsize;
    use std::path::Path;

    use serde_json::{Value, json};
    use sidereal_data::{Dataset, Item, ItemId, Split, User, UserId, leave_one_out};
    use sidereal_policy::{END_OF_TURN, PAD, SpecialTokens};
    use sidereal_prompts::{Prompt, PromptRegistry, Role, Task, Tasks, Wording};
    use sidereal_sid::{Catalog, SemanticId, SidSpec, Trie};

    use super::*;
    use crate::Encoder;

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

    /// One user and three items.
    struct Shop {
        dataset: Dataset,
        catalog: Catalog,
        trie: Trie,
        split: Split,
        prompts: PromptRegistry,
    }

    impl Shop {
        fn new() -> Self {
            let items = ["an apple", "a bean", "corn"].map(|title| Item::new(title, title));
            let events = [2, 0, 1, 0, 2].map(ItemId).to_vec();
            let dataset = Dataset::new(items.to_vec(), vec![User::new("u", events)]).unwrap();
            let sids = [[0, 0], [0, 1], [1, 0]].map(SemanticId::from).to_vec();
            let catalog = Catalog::new(SidSpec::new(vec![2, 2], 0).unwrap(), sids).unwrap();
            let split = leave_one_out(&dataset, NonZeroUsize::MAX).unwrap();
            let (trie, prompts) =
                (Trie::from_catalog(&catalog), PromptRegistry::builtin().unwrap());
            Self { dataset, catalog, trie, split, prompts }
        }

        /// A folder whose tokenizer puts these tokens around every text, `A` for the text.
        fn tokenizer(&self, frame: &[&str], files: &[(&str, &str)]) -> SidTokenizer {
            let dir = tempfile::tempdir().unwrap();
            let trained = SidTokenizer::train(["corn"].iter(), 260, self.catalog.spec()).unwrap();
            trained.save(dir.path()).unwrap();
            if !frame.is_empty() {
                put_around(&dir.path().join("tokenizer.json"), &trained, frame);
            }
            for (name, text) in files {
                fs::write(dir.path().join(name), text).unwrap();
            }
            SidTokenizer::load(dir.path(), self.catalog.spec()).unwrap()
        }
    }

    fn put_around(path: &Path, tokenizer: &SidTokenizer, frame: &[&str]) {
        let mut file: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        let piece = |part: &&str| match *part {
            "A" => json!({ "Sequence": { "id": "A", "type_id": 0 } }),
            token => json!({ "SpecialToken": { "id": token, "type_id": 0 } }),
        };
        let known = |token: &str| {
            let id = tokenizer.id(token).unwrap();
            (token.to_owned(), json!({ "id": token, "ids": [id], "tokens": [token] }))
        };
        let tokens: serde_json::Map<_, _> = [PAD, END_OF_TURN].map(known).into_iter().collect();
        file["post_processor"] = json!({
            "type": "TemplateProcessing",
            "single": frame.iter().map(piece).collect::<Vec<_>>(),
            "pair": [
                { "Sequence": { "id": "A", "type_id": 0 } },
                { "Sequence": { "id": "B", "type_id": 1 } },
            ],
            "special_tokens": tokens,
        });
        fs::write(path, file.to_string()).unwrap();
    }

    #[test]
    fn a_plain_prompt_begins_as_the_texts_of_its_base_in_training_and_in_decoding() {
        let shop = Shop::new();
        let (framed, bare) = (shop.tokenizer(&[PAD, "A"], &[]), shop.tokenizer(&[], &[]));
        let begin = framed.id(PAD).unwrap();
        let set = shop.prompts.set("terse").unwrap();
        let tasks = Tasks::new(&shop.dataset, &shop.catalog, set).unwrap();
        let encoder = Encoder::new(&framed, &shop.catalog, set, &shop.trie).unwrap();
        let without = Encoder::new(&bare, &shop.catalog, set, &shop.trie).unwrap();
        let after_begin = |ids: &[u32]| [&[begin], ids].concat();

        let rendered = tasks.next_item(&shop.split.train.sample(1).unwrap()).unwrap();
        let asked = encoder.read(&rendered.prompt).unwrap();
        assert_eq!(asked, after_begin(&without.read(&rendered.prompt).unwrap()));
        let [prompt] =
            encoder.prompts(std::slice::from_ref(&rendered)).unwrap().try_into().unwrap();
        assert_eq!(prompt.ids, asked);
        let (learned, bare) =
            (encoder.sequence(&rendered).unwrap(), without.sequence(&rendered).unwrap());
        assert!(learned.ids.starts_with(&asked));
        assert_eq!(learned.ids, after_begin(&bare.ids));
        let shifted: Vec<_> = bare.targets.iter().map(|(at, target)| (at + 1, *target)).collect();
        assert_eq!(learned.targets, shifted);

        // Histories in one piece are still what samples fold into.
        let folded = encoder.train(&tasks, &shop.split.train, Task::NextItem).unwrap();
        let events = &shop.dataset.users()[0].events;
        let history = &events[..=shop.split.train.num_samples()];
        let whole = encoder.history(&tasks, UserId(0), history).unwrap();
        assert_eq!((folded.len(), &folded[0].ids), (1, &whole.ids));
        assert_eq!(whole.ids.iter().filter(|id| **id == begin).count(), 1);
        assert_eq!(whole.ids.first(), Some(&begin));
    }

    #[test]
    fn messages_have_the_beginning_once_whoever_writes_it() {
        let shop = Shop::new();
        let set = shop.prompts.set("singer").unwrap();
        let messages = Prompt::Chat(vec![Message::new(Role::User, "next?")]);
        let writes = "{{ bos_token }}{% for m in messages %}{{ m.content }}{% endfor %}";
        let leaves_out = "{% for m in messages %}{{ m.content }}{% endfor %}";
        let settings = json!({ "bos_token": PAD, "eos_token": END_OF_TURN, "pad_token": PAD });
        let settings = settings.to_string();
        for (template, expected) in [(Some(writes), 1), (Some(leaves_out), 0), (None, 1)] {
            let mut files = vec![("tokenizer_config.json", settings.as_str())];
            files.extend(template.map(|source| ("chat_template.jinja", source)));
            let tokenizer = shop.tokenizer(&[PAD, "A"], &files);
            let begin = tokenizer.id(PAD).unwrap();
            let encoder = Encoder::new(&tokenizer, &shop.catalog, set, &shop.trie).unwrap();
            let ids = encoder.read(&messages).unwrap();
            let found: Vec<usize> = (0..ids.len()).filter(|at| ids[*at] == begin).collect();
            assert_eq!(found, (0..expected).collect::<Vec<_>>(), "{template:?}");
        }
    }

    #[test]
    fn encoder_input_gets_the_end_token_and_decoder_output_does_not() {
        let shop = Shop::new();
        let set = shop.prompts.set("terse").unwrap();
        let tasks = Tasks::new(&shop.dataset, &shop.catalog, set).unwrap();
        let rendered = tasks.next_item(&shop.split.train.sample(1).unwrap()).unwrap();
        let t5 = [("config.json", r#"{"model_type": "t5"}"#)];
        for (files, ends) in [(&t5[..], true), (&[], false)] {
            let tokenizer = shop.tokenizer(&["A", END_OF_TURN], files);
            let encoder = Encoder::new(&tokenizer, &shop.catalog, set, &shop.trie).unwrap();
            let ids = encoder.read(&rendered.prompt).unwrap();
            assert_eq!(ids.last() == Some(&tokenizer.end_of_turn()), ends);
            assert!(encoder.sequence(&rendered).unwrap().ids.starts_with(&ids));
            // Prompts with an end do not continue one another.
            let history = encoder.history(&tasks, UserId(0), &[ItemId(0), ItemId(1)]);
            assert_eq!(history.is_err(), ends);
        }
    }
    #[test]
    fn the_end_of_a_plain_completion_is_the_bases_own() {
        let shop = Shop::new();
        let set = shop.prompts.set("terse").unwrap();
        let tasks = Tasks::new(&shop.dataset, &shop.catalog, set).unwrap();
        let titled = tasks.item(Task::SidToTitle, ItemId(2), Wording::First).unwrap().unwrap();
        let ends = |end: &str| {
            let settings = json!({ "eos_token": end, "pad_token": PAD }).to_string();
            let tokenizer = shop.tokenizer(&[], &[("tokenizer_config.json", &settings)]);
            let encoder = Encoder::new(&tokenizer, &shop.catalog, set, &shop.trie).unwrap();
            let ids = encoder.sequence(&titled).unwrap().ids;
            assert_eq!(ids.last(), Some(&tokenizer.id(end).unwrap()), "{end}");
            ids[..ids.len() - 1].to_vec()
        };
        assert_eq!(ends(END_OF_TURN), ends(PAD));
    }
}
