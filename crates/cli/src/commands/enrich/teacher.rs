//! Who writes the texts: rules, a model on this machine, or a model behind an endpoint.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use sidereal_lab::{LocalTeacher, LocalTeacherConfig};
use sidereal_policy::device;
use sidereal_teacher::{
    AnswerCache, Durability, EndpointConfig, EnrichConfig, MetadataTeacher, OpenAiTeacher, Teacher,
};

use crate::models::check_teacher;

/// A model on this machine.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Model on this machine")]
pub(super) struct LocalArgs {
    /// Ask this model instead of rules: a folder in the layout of Hugging Face, a GGUF file, or `smollm2`, which
    /// `cargo xtask model smollm2` fetches. Its chat template frames the requests.
    #[arg(long, value_name = "MODEL", conflicts_with = "base_url")]
    teacher: Option<PathBuf>,
    /// Where it computes: `cpu`, `cuda`, `cuda:N`, or `auto` for CUDA if there is a GPU.
    #[arg(long, default_value = "auto")]
    device: String,
}

/// A model that is asked over HTTP.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Endpoint")]
pub(super) struct EndpointArgs {
    /// Ask a model behind this address, such as `https://api.openai.com/v1`, instead of rules.
    #[arg(long, value_name = "URL", requires = "model")]
    base_url: Option<String>,
    /// The name of the model.
    #[arg(long, requires = "base_url")]
    model: Option<String>,
    /// The environment variable that holds the key.
    #[arg(long, value_name = "NAME", requires = "base_url")]
    key_variable: Option<String>,
    /// Receive each answer in pieces.
    #[arg(long, requires = "base_url")]
    stream: bool,
    /// The most requests in a minute.
    #[arg(long, value_name = "N")]
    requests_per_minute: Option<f64>,
    /// The most tokens in a minute.
    #[arg(long, value_name = "N")]
    tokens_per_minute: Option<f64>,
    /// The cost of a million tokens that the model reads.
    #[arg(long, value_name = "COST")]
    prompt_price: Option<f64>,
    /// The cost of a million tokens that the model writes.
    #[arg(long, value_name = "COST")]
    completion_price: Option<f64>,
    /// The most that this run and earlier runs with the same file of answers may cost together.
    #[arg(long, value_name = "COST", requires = "prompt_price", requires = "completion_price")]
    max_cost: Option<f64>,
}

/// What a model may write, on this machine or behind an endpoint.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Answers of a model")]
pub(super) struct AnswerArgs {
    /// The file of answers. With it an interrupted run can go on.
    #[arg(long, value_name = "FILE", default_value = "answers.jsonl")]
    cache: PathBuf,
    /// The number of requests at the same time. A model on this machine answers them together.
    #[arg(long, value_name = "N", default_value_t = 4)]
    concurrency: usize,
    /// How tokens are drawn; 0 takes the most likely one. The default is 0 with `--teacher`, and 0.7 for an endpoint.
    #[arg(long, value_name = "T")]
    temperature: Option<f32>,
    /// The most tokens of an answer. The default is 512 with `--teacher`, and 1024 for an endpoint.
    #[arg(long, value_name = "N")]
    max_tokens: Option<u32>,
    /// How often an answer that breaks a rule is asked for again, with the reason.
    #[arg(long, value_name = "N", default_value_t = 2)]
    corrections: u32,
}

/// Everything that says who writes the texts.
#[derive(Debug, clap::Args)]
pub(super) struct TeacherArgs {
    #[command(flatten)]
    local: LocalArgs,
    #[command(flatten)]
    endpoint: EndpointArgs,
    #[command(flatten)]
    answers: AnswerArgs,
}

/// A teacher, with the file of its answers if it is a model.
pub(super) type Opened = (Box<dyn Teacher>, Option<AnswerCache>);

impl TeacherArgs {
    /// Limits of rate and spending, and how answers are drawn.
    pub(super) fn limits(&self, seed: u64) -> EnrichConfig {
        let Self { local, endpoint, answers } = self;
        let mut config = match &local.teacher {
            Some(base) => LocalTeacherConfig::new(base).requests(seed),
            None => EnrichConfig::new(seed),
        };
        config.concurrency = answers.concurrency;
        config.corrections = answers.corrections;
        config.sampling.temperature = answers.temperature.unwrap_or(config.sampling.temperature);
        config.sampling.max_tokens = answers.max_tokens.unwrap_or(config.sampling.max_tokens);
        config.requests_per_minute = endpoint.requests_per_minute;
        config.tokens_per_minute = endpoint.tokens_per_minute;
        config.prices.prompt = endpoint.prompt_price.unwrap_or(0.0);
        config.prices.completion = endpoint.completion_price.unwrap_or(0.0);
        config.max_cost = endpoint.max_cost;
        config
    }

    /// A model with its file of answers, or rules.
    pub(super) fn open(&self, seed: u64) -> anyhow::Result<Opened> {
        let Self { local, endpoint, answers } = self;
        if let Some(base) = &local.teacher {
            check_teacher(base)?;
            let batch = NonZeroUsize::new(answers.concurrency).unwrap_or(NonZeroUsize::MIN);
            let cache = AnswerCache::open(&answers.cache, Durability::Buffered)?;
            let teacher = LocalTeacher::load(base, device(&local.device)?, seed, batch)?;
            return Ok((Box::new(teacher), Some(cache)));
        }
        let Some((base_url, model)) = endpoint.base_url.clone().zip(endpoint.model.clone()) else {
            return Ok((Box::new(MetadataTeacher), None));
        };
        let mut config = EndpointConfig::new(base_url, model);
        config.key_variable.clone_from(&endpoint.key_variable);
        config.stream = endpoint.stream;
        let cache = AnswerCache::open(&answers.cache, Durability::EachAnswer)?;
        Ok((Box::new(OpenAiTeacher::new(config)?), Some(cache)))
    }
}
