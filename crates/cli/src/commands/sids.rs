//! `sidereal sids`: items to Semantic IDs, with a report of their quality.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use clap::ValueEnum;
use ndarray::{Array2, ArrayView2};
use sidereal_data::read::RowPolicy;
use sidereal_data::{Dataset, Item, ItemId, SampleId, TrainSet, write};
use sidereal_files::write_json;
use sidereal_lab::judged;
use sidereal_page::Page;
use sidereal_policy::{TextEncoder, device};
use sidereal_prompts::{EnrichmentKind, Enrichments};
use sidereal_quantizer::{Collisions, JudgedCodes, Matrix, QualityReport, Thresholds};
use sidereal_sid::{Catalog, TokenStyle};
use sidereal_train::{Bars, Observer as _};

use crate::data::{Data, DataArgs, Reading};
use crate::failure::Usage;
use crate::index;
use crate::models::check_encoder;
use crate::output::{line, note};
use crate::quantize::{Method, MethodArgs, Quantized, collaborative, quantize};

/// Make Semantic IDs of items from their titles and descriptions, and report their quality.
///
/// The folder holds `index.json`, the Semantic IDs by item key, for `train --index`; `catalog.json`, in
/// the order of the items; `codebooks/`; `items.tsv` for people; `quality.json` and `quality.html`. With
/// interactions, the report also tells how well the codes of one item say which item follows, on each user's
/// latest training event.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sidereal sids --items x.item.json --out sids
  sidereal sids --data data --method rq-vae --steps 10000 --collisions reassign --out sids")]
pub(crate) struct Args {
    /// The folder to write.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// What items with the same codes get.
    #[arg(long, value_enum, default_value = "suffix")]
    collisions: OnCollision,
    /// How codes are written as tokens.
    #[arg(long, value_enum, default_value = "mini-one-rec")]
    token_style: StyleName,
    /// The folder of a sentence encoder, in the layout of sentence-transformers.
    #[arg(long, value_name = "DIR", default_value = "target/all-MiniLM-L6-v2")]
    encoder: PathBuf,
    /// Vectors of the items in their order, instead of those of the encoder: `.npy`, or `.safetensors` with a
    /// single tensor.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["encoder", "titles_only"])]
    embeddings: Option<PathBuf>,
    /// Encode only the titles, without descriptions.
    #[arg(long)]
    titles_only: bool,
    /// Encode the titles and these descriptions, texts of `enrich --kind item-description` with the same data and
    /// seed, instead of the sellers' descriptions.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["embeddings", "titles_only"])]
    rewritten: Option<PathBuf>,
    /// Fail and write nothing if a larger share of the items collides.
    #[arg(long, value_name = "SHARE")]
    max_collision_rate: Option<f64>,
    /// Fail and write nothing if a level uses a smaller share of its codes.
    #[arg(long, value_name = "SHARE")]
    min_usage: Option<f64>,
    /// Seed of every random choice.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where to compute: `cpu`, `cuda`, `cuda:N`, or `auto` for CUDA if there is a GPU.
    #[arg(long, default_value = "auto")]
    device: String,
    #[command(flatten)]
    method: MethodArgs,
    #[command(flatten)]
    data: DataArgs,
}

/// What becomes of items that share all their codes.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum OnCollision {
    /// Each of them gets one more code; other items get none (TIGER, SINGER).
    Suffix,
    /// Every item gets one more code; it is 0 if the item shares its codes with no other (GREAM).
    Slot,
    /// All but one take the nearest free last code (LC-Rec).
    Reassign,
    /// They share one Semantic ID.
    Keep,
}

impl From<OnCollision> for Collisions {
    fn from(what: OnCollision) -> Self {
        match what {
            OnCollision::Suffix => Self::Suffix,
            OnCollision::Slot => Self::Slot,
            OnCollision::Reassign => Self::Reassign,
            OnCollision::Keep => Self::Keep,
        }
    }
}

/// How codes are written.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum StyleName {
    /// `<a_12><b_5>` (MiniOneRec, LC-Rec, LETTER).
    MiniOneRec,
    /// `<s_a_12><s_b_5>` between `<|sid_begin|>` and `<|sid_end|>` (OpenOneRec).
    OpenOneRec,
}

impl From<StyleName> for TokenStyle {
    fn from(name: StyleName) -> Self {
        match name {
            StyleName::MiniOneRec => Self::default(),
            StyleName::OpenOneRec => Self::open_one_rec(),
        }
    }
}

/// Histories play no part in the items.
const ANY_HISTORY: NonZeroUsize = NonZeroUsize::MIN;
/// Neighbours whose codes are compared with an item's.
const NEIGHBOURS: NonZeroUsize = NonZeroUsize::new(10).unwrap();
/// Items that are compared with their neighbours.
const QUERIES: NonZeroUsize = NonZeroUsize::new(1000).unwrap();
/// Texts that are encoded together.
const TEXTS: usize = 32;

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    args.method.check()?;
    let how = Reading { seed: args.seed, max_history: ANY_HISTORY, filters: None };
    let (items, data) = args.data.read_items(&how)?;
    let train = data.as_ref().map(Data::train).transpose();
    let train = match args.method.method {
        Method::Letter => Some(train?.ok_or_else(needs_events)?),
        // Other methods need no events: without a split, their codes are not judged by what follows.
        _ => train.unwrap_or_else(|error| {
            note(format_args!("codes are not judged by what follows: {error:#}"));
            None
        }),
    };
    let vectors = args.vectors(&items, data.as_ref().map(|data| &data.dataset))?;
    let quantized = args.quantized(vectors.view(), train.as_ref())?;
    let (books, codes) = (&quantized.codebooks, quantized.codes.view());
    let rows = quantized.latents.as_ref().map_or(vectors.view(), Array2::view);
    let report = QualityReport::from_codes(codes, &books.sizes())?
        .with_reconstruction(books, rows, codes)?
        .with_neighbours(vectors.view(), codes, NEIGHBOURS, QUERIES)?;
    line(&report)?;
    let mut limits = Thresholds::default();
    (limits.max_collision_rate, limits.min_usage) = (args.max_collision_rate, args.min_usage);
    limits.check(&report)?;
    let catalog = Collisions::from(args.collisions).catalog(books, rows, codes).context(
        "these codes leave no Semantic ID for some items: choose other `--collisions` or larger `--sizes`",
    )?;
    let report = match &train {
        Some(train) => args.judged(report, &catalog, vectors.view(), train)?,
        None => report,
    };
    if let Some(predicted) = &report.prediction {
        line(predicted)?;
    }
    let catalog = catalog.with_style(args.token_style.into());
    std::fs::create_dir_all(&args.out)
        .with_context(|| format!("cannot create the folder `{}`", args.out.display()))?;
    let path = |name: &str| args.out.join(name);
    books.save(&path("codebooks"))?;
    catalog.save(&path("catalog.json"))?;
    index::write(&path(index::INDEX), &items, &catalog)?;
    write::sids::write(&path("items.tsv"), &items, &catalog)?;
    write_json(&path("quality.json"), &report)?;
    let mut page = Page::new("Semantic IDs");
    report.push_to(&mut page, &catalog);
    page.write(&path("quality.html"))?;
    let (num_items, num_sids) = (catalog.num_items(), catalog.num_sids());
    line(format_args!("{num_items} items have {num_sids} Semantic IDs"))?;
    note(format_args!("Semantic IDs: {}", args.out.display()));
    Ok(())
}

impl Args {
    /// Codes of vectors `[N, D]`; LETTER's follow these training events.
    fn quantized(
        &self,
        vectors: ArrayView2<'_, f32>,
        train: Option<&TrainSet>,
    ) -> anyhow::Result<Quantized> {
        let neighbours = match (self.method.method, train) {
            (Method::Letter, Some(train)) => {
                Some(collaborative(train, vectors.nrows(), self.seed)?)
            }
            _ => None,
        };
        quantize(&self.method, vectors, neighbours.as_ref(), self.seed, &self.device)
    }

    /// The report with how well the codes say which item follows. LETTER's know the events that they would be
    /// judged on, so others are made without these.
    fn judged(
        &self,
        report: QualityReport,
        catalog: &Catalog,
        vectors: ArrayView2<'_, f32>,
        train: &TrainSet,
    ) -> anyhow::Result<QualityReport> {
        let earlier = train.without_latest();
        if !matches!(self.method.method, Method::Letter) {
            return Ok(judged(report, catalog, train, JudgedCodes::Own)?);
        }
        if earlier.num_samples() == 0 {
            note("codes are not judged by what follows: users have too few training events");
            return Ok(report);
        }
        let Quantized { codebooks, codes, latents } = self.quantized(vectors, Some(&earlier))?;
        let rows = latents.as_ref().map_or(vectors.view(), Array2::view);
        let catalog = Collisions::from(self.collisions).catalog(&codebooks, rows, codes.view())?;
        Ok(judged(report, &catalog, train, JudgedCodes::MadeWithoutHeldOut)?)
    }

    /// A vector for each item, `[N, D]`.
    fn vectors(&self, items: &[Item], dataset: Option<&Dataset>) -> anyhow::Result<Array2<f32>> {
        if let Some(path) = &self.embeddings {
            return read_vectors(path, items.len());
        }
        check_encoder(&self.encoder)?;
        let rewritten = self.rewritten.as_deref().map(|path| read_rewritten(path, dataset));
        let rewritten = rewritten.transpose()?;
        let described = |id: u32, item: &Item| match &rewritten {
            _ if self.titles_only => String::new(),
            Some(texts) => {
                let text = texts.text(EnrichmentKind::ItemDescription, SampleId::Item(ItemId(id)));
                text.unwrap_or_default().to_owned()
            }
            None => item.description.clone(),
        };
        let text = |(id, item): (u32, &Item)| match described(id, item).as_str() {
            "" => item.title.clone(),
            description => format!("{}\n{description}", item.title),
        };
        let texts: Vec<String> = (0..).zip(items).map(text).collect();
        let mut bars = Bars::default();
        let encoder = TextEncoder::load(&self.encoder, device(&self.device)?)?;
        Ok(encoder.encode(&texts, TEXTS, |done| {
            bars.on_progress("embed", "items", done, texts.len());
        })?)
    }
}

/// A method that learns from interactions, without any.
fn needs_events() -> anyhow::Error {
    Usage::error(
        "the method `letter` learns from interactions: give them beside the items, such as `--data DIR` or \
         `--interactions x.inter --items x.item`",
    )
}

/// The rewritten descriptions of a file, which are of this dataset.
fn read_rewritten(path: &Path, dataset: Option<&Dataset>) -> anyhow::Result<Enrichments> {
    let dataset = dataset.ok_or_else(|| {
        Usage::error(
            "`--rewritten` needs the data with which the texts were written: name the interactions, too",
        )
    })?;
    let read = Enrichments::read(path, &RowPolicy::strict())?.enrichments;
    let texts = read.of_kind(EnrichmentKind::ItemDescription);
    ensure!(
        !texts.is_empty(),
        "`{}` has no text of kind `item-description`: write some with `sidereal enrich --kind item-description`",
        path.display()
    );
    texts.check(dataset)?;
    let (found, items) = (texts.len(), dataset.num_items());
    note(format_args!("items with a rewritten description: {found} of {items}"));
    Ok(texts)
}

/// The vectors of a file, one for each item.
fn read_vectors(path: &Path, num_items: usize) -> anyhow::Result<Array2<f32>> {
    let matrix = Matrix::open(path)?;
    let rows = matrix.view();
    ensure!(
        rows.nrows() == num_items,
        "`{}` has {} vectors, but there are {num_items} items: make one for each item, in their order",
        path.display(),
        rows.nrows()
    );
    Ok(rows.to_owned())
}
