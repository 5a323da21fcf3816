//! `sidereal export`: a trained policy for other engines.

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Serialize;
use sidereal_data::Dataset;
use sidereal_files::{write_json_line, write_whole};
use sidereal_lab::{Recipe, TrainedPolicy, base_folder};
use sidereal_policy::{SidTokenizer, device, is_gguf, unpack_gguf};
use sidereal_sid::{ItemId, Trie};

use crate::data::{DataArgs, Reading};
use crate::output::note;

/// Export a trained policy for other engines: its model and tokenizer, the trie of legal answers, and the items.
///
/// The folder holds the model in the layout of Hugging Face, `trie.json` and `items.jsonl`. `trie.json` is the trie of
/// all Semantic IDs, as compressed sparse rows over the token ids of the tokenizer, or over flat tokens for a policy
/// that reads items: the children of node `n` are the
/// nodes `rows[n]` to `rows[n + 1] - 1`, `token[m]` leads into node `m`, and node 0 is the root. If the token style has
/// marks, `marks` holds the tokens before the first code and after the last: a prompt ends with the first of them.
/// `items.jsonl` has for
/// each item its number, its Semantic ID, the token ids of its Semantic ID, the node of the trie where it ends, its key
/// and its title.
///
/// A GGUF file, or a folder with one, instead of a run is written as a folder in the layout of Hugging Face, without
/// Semantic IDs.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  sidereal export runs/demo --stage singer --out exported
  sidereal export smollm2 --out smollm2-hf")]
pub(crate) struct Args {
    /// Folder of the run, or a model in GGUF.
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// The stage that trained the policy; the default is the last stage of the run.
    #[arg(long)]
    stage: Option<String>,
    /// The folder to write.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    data: DataArgs,
}

/// Files of a stage that another engine reads.
const MODEL_FILES: [&str; 5] = [
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
];
/// The files among these that a policy has which reads items.
const OF_ITEMS: [&str; 2] = ["config.json", "model.safetensors"];
/// The file that is there if the tokenizer has a chat template.
const CHAT_TEMPLATE: &str = "chat_template.jinja";

/// Compressed sparse rows.
#[derive(Debug, Serialize)]
struct ExportedTrie {
    /// `[nodes + 1]`.
    rows: Vec<u32>,
    /// `[nodes]`; nothing leads into the root.
    token: Vec<Option<u32>>,
    /// The tokens before the first code and after the last, in a style that has such marks.
    #[serde(skip_serializing_if = "Option::is_none")]
    marks: Option<[u32; 2]>,
}

#[derive(Debug, Serialize)]
struct ExportedItem<'a> {
    item: ItemId,
    sid: String,
    tokens: Vec<u32>,
    node: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let base = base_folder(&args.run);
    if is_gguf(&base)? {
        unpack_gguf(&base, &args.out)?;
        note(format_args!("exported: {}", args.out.display()));
        return Ok(());
    }
    let recipe = Recipe::load(&args.run.join("config.toml"))
        .with_context(|| format!("`{}` is not the folder of a run", args.run.display()))?;
    let stage = match &args.stage {
        Some(name) => recipe.stage(name)?,
        None => recipe.stages.last().context("the recipe of the run has no stages")?,
    };
    let dir = args.run.join(&stage.name);
    let policy = TrainedPolicy::open(&dir, device("cpu")?)?;
    let dataset = args.dataset(&recipe, &policy, &dir)?;
    fs::create_dir_all(&args.out)
        .with_context(|| format!("cannot create the folder `{}`", args.out.display()))?;
    let reads_items = policy.tokenizer.is_none();
    for name in MODEL_FILES.into_iter().chain([CHAT_TEMPLATE]) {
        let (from, to) = (dir.join(name), args.out.join(name));
        // A policy that reads items has no tokenizer, and some tokenizers have no chat template.
        let needed = if reads_items { OF_ITEMS.contains(&name) } else { name != CHAT_TEMPLATE };
        if needed || from.exists() {
            fs::copy(&from, &to).with_context(|| {
                format!("cannot copy `{}` to `{}`", from.display(), to.display())
            })?;
        }
    }
    let trie = Trie::from_catalog(&policy.catalog);
    let ids = policy.tokenizer.as_ref().map(SidTokenizer::sid_ids);
    let marks = policy.tokenizer.as_ref().and_then(SidTokenizer::marks);
    let id = |token: &u32| match ids {
        Some(ids) => usize::try_from(*token).ok().and_then(|token| ids.get(token)).copied(),
        None => Some(*token).filter(|token| *token != u32::MAX), // nothing leads into the root
    };
    let token = trie.tokens().iter().map(id).collect();
    write_json_line(
        &args.out.join("trie.json"),
        &ExportedTrie { rows: trie.rows().to_vec(), token, marks },
    )?;
    let spec = policy.catalog.spec();
    let items = policy.catalog.sids().iter().zip((0..).map(ItemId)).map(|(sid, item)| {
        let items = dataset.as_ref().or(policy.items.as_ref());
        let of_data = items.and_then(|dataset| dataset.item(item));
        Ok(ExportedItem {
            item,
            sid: spec.text(sid),
            tokens: spec.tokens(sid)?.iter().filter_map(id).collect(),
            node: trie.leaf(item).map_or(Trie::ROOT.0, |node| node.0),
            key: of_data.map(|item| item.key.as_str()),
            title: of_data.map(|item| item.title.as_str()),
        })
    });
    let items = items.collect::<anyhow::Result<Vec<_>>>()?;
    write_whole(&args.out.join("items.jsonl"), |out| {
        for item in &items {
            serde_json::to_writer(&mut *out, item)?;
            out.write_all(b"\n")?;
        }
        Ok(())
    })?;
    note(format_args!("exported: {}", args.out.display()));
    Ok(())
}

impl Args {
    /// The data, if they are given; they must be those that the policy was made for.
    fn dataset(
        &self,
        recipe: &Recipe,
        policy: &TrainedPolicy,
        dir: &Path,
    ) -> anyhow::Result<Option<Dataset>> {
        if !self.data.are_given() {
            return Ok(None);
        }
        let window = NonZeroUsize::new(recipe.max_history).unwrap_or(NonZeroUsize::MIN);
        let how = Reading { seed: recipe.seed, max_history: window, filters: None };
        let dataset = self.data.read(&how)?.dataset;
        policy.check(dir, &[("dataset".to_owned(), dataset.hash())].into())?;
        Ok(Some(dataset))
    }
}
