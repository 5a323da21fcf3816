//! Asks a teacher for texts about items or users: a model behind an endpoint, or rules over the
//! metadata, offline and free. Minutes to hours by endpoint, seconds by rule.
//! Run: `cargo run --release -p sidereal-teacher --features http --example enrich -- \
//!     --items x.item.json --index x.index.json --valid valid.csv --test test.csv \
//!     --kind item-paragraph --out enriched.jsonl`
#![allow(clippy::print_stdout, reason = "a program's stdout is its result")]
#![allow(clippy::print_stderr, reason = "stderr is talk")]

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Parser;
use sidereal_data::read::{RowPolicy, minionerec};
use sidereal_prompts::EnrichmentKind;
use sidereal_teacher::{
    AnswerCache, Durability, EndpointConfig, EnrichConfig, Enricher, Job, MetadataTeacher,
    OpenAiTeacher, Progress, Teacher,
};

/// Files of a dataset as `MiniOneRec` publishes it.
#[derive(Parser)]
#[command(about)]
struct Args {
    #[arg(long)]
    items: PathBuf,
    #[arg(long)]
    index: PathBuf,
    /// Where it is published.
    #[arg(long)]
    train: Option<PathBuf>,
    #[arg(long)]
    valid: PathBuf,
    #[arg(long)]
    test: PathBuf,
    /// item-paragraph, item-description, user-narrative, preference, reasoning or monologue.
    #[arg(long, value_parser = kind)]
    kind: EnrichmentKind,
    /// File of texts.
    #[arg(long)]
    out: PathBuf,
    /// At most so many texts, the first ones.
    #[arg(long)]
    limit: Option<usize>,
    /// Ask a model behind this address, such as `https://api.openai.com/v1`; else rules.
    #[arg(long, requires = "model")]
    base_url: Option<String>,
    #[arg(long, requires = "base_url")]
    model: Option<String>,
    /// Environment variable that holds the key.
    #[arg(long, requires = "base_url")]
    key_variable: Option<String>,
    /// File of answers, where a run that ended early goes on.
    #[arg(long, default_value = "answers.jsonl")]
    cache: PathBuf,
    /// Let answers come in pieces.
    #[arg(long, requires = "base_url")]
    stream: bool,
    #[arg(long, default_value_t = 4)]
    concurrency: usize,
    #[arg(long)]
    requests_per_minute: Option<f64>,
    #[arg(long)]
    tokens_per_minute: Option<f64>,
    /// Cost of a million tokens read.
    #[arg(long)]
    prompt_price: Option<f64>,
    /// Cost of a million tokens written.
    #[arg(long)]
    completion_price: Option<f64>,
    /// Most that this run and those before it on the same cache may cost.
    #[arg(long, requires = "prompt_price", requires = "completion_price")]
    max_cost: Option<f64>,
    #[arg(long, default_value_t = 42)]
    seed: u64,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let (items, index) = (&args.items, &args.index);
    let (train, valid, test) = (args.train.as_deref(), &args.valid, &args.test);
    let files = minionerec::Files { items, index, train, valid, test };
    let ten = NonZeroUsize::new(10).unwrap_or(NonZeroUsize::MIN);
    let data = minionerec::read(&files, args.seed, ten, None, &RowPolicy::lenient())?;

    let mut config = EnrichConfig::new(args.seed);
    config.concurrency = args.concurrency;
    config.requests_per_minute = args.requests_per_minute;
    config.tokens_per_minute = args.tokens_per_minute;
    config.prices.prompt = args.prompt_price.unwrap_or(0.0);
    config.prices.completion = args.completion_price.unwrap_or(0.0);
    config.max_cost = args.max_cost;
    let enricher = Enricher::new(&data.dataset, &data.catalog, config)?;
    let (teacher, cache): (Box<dyn Teacher>, _) = match args.base_url.zip(args.model) {
        None => (Box::new(MetadataTeacher), None),
        Some((base_url, model)) => {
            let mut endpoint = EndpointConfig::new(base_url, model);
            endpoint.key_variable = args.key_variable;
            endpoint.stream = args.stream;
            let cache = AnswerCache::open(&args.cache, Durability::EachAnswer)?;
            (Box::new(OpenAiTeacher::new(endpoint)?), Some(cache))
        }
    };
    let jobs = Job::items(args.kind, &data.dataset);
    let jobs = jobs.chain(Job::events(args.kind, &data.split.train));
    let jobs: Vec<Job<'_>> = jobs.take(args.limit.unwrap_or(usize::MAX)).collect();
    let mut told = 0;
    let mut talk = |now: &Progress| {
        let done = now.written + now.failed;
        if done >= told + 500 {
            told = done;
            eprintln!("{done} of {}, cost {:.4}", now.jobs, now.cost);
        }
    };
    let made = enricher.run(&*teacher, cache.as_ref(), &jobs, &mut talk)?;
    made.enrichments.write(&args.out)?;
    for failed in &made.failed {
        eprintln!("{} {}: {}", failed.id, failed.kind, failed.reason);
    }
    println!("{:#?}", made.progress);
    match made.stopped {
        None => Ok(()),
        Some(stopped) => Err(anyhow::Error::new(stopped).context("run again to go on")),
    }
}

fn kind(text: &str) -> Result<EnrichmentKind, serde_json::Error> {
    serde_json::from_value(serde_json::Value::String(text.to_owned()))
}
