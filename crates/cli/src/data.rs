//! The data of a command line: which files are read, and by which reader. All calls of readers are here.

mod names;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use sidereal_data::prepare::{Filters, PrepareConfig, Step, prepare};
use sidereal_data::read::amazon::Release;
use sidereal_data::read::recbole;
use sidereal_data::read::recbole::ReadOptions;
use sidereal_data::read::recif;
use sidereal_data::read::tabular;
use sidereal_data::read::{OnDoubtful, ReadData, RowPolicy, Skips, items, lcrec, minionerec};
use sidereal_data::{
    Assembly, DataError, Dataset, Item, Numbering, Split, SplitProtocol, Ties, TrainSet,
    leave_one_out,
};
use sidereal_files::read_json;
use sidereal_sid::{Catalog, SemanticId};

use self::names::{
    BehaviourName, BehaviourNames, ColumnNames, DomainFiles, DomainSource, ItemColumnNames,
};
use crate::failure::Usage;
use crate::filters;
use crate::index;

/// The file in which `prepare` keeps a dataset within a folder.
pub(crate) const DATASET: &str = "dataset.json";

/// Training users of RecIF-Bench of whom one is kept for validation, because the benchmark has no validation set.
const RECIF_VALID: NonZeroUsize = NonZeroUsize::new(20).unwrap();

/// Smallest number of events that users and items of Amazon's reviews have in the literature.
const AMAZON_CORE: u32 = 5;

/// Which data.
#[derive(Debug, Args)]
#[command(next_help_heading = "Data")]
pub(crate) struct DataArgs {
    /// A folder that `sidereal prepare` wrote.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The layout of the files. Without it the program finds the layout by the other flags.
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// The interactions: `x.inter` of RecBole, or `x.inter.json` of LC-Rec and LETTER.
    #[arg(long, value_name = "FILE")]
    interactions: Option<PathBuf>,
    /// The items: `x.item` of RecBole, `x.item.json` of MiniOneRec and LC-Rec, or Amazon's metadata.
    #[arg(long, value_name = "FILE")]
    items: Option<PathBuf>,
    /// Semantic IDs of the items by their keys: `index.json` of `sidereal sids`, or a published
    /// `x.index.json`.
    #[arg(long, value_name = "FILE")]
    index: Option<PathBuf>,
    /// Training rows in the layout of MiniOneRec, if they are published.
    #[arg(long, value_name = "FILE")]
    train: Option<PathBuf>,
    /// Validation rows in the layout of MiniOneRec.
    #[arg(long, value_name = "FILE")]
    valid: Option<PathBuf>,
    /// Test rows in the layout of MiniOneRec.
    #[arg(long, value_name = "FILE")]
    test: Option<PathBuf>,
    /// Amazon's reviews, plain, gzip or zstd.
    #[arg(long, value_name = "FILE")]
    reviews: Option<PathBuf>,
    /// A table of interactions with a row for each event, as CSV, TSV, JSON lines or parquet; or RecIF-Bench's
    /// table in parquet.
    #[arg(long, value_name = "FILE")]
    table: Option<PathBuf>,
    /// The columns of the table, as `user=COLUMN,item=COLUMN`, and `time=COLUMN` if there is one. The format of
    /// times is recognised, or given by `time_format=`: seconds, milliseconds, microseconds, nanoseconds or text.
    #[arg(long, value_name = "COLUMNS")]
    columns: Option<ColumnNames>,
    /// The columns of the table of items in `--items`, as `key=COLUMN,title=COLUMN`, and `brand=`,
    /// `categories=` and `description=` if there are any.
    #[arg(long, value_name = "COLUMNS")]
    item_columns: Option<ItemColumnNames>,
    /// The domain of RecIF-Bench's table, such as `video`, or with a behaviour, such as `video/like`.
    #[arg(long, value_name = "DOMAIN")]
    recif: Option<String>,
    /// What else users did with items, as columns of truth values of the table: `like,comment`, or
    /// `like=COLUMN` in a plain table. Objectives can reward them.
    #[arg(long, value_name = "BEHAVIOURS")]
    behaviours: Option<BehaviourNames>,
    /// Also read the users' portraits and queries of RecIF-Bench's table, for interactive recommendation.
    #[arg(long)]
    queries: bool,
    /// One of several domains: files of RecBole, `NAME=x.inter,x.item`, or a folder that `prepare` wrote, `NAME=DIR`.
    /// Give it once for each domain.
    #[arg(long, value_name = "NAME=FILES")]
    domain: Vec<DomainFiles>,
    /// Stop at the first row with a problem. Without it, such rows are left out and counted. In
    /// RecBole's files they are always errors, so this option does not go with those files.
    #[arg(long)]
    strict: bool,
}

/// A layout of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// RecBole's atomic files: `--interactions` and `--items`.
    Recbole,
    /// Amazon's reviews of 2014: `--reviews`, and `--items` for titles.
    #[value(name = "amazon-2014")]
    Amazon2014,
    /// Amazon's reviews of 2018.
    #[value(name = "amazon-2018")]
    Amazon2018,
    /// Amazon's reviews of 2023.
    #[value(name = "amazon-2023")]
    Amazon2023,
    /// MiniOneRec: `--items`, `--index`, `--valid`, `--test`, and `--train` if it is published.
    Minionerec,
    /// LC-Rec and LETTER: `--interactions`, and `--items` for titles.
    Lcrec,
    /// RecIF-Bench: `--table` and `--recif`.
    Recif,
    /// A table with named columns: `--table` and `--columns`.
    Table,
}

/// Where data are read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// What `prepare` wrote.
    Folder,
    /// Several domains, each from files of its own.
    Domains,
    Files(Format),
}

/// How data are read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading<'a> {
    /// Seed of the items' identities and of ties.
    pub(crate) seed: u64,
    /// Items of a history that a sample shows.
    pub(crate) max_history: NonZeroUsize,
    /// What is left out; `None` for nothing.
    pub(crate) filters: Option<&'a filters::FilterArgs>,
}

/// What was read.
#[derive(Debug)]
pub(crate) struct Data {
    pub(crate) dataset: Dataset,
    /// Semantic IDs that came with the data.
    pub(crate) catalog: Option<Catalog>,
    /// The split that came with them.
    pub(crate) split: Option<Split>,
    /// Rows left out, by file.
    pub(crate) skips: Vec<Skips>,
    /// What filters took away.
    pub(crate) steps: Vec<Step>,
}

impl Data {
    fn new(dataset: Dataset) -> Self {
        Self { dataset, catalog: None, split: None, skips: Vec::new(), steps: Vec::new() }
    }

    /// The training events: those of the split that came with the data, else all but the last two of each
    /// user.
    ///
    /// # Errors
    /// Those of the leave-one-out split.
    pub(crate) fn train(&self) -> anyhow::Result<TrainSet> {
        Ok(match &self.split {
            Some(split) => split.train.clone(),
            None => leave_one_out(&self.dataset, NonZeroUsize::MIN)?.train,
        })
    }
}

/// The dataset of a folder that `prepare` wrote.
fn prepared(folder: &Path) -> anyhow::Result<Dataset> {
    read_json(&folder.join(DATASET)).with_context(|| {
        format!("`{}` is not a folder that `sidereal prepare` wrote", folder.display())
    })
}

impl DataArgs {
    /// Whether any data are named.
    pub(crate) fn are_given(&self) -> bool {
        self.given().into_iter().any(|(_, given)| given)
    }

    /// Reads the data.
    ///
    /// # Errors
    /// [`Usage`] for flags that are missing or do not go together; those of the readers.
    pub(crate) fn read(&self, how: &Reading<'_>) -> anyhow::Result<Data> {
        let source = self.source()?;
        self.check(source)?;
        let mut data = match source {
            Source::Folder => self.folder()?,
            Source::Domains => self.domains(how.seed)?,
            Source::Files(Format::Recbole) => {
                let (interactions, items) = (self.interactions()?, self.items()?);
                Data::new(recbole::read(interactions, items, &ReadOptions::new(how.seed))?.dataset)
            }
            Source::Files(Format::Amazon2014) => self.amazon(Release::Y2014, how)?,
            Source::Files(Format::Amazon2018) => self.amazon(Release::Y2018, how)?,
            Source::Files(Format::Amazon2023) => self.amazon(Release::Y2023, how)?,
            Source::Files(Format::Minionerec) => self.minionerec(how)?,
            Source::Files(Format::Lcrec) => self.lcrec(how)?,
            Source::Files(Format::Recif) => self.recif(how)?,
            Source::Files(Format::Table) => self.table(how)?,
        };
        let is_amazon = matches!(
            source,
            Source::Files(Format::Amazon2014 | Format::Amazon2018 | Format::Amazon2023)
        );
        // Reviews were filtered as they were read.
        if let Some(filters) = how.filters.filter(|_| !is_amazon) {
            filters.check_for_datasets()?;
            data = filtered(data, &filters.filters(0), how.seed)?;
        }
        if let Some(path) = self.index.as_deref().filter(|_| data.catalog.is_none()) {
            data.catalog = Some(index::read(path, &data.dataset)?);
        }
        Ok(data)
    }

    /// Reads only the items: those of `--items` if nothing else is given, else those of the data.
    ///
    /// # Errors
    /// Those of [`read`](Self::read).
    pub(crate) fn read_items(
        &self,
        how: &Reading<'_>,
    ) -> anyhow::Result<(Vec<Item>, Option<Data>)> {
        let mut others =
            self.given().into_iter().filter(|(flag, given)| *given && *flag != "--items");
        if let (Some(path), None) = (&self.items, others.next()) {
            return Ok((items::read(path, &self.policy())?.items, None));
        }
        let data = self.read(how)?;
        Ok((data.dataset.items().to_vec(), Some(data)))
    }

    /// The flags that name data, and whether each is given.
    fn given(&self) -> [(&'static str, bool); 15] {
        [
            ("--data", self.data.is_some()),
            ("--interactions", self.interactions.is_some()),
            ("--items", self.items.is_some()),
            ("--index", self.index.is_some()),
            ("--train", self.train.is_some()),
            ("--valid", self.valid.is_some()),
            ("--test", self.test.is_some()),
            ("--reviews", self.reviews.is_some()),
            ("--table", self.table.is_some()),
            ("--columns", self.columns.is_some()),
            ("--item-columns", self.item_columns.is_some()),
            ("--recif", self.recif.is_some()),
            ("--behaviours", self.behaviours.is_some()),
            ("--queries", self.queries),
            ("--domain", !self.domain.is_empty()),
        ]
    }

    /// Where the data are read from.
    fn source(&self) -> anyhow::Result<Source> {
        if let Some(format) = self.format {
            return Ok(Source::Files(format));
        }
        let is_json = |path: &Path| path.extension().is_some_and(|kind| kind == "json");
        Ok(if self.data.is_some() {
            Source::Folder
        } else if !self.domain.is_empty() {
            Source::Domains
        } else if self.reviews.is_some() {
            return Err(Usage::error(
                "`--reviews` needs the release of the reviews: add `--format amazon-2014`, \
                 `--format amazon-2018` or `--format amazon-2023`",
            ));
        } else if self.valid.is_some() || self.test.is_some() {
            Source::Files(Format::Minionerec)
        } else if self.table.is_some() {
            Source::Files(if self.recif.is_some() { Format::Recif } else { Format::Table })
        } else if let Some(path) = &self.interactions {
            Source::Files(if is_json(path) { Format::Lcrec } else { Format::Recbole })
        } else {
            return Err(Usage::error(
                "no interactions were given: name files, such as `--interactions x.inter --items x.item`, or \
                 a folder that `sidereal prepare` wrote, as `--data DIR`",
            ));
        })
    }

    /// Accepts the flags of one source.
    fn check(&self, source: Source) -> anyhow::Result<()> {
        let (name, allowed): (_, &[&str]) = match source {
            Source::Folder => ("a prepared folder", &["--data", "--index"]),
            Source::Domains => ("several domains", &["--domain", "--index"]),
            Source::Files(Format::Recbole) => {
                ("RecBole's files", &["--interactions", "--items", "--index"])
            }
            Source::Files(Format::Amazon2014 | Format::Amazon2018 | Format::Amazon2023) => {
                ("Amazon's reviews", &["--reviews", "--items", "--index"])
            }
            Source::Files(Format::Minionerec) => {
                ("MiniOneRec's files", &["--items", "--index", "--train", "--valid", "--test"])
            }
            Source::Files(Format::Lcrec) => {
                ("LC-Rec's files", &["--interactions", "--items", "--index"])
            }
            Source::Files(Format::Recif) => (
                "RecIF-Bench's table",
                &["--table", "--recif", "--behaviours", "--queries", "--items", "--index"],
            ),
            Source::Files(Format::Table) => (
                "a table",
                &["--table", "--columns", "--behaviours", "--items", "--item-columns", "--index"],
            ),
        };
        if self.strict
            && matches!(source, Source::Folder | Source::Domains | Source::Files(Format::Recbole))
        {
            let why = match source {
                Source::Folder => "its rows were judged when it was prepared",
                _ => "a row with a problem is an error there anyway",
            };
            return Err(Usage::error(format!(
                "`--strict` does not go with {name}: {why}; leave it out"
            )));
        }
        let mut given = self.given().into_iter().filter(|(_, given)| *given);
        match given.find(|(flag, _)| !allowed.contains(flag)) {
            Some((flag, _)) => Err(Usage::error(format!(
                "`{flag}` does not go with {name}: leave it out, or give the layout of the files \
                 with `--format`"
            ))),
            None => Ok(()),
        }
    }

    fn policy(&self) -> RowPolicy {
        if self.strict { RowPolicy::strict() } else { RowPolicy::lenient() }
    }

    fn interactions(&self) -> anyhow::Result<&Path> {
        needed(self.interactions.as_deref(), "--interactions FILE", "the interactions")
    }

    fn items(&self) -> anyhow::Result<&Path> {
        needed(self.items.as_deref(), "--items FILE", "the items")
    }

    fn folder(&self) -> anyhow::Result<Data> {
        let folder = needed(self.data.as_deref(), "--data DIR", "a prepared folder")?;
        let dataset = prepared(folder)?;
        let own = folder.join(index::INDEX);
        let catalog = (self.index.is_none() && own.exists()).then(|| index::read(&own, &dataset));
        Ok(Data { catalog: catalog.transpose()?, ..Data::new(dataset) })
    }

    fn domains(&self, seed: u64) -> anyhow::Result<Data> {
        let options = ReadOptions::new(seed);
        let parts = self.domain.iter().map(|DomainFiles { name, files }| {
            let part = match files {
                DomainSource::Recbole(interactions, items) => {
                    let read = recbole::read(interactions, items, &options);
                    read.map(|read| read.dataset).map_err(anyhow::Error::from)
                }
                DomainSource::Folder(folder) => prepared(folder),
            };
            Ok((name.clone(), part.with_context(|| format!("domain `{name}`"))?))
        });
        Ok(Data::new(Dataset::union(parts.collect::<anyhow::Result<Vec<_>>>()?, seed)?))
    }

    fn amazon(&self, release: Release, how: &Reading<'_>) -> anyhow::Result<Data> {
        let reviews = needed(self.reviews.as_deref(), "--reviews FILE", "the reviews")?;
        let (mut policy, mut assembly) = (self.policy(), Assembly::new(how.seed));
        if how.filters.is_some_and(|filters| filters.as_others_do) {
            policy.duplicates = OnDoubtful::Keep;
            let numbering = Numbering::FirstAppearance;
            assembly = assembly.with_numbering(numbering).with_ties(Ties::FileOrder);
        }
        let Filters { window, title_limit, k_core, .. } =
            how.filters.map_or_else(filters::none, |filters| filters.filters(AMAZON_CORE));
        let (protocol, max_history) = (SplitProtocol::LeaveOneOut, how.max_history);
        let recipe = PrepareConfig {
            release,
            policy,
            window,
            title_limit,
            k_core,
            assembly,
            protocol,
            max_history,
        };
        let prepared = prepare(reviews, self.items.as_deref(), &recipe);
        let prepared = match prepared {
            Err(DataError::EmptyDataset { .. }) => prepared.context(
                "the filters removed all reviews: require fewer events of each user and item with \
                 `--user-k` and `--item-k`",
            ),
            other => Ok(other?),
        }?;
        let (skips, steps) = (prepared.skips, prepared.steps);
        Ok(Data { skips, steps, ..Data::new(prepared.dataset) })
    }

    fn minionerec(&self, how: &Reading<'_>) -> anyhow::Result<Data> {
        let files = minionerec::Files {
            items: self.items()?,
            index: needed(self.index.as_deref(), "--index FILE", "the Semantic IDs")?,
            train: self.train.as_deref(),
            valid: needed(self.valid.as_deref(), "--valid FILE", "the validation rows")?,
            test: needed(self.test.as_deref(), "--test FILE", "the test rows")?,
        };
        let read = minionerec::read(&files, how.seed, how.max_history, None, &self.policy())?;
        Ok(Data::from(ReadData::from(read)))
    }

    fn lcrec(&self, how: &Reading<'_>) -> anyhow::Result<Data> {
        let (items, index) = (self.items.as_deref(), self.index.as_deref());
        let files = lcrec::Files { interactions: self.interactions()?, items, index };
        let read = lcrec::read(&files, how.seed, how.max_history, &self.policy())?;
        // The split is leave-one-out, which recipes make themselves.
        Ok(Data { split: None, ..Data::from(ReadData::from(read)) })
    }

    fn recif(&self, how: &Reading<'_>) -> anyhow::Result<Data> {
        let domain = needed(self.recif.as_deref(), "--recif DOMAIN", "the domain of the table")?;
        let (domain, behaviour) = match domain.split_once('/') {
            Some((domain, behaviour)) => (domain, Some(behaviour)),
            None => (domain, None),
        };
        let mut labels = Vec::new();
        for BehaviourName { name, column } in self.behaviours.iter().flat_map(|it| &it.0) {
            if column != name {
                return Err(Usage::error(format!(
                    "`--behaviours {name}={column}` does not go with RecIF-Bench's table: its columns are \
                     named by the domain; give `--behaviours {name}`"
                )));
            }
            labels.push(name);
        }
        let columns = recif::Columns::recif_labelled(domain, behaviour, &labels)
            .with_valid_every(RECIF_VALID);
        let columns = if self.queries { columns.with_queries() } else { columns };
        let path = self.table_file()?;
        let read = recif::read(path, &columns, how.seed, how.max_history, &self.policy())?;
        let mut data = Data::from(ReadData::from(read));
        if let Some(path) = &self.items {
            let described = items::read(path, &self.policy())?;
            data.dataset = with_texts(data.dataset, described.items)?;
            data.skips.push(described.skips);
        }
        Ok(data)
    }

    fn table(&self, how: &Reading<'_>) -> anyhow::Result<Data> {
        let flag = "--columns user=COLUMN,item=COLUMN";
        let names = needed(self.columns.as_ref(), flag, "the columns of the table")?;
        let mut columns = names.0.clone();
        for BehaviourName { name, column } in self.behaviours.iter().flat_map(|it| &it.0) {
            columns = columns.with_behaviour(name, column);
        }
        let items = self.items.as_deref();
        match (items, &self.item_columns) {
            (Some(_), names) => {
                let flag = "--item-columns key=COLUMN,title=COLUMN";
                let names = needed(names.as_ref(), flag, "the columns of the items")?;
                columns = columns.with_items(names.0.clone());
            }
            (None, Some(_)) => {
                return Err(Usage::error(
                    "`--item-columns` names columns of a table of items: add `--items FILE`",
                ));
            }
            (None, None) => {}
        }
        let files = tabular::Files { interactions: self.table_file()?, items };
        let assembly = Assembly::new(how.seed);
        Ok(Data::from(tabular::read(&files, &columns, &assembly, &self.policy())?))
    }

    fn table_file(&self) -> anyhow::Result<&Path> {
        needed(self.table.as_deref(), "--table FILE", "the table")
    }
}

impl From<ReadData> for Data {
    fn from(read: ReadData) -> Self {
        for note in &read.notes {
            tracing::info!("{note}");
        }
        let ReadData { dataset, catalog, split, skips, .. } = read;
        Self { dataset, catalog, split, skips, steps: Vec::new() }
    }
}

/// The value of a flag, or an error that says how to give it.
fn needed<T>(value: Option<T>, flag: &str, what: &str) -> anyhow::Result<T> {
    value.ok_or_else(|| Usage::error(format!("{what} must be given: add `{flag}`")))
}

/// Data from which filters removed something. Items keep their Semantic IDs; a published split is dropped,
/// because it does not fit the data any more.
fn filtered(data: Data, filters: &Filters, seed: u64) -> anyhow::Result<Data> {
    if filters.keep_all() {
        return Ok(data);
    }
    if data.split.is_some() {
        tracing::warn!("the filters change the data, so the published split is not kept");
    }
    let (dataset, steps) = filters.apply(&data.dataset, seed)?;
    let catalog = data.catalog.map(|catalog| {
        let keys = data.dataset.items().iter().map(|item| item.key.as_str());
        let sids: BTreeMap<&str, &SemanticId> = keys.zip(catalog.sids()).collect();
        let left = dataset.items().iter().filter_map(|item| sids.get(item.key.as_str()));
        Catalog::new(catalog.spec().clone(), left.map(|sid| (*sid).clone()).collect())
    });
    Ok(Data { catalog: catalog.transpose()?, steps, skips: data.skips, ..Data::new(dataset) })
}

/// A dataset whose items have the texts of a file, by key.
fn with_texts(dataset: Dataset, described: Vec<Item>) -> anyhow::Result<Dataset> {
    let described: BTreeMap<String, Item> =
        described.into_iter().map(|item| (item.key.clone(), item)).collect();
    let items: Vec<Item> = dataset
        .items()
        .iter()
        .map(|item| described.get(&item.key).unwrap_or(item).clone())
        .collect();
    Ok(dataset.with_items(items)?)
}
