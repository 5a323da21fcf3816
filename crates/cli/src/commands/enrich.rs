//! `sidereal enrich`: a teacher's texts about items or users.

mod teacher;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Instant;

use clap::ValueEnum;
use sidereal_data::read::RowPolicy;
use sidereal_data::read::amazon::{Release, ReleaseError, read_review_texts};
use sidereal_data::{Dataset, TrainSet, leave_one_out};
use sidereal_prompts::EnrichmentKind;
use sidereal_teacher::{Enricher, Job, Progress};
use sidereal_train::{Bars, Observer as _};

use self::teacher::TeacherArgs;
use crate::data::{DataArgs, Reading};
use crate::failure::{Incomplete, Usage};
use crate::output::{line, note};

/// Get texts about items or users from a teacher: a model on this machine or behind an endpoint, or rules over the
/// metadata.
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
  sidereal enrich --data data --index sids/index.json --kind item-paragraph --out enriched.jsonl \\
      --teacher smollm2
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
    /// For descriptions of items: Amazon's reviews, with their release, as `2014=FILE`. Only reviews of training
    /// events are used: those of the published split, or all but the last two of each user.
    #[arg(long, value_name = "RELEASE=FILE")]
    review_texts: Option<ReviewFile>,
    /// The reviews of an item that the teacher sees, the most helpful ones.
    #[arg(long, value_name = "N", default_value = "5")]
    reviews_per_item: NonZeroUsize,
    /// Seed for the numbering of items. Use the seed of the recipe that takes the texts.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    teacher: TeacherArgs,
}

/// A kind of text.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    /// A paragraph about each item.
    ItemParagraph,
    /// A description of each item, rewritten from its title, its description and its reviews (GREAM). It holds no
    /// Semantic IDs, so it needs none: make them from it with `sids --rewritten`.
    ItemDescription,
    /// A story of each user that leads to the next item.
    UserNarrative,
    /// What each user prefers.
    Preference,
    /// Reasoning before the next item, in labelled steps (GREAM).
    Reasoning,
    /// Reasoning before the next item, in the first person (SIDReasoner): what a user narrative is written from.
    Monologue,
}

impl From<Kind> for EnrichmentKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::ItemParagraph => Self::ItemParagraph,
            Kind::ItemDescription => Self::ItemDescription,
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
    let kind = EnrichmentKind::from(args.kind);
    let catalog = data.catalog.filter(|_| kind != EnrichmentKind::ItemDescription);
    if catalog.is_none() && kind != EnrichmentKind::ItemDescription {
        return Err(Usage::error(
            "the data has no Semantic IDs: add `--index FILE`, a file of `sidereal sids`",
        ));
    }
    let split = match data.split {
        Some(published) => published,
        None => leave_one_out(&data.dataset, args.max_history)?,
    };
    let reviews = args.reviews(kind, &data.dataset, &split.train)?;
    let limits = args.teacher.limits(args.seed);
    let mut enricher = match &catalog {
        Some(catalog) => Enricher::new(&data.dataset, catalog, limits)?,
        None => Enricher::without_catalog(&data.dataset, limits)?,
    };
    if let Some(reviews) = &reviews {
        enricher = enricher.with_reviews(reviews)?;
    }
    let (teacher, cache) = args.teacher.open(args.seed)?;
    let jobs = Job::items(kind, &data.dataset).chain(Job::events(kind, &split.train));
    let jobs: Vec<Job<'_>> = jobs.take(args.limit.unwrap_or(usize::MAX)).collect();
    let mut bars = Bars::default();
    let mut talk = |now: &Progress| {
        bars.on_progress("enrich", "texts", now.written + now.failed, now.jobs);
    };
    let start = Instant::now();
    let made = enricher.run(&*teacher, cache.as_ref(), &jobs, &mut talk)?;
    made.enrichments.write(&args.out)?;
    for failed in &made.failed {
        note(format_args!("{} {}: {}", failed.id, failed.kind, failed.reason));
    }
    let Progress { jobs, written, failed, requests, rejected, cached, cost, usage, .. } =
        made.progress;
    line(format_args!("wanted {jobs}, written {written}, failed {failed}"))?;
    line(format_args!("requests {requests}, rejected answers {rejected}, cost {cost:.4}"))?;
    if cache.is_some() {
        let seconds = start.elapsed().as_secs_f64();
        let (read, wrote) = (usage.prompt_tokens, usage.completion_tokens);
        let rate = wrote as f64 / seconds.max(1e-9);
        note(format_args!(
            "tokens: {read} read, {wrote} written in {seconds:.1} s, {rate:.1} a second; answers from the file: {cached}"
        ));
    }
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

impl Args {
    /// What users wrote of each item in training, for descriptions of items.
    fn reviews(
        &self,
        kind: EnrichmentKind,
        dataset: &Dataset,
        train: &TrainSet,
    ) -> anyhow::Result<Option<Vec<Vec<String>>>> {
        let Some(ReviewFile { release, path }) = &self.review_texts else { return Ok(None) };
        if kind != EnrichmentKind::ItemDescription {
            return Err(Usage::error(
                "`--review-texts` goes with `--kind item-description` alone: leave it out",
            ));
        }
        let (most, policy) = (self.reviews_per_item, RowPolicy::lenient());
        let read = read_review_texts(path, *release, dataset, train, most, &policy)?;
        let reviewed = read.texts.iter().filter(|texts| !texts.is_empty()).count();
        note(format_args!("items with reviews: {reviewed} of {}", read.texts.len()));
        Ok(Some(read.texts))
    }
}

/// A file of Amazon's reviews and its release, `2014=FILE`.
#[derive(Debug, Clone)]
struct ReviewFile {
    release: Release,
    path: PathBuf,
}

impl FromStr for ReviewFile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (release, path) =
            text.split_once('=').ok_or("expected `RELEASE=FILE`, like `2014=x.json.gz`")?;
        let release = release.parse().map_err(|error: ReleaseError| error.to_string())?;
        Ok(Self { release, path: path.into() })
    }
}
