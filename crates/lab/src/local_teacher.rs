//! A teacher that is a language model on this machine.

mod together;

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use sidereal_data::Digest;
use sidereal_files::{hash_file, hash_json};
use sidereal_policy::{
    AnyPolicy, LanguageModel, PolicyError, SamplingConfig, Text, TextEnd, TextSampler, TokenBatch,
    WordTokenizer, as_language_model,
};
use sidereal_teacher::{Answer, AskError, AskErrorKind, Finish, Request, Sampling, Teacher, Usage};
use sidereal_train::Framing;
use tch::Device;

use self::together::Together;
use crate::error::LabError;
use crate::recipe::base::{base_folder, files_of_base};

/// Digits of a model's hash in the name of a teacher.
const NAME_DIGITS: usize = 12;

/// A pretrained language model that answers the requests of a
/// [`Teacher`]: a folder in the layout of Hugging Face, or a model in GGUF.
///
/// Messages are framed by the model's chat template; a model without one reads a line for each message. A request's
/// [`Sampling`] says how tokens are drawn (temperature 0 takes the most likely one) and how many at most. An answer
/// ends with the end of its turn. What is drawn depends on the seed and on the request alone, up to the rounding of
/// logits, which changes with the requests beside it.
///
/// Requests that several threads have open at once are read and written as one batch, so the concurrency of an
/// [`EnrichConfig`](sidereal_teacher::EnrichConfig) should be that of the batch.
#[derive(Debug)]
pub struct LocalTeacher {
    name: String,
    seed: u64,
    policy: Mutex<AnyPolicy>,
    tokenizer: WordTokenizer,
    framing: Framing,
    /// Longest sequence that the model reads, prompt and answer together.
    positions: Option<usize>,
    together: Together<Question, Result<Answer, AskError>>,
}

/// A request in tokens.
#[derive(Debug)]
struct Question {
    ids: Vec<u32>,
    sampling: Sampling,
    /// The key of its draws.
    key: u64,
}

impl LocalTeacher {
    /// The model at `base`, a path or the name of a model that `cargo xtask model` fetches. At most `batch` requests
    /// are answered at once.
    ///
    /// # Errors
    /// [`LabError::Policy`] for a folder that holds no language model with a tokenizer that fits it;
    /// [`LabError::Io`] and [`LabError::File`] for files that cannot be read; [`LabError::Train`] for a chat template
    /// that cannot be read.
    pub fn load(
        base: &Path,
        device: Device,
        seed: u64,
        batch: NonZeroUsize,
    ) -> Result<Self, LabError> {
        let folder = base_folder(base);
        let policy = AnyPolicy::load(&folder, device)?;
        let positions = as_language_model(&policy, "texts of a teacher")?.positions();
        let tokenizer = WordTokenizer::load(&folder)?;
        policy.check_num_ids(tokenizer.vocab_size())?;
        let framing = Framing::new(tokenizer.chat_template())?;
        let name = name(base, &folder, seed)?;
        let (policy, together) = (Mutex::new(policy), Together::new(batch));
        Ok(Self { name, seed, policy, tokenizer, framing, positions, together })
    }

    /// The request in tokens.
    fn question(&self, request: &Request<'_>) -> Result<Question, AskError> {
        let text = self.framing.text(request.messages).map_err(|error| refused(&error))?;
        let ids = match self.framing {
            Framing::Template(_) => self.tokenizer.encode(&text),
            Framing::Plain => self.tokenizer.encode_prompt(&text),
        };
        let ids = ids.map_err(|error| refused(&error))?;
        let (found, answer) = (ids.len(), request.sampling.max_tokens as usize);
        if let Some(positions) = self.positions.filter(|most| found + answer > *most) {
            return Err(AskError::new(
                AskErrorKind::Refused,
                format!(
                    "the request has {found} tokens and its answer may have {answer}, but the model reads \
                     {positions} together"
                ),
            ));
        }
        let mut digest = Digest::default();
        for id in &ids {
            digest.number(u64::from(*id));
        }
        Ok(Question { ids, sampling: request.sampling.clone(), key: digest.draw() })
    }

    /// The answers to questions of one sampling.
    fn answers(&self, questions: &[Question]) -> Vec<Result<Answer, AskError>> {
        let policy = self.policy.lock().unwrap_or_else(PoisonError::into_inner);
        let model = match as_language_model(&*policy, "texts of a teacher") {
            Ok(model) => model,
            Err(error) => return questions.iter().map(|_| Err(refused(&error))).collect(),
        };
        match self.write(model, questions) {
            Ok(answers) => answers.into_iter().map(Ok).collect(),
            // One question alone is not answered because of its own.
            Err(_) if questions.len() > 1 => {
                let alone = |question| self.write(model, std::slice::from_ref(question));
                let first = |answers: Vec<Answer>| answers.into_iter().next().ok_or_else(lost);
                let one =
                    |question| alone(question).map_err(|error| refused(&error)).and_then(first);
                questions.iter().map(one).collect()
            }
            Err(error) => vec![Err(refused(&error))],
        }
    }

    fn write(
        &self,
        model: &dyn LanguageModel,
        questions: &[Question],
    ) -> Result<Vec<Answer>, PolicyError> {
        let Some(Question { sampling, .. }) = questions.first() else { return Ok(Vec::new()) };
        let stops = [vec![self.tokenizer.end_of_turn()]];
        let sampler = TextSampler {
            model,
            num_ids: self.tokenizer.vocab_size(),
            sampling: SamplingConfig::new(f64::from(sampling.temperature))?,
            budget: sampling.max_tokens as usize,
            stops: &stops,
            seed: self.seed,
        };
        let rows: Vec<&[u32]> = questions.iter().map(|question| question.ids.as_slice()).collect();
        let keys: Vec<u64> = questions.iter().map(|question| question.key).collect();
        let prompts = TokenBatch::new(&rows, self.tokenizer.pad(), usize::MAX, model.device())?;
        let texts = sampler.write(&prompts, &keys, 1)?;
        let texts = texts.into_iter().flatten().zip(questions);
        texts.map(|(text, question)| self.answer(&text, question)).collect()
    }

    fn answer(&self, text: &Text, question: &Question) -> Result<Answer, PolicyError> {
        let ids: Vec<u32> = text.tokens.iter().map(|token| token.id).collect();
        let finish = match text.end {
            TextEnd::Stop(_) => Finish::Complete,
            TextEnd::Budget => Finish::Length,
            _ => Finish::Other,
        };
        let usage =
            Usage { prompt_tokens: question.ids.len() as u64, completion_tokens: ids.len() as u64 };
        Ok(Answer { text: self.tokenizer.decode(&ids)?.trim().to_owned(), finish, usage })
    }
}

impl Teacher for LocalTeacher {
    /// The name of the model's folder or file, the beginning of a hash of all its files, and the seed: answers of
    /// another model or of other draws are never taken for these.
    fn name(&self) -> &str {
        &self.name
    }

    /// # Errors
    /// [`AskErrorKind::Refused`] for a request that is too long for the model, or that its chat template or its
    /// tokenizer rejects.
    fn ask(&self, request: &Request<'_>) -> Result<Answer, AskError> {
        let question = self.question(request)?;
        let alike = |one: &Question, other: &Question| one.sampling == other.sampling;
        let answer = self.together.ask(question, alike, |questions| self.answers(questions));
        answer.unwrap_or_else(|| Err(lost()))
    }
}

/// The name of the teacher of a model.
fn name(base: &Path, folder: &Path, seed: u64) -> Result<String, LabError> {
    let mut files = Vec::new();
    for path in files_of_base(folder)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        files.push((name, hash_file(&path)?));
    }
    files.sort();
    let hash: String = hash_json(&files)?.chars().take(NAME_DIGITS).collect();
    let stem = if folder.is_file() { base.file_stem() } else { base.file_name() };
    let stem = stem.map_or_else(|| "model".into(), |stem| stem.to_string_lossy());
    Ok(format!("{stem}@{hash}/{seed}"))
}

fn refused(error: &(dyn std::error::Error + 'static)) -> AskError {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    AskError::new(AskErrorKind::Refused, text)
}

/// The error of a question whose batch ended without an answer.
fn lost() -> AskError {
    AskError::new(AskErrorKind::Server, "the batch of this request ended without an answer")
}
