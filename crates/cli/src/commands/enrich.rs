//! `sidereal enrich`: a teacher's texts about items or users.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::ValueEnum;
use sidereal_data::leave_one_out;
use sidereal_prompts::EnrichmentKind;
use sidereal_teacher::{
    AnswerCache, Durability, EndpointConfig, EnrichConfig, Enricher, Job, MetadataTeacher,
    OpenAiTeacher, Progress, Teacher,
};
use sidereal_train::{Bars, Observer as _};

use crate::data::{DataArgs, Reading};
use crate::failure::{Incomplete, Usage};
use crate::output::{line, note};

/// Get texts about items or users from a teacher: a model behind an endpoint, or rules over the metadata.
///
/// A text that the teacher does not give, or that breaks the rules of its kind, is left out and listed. The exit
/// code is then 3, and the file holds all other texts; `--partial` accepts that.
///
/// The rules work offline and cost nothing. The texts belong to the data and to their Semantic IDs: use
/// them in `train` with `--enriched` and the same data, index and seed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sidereal enrich --data data --index sids/index.json --kind item-paragraph --out enriched.jsonl
  sidereal enrich --data data --index sids/index.json --kind reasoning --out enriched.jsonl \\
      --base-url https://api.openai.com/v1 --model gpt-4o-mini --key-variable OPENAI_API_KEY")]
pub(crate) struct Args {
    /// The kind of the texts.
    #[arg(long, value_enum)]
    kind: Kind,
    /// The file of texts to write.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Ask only for the first N texts.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// End with the exit code 0 although texts are missing.
    #[arg(long)]
    partial: bool,
    /// The number of items of a history that the teacher sees.
    #[arg(long, value_name = "N", default_value = "10")]
    max_history: NonZeroUsize,
    /// Seed for the numbering of items. Use the seed of the recipe that takes the texts.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    endpoint: EndpointArgs,
}

/// A model that is asked over HTTP.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Endpoint")]
struct EndpointArgs {
    /// Ask a model behind this address, such as `https://api.openai.com/v1`, instead of rules.
    #[arg(long, value_name = "URL", requires = "model")]
    base_url: Option<String>,
    /// The name of the model.
    #[arg(long, requires = "base_url")]
    model: Option<String>,
    /// The environment variable that holds the key.
    #[arg(long, value_name = "NAME", requires = "base_url")]
    key_variable: Option<String>,
    /// The file of answers. With it an interrupted run can go on.
    #[arg(long, value_name = "FILE", default_value = "answers.jsonl")]
    cache: PathBuf,
    /// Receive each answer in pieces.
    #[arg(long, requires = "base_url")]
    stream: bool,
    /// The number of requests at the same time.
    #[arg(long, value_name = "N", default_value_t = 4)]
    concurrency: usize,
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

/// A kind of text.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    /// A paragraph about each item.
    ItemParagraph,
    /// A story of each user that leads to the next item.
    UserNarrative,
    /// What each user prefers.
    Preference,
    /// Reasoning before the next item, in labelled steps (GREAM).
    Reasoning,
    /// Reasoning before the next item, in the first person (`SIDReasoner`): what a user narrative is written from.
    Monologue,
}

impl From<Kind> for EnrichmentKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::ItemParagraph => Self::ItemParagraph,
            Kind::UserNarrative => Self::UserNarrative,
            Kind::Preference => Self::Preference,
            Kind::Reasoning => Self::Reasoning,
            Kind::Monologue => Self::Monologue,
        }
    }
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let how = Reading { seed: args.seed, max_history: args.max_history, filters: None };
    let data = args.data.read(&how)?;
    let catalog = data.catalog.ok_or_else(|| {
        Usage::error("the data has no Semantic IDs: add `--index FILE`, a file of `sidereal sids`")
    })?;
    let split = match data.split {
        Some(published) => published,
        None => leave_one_out(&data.dataset, args.max_history)?,
    };
    let enricher = Enricher::new(&data.dataset, &catalog, args.endpoint.limits(args.seed))?;
    let (teacher, cache) = args.endpoint.teacher()?;
    let kind = EnrichmentKind::from(args.kind);
    let jobs = Job::items(&data.dataset).filter(|_| kind.is_about_an_item());
    let jobs = jobs.chain(Job::events(kind, &split.train));
    let jobs: Vec<Job<'_>> = jobs.take(args.limit.unwrap_or(usize::MAX)).collect();
    let mut bars = Bars::default();
    let mut talk = |now: &Progress| {
        bars.on_progress("enrich", "texts", now.written + now.failed, now.jobs);
    };
    let made = enricher.run(&*teacher, cache.as_ref(), &jobs, &mut talk)?;
    made.enrichments.write(&args.out)?;
    for failed in &made.failed {
        note(format_args!("{} {}: {}", failed.id, failed.kind, failed.reason));
    }
    let Progress { jobs, written, failed, requests, cost, .. } = made.progress;
    line(format_args!("wanted {jobs}, written {written}, failed {failed}"))?;
    line(format_args!("requests {requests}, cost {cost:.4}"))?;
    note(format_args!("texts: {}", args.out.display()));
    match made.stopped {
        None if failed == 0 || args.partial => Ok(()),
        None => Err(Incomplete::error(format!(
            "{failed} of {jobs} texts are missing: the lines above say why; `--partial` accepts that"
        ))),
        Some(stopped) => Err(anyhow::Error::new(stopped)
            .context("some texts are still missing: run the command again to go on")),
    }
}

impl EndpointArgs {
    /// Limits of rate and spending.
    fn limits(&self, seed: u64) -> EnrichConfig {
        let mut config = EnrichConfig::new(seed);
        config.concurrency = self.concurrency;
        config.requests_per_minute = self.requests_per_minute;
        config.tokens_per_minute = self.tokens_per_minute;
        config.prices.prompt = self.prompt_price.unwrap_or(0.0);
        config.prices.completion = self.completion_price.unwrap_or(0.0);
        config.max_cost = self.max_cost;
        config
    }

    /// The model with its file of answers, or rules.
    fn teacher(&self) -> anyhow::Result<(Box<dyn Teacher>, Option<AnswerCache>)> {
        let Some((base_url, model)) = self.base_url.clone().zip(self.model.clone()) else {
            return Ok((Box::new(MetadataTeacher), None));
        };
        let mut endpoint = EndpointConfig::new(base_url, model);
        endpoint.key_variable.clone_from(&self.key_variable);
        endpoint.stream = self.stream;
        let cache = AnswerCache::open(&self.cache, Durability::EachAnswer)?;
        Ok((Box::new(OpenAiTeacher::new(endpoint)?), Some(cache)))
    }
}
