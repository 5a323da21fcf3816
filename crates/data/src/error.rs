//! Why data could not be used.

use std::path::{Path, PathBuf};

use sidereal_sid::ItemId;

use crate::read::Problem;
use crate::{SplitProtocol, UserId};

/// Why a dataset, a split or a file could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each message names its fields")]
pub enum DataError {
    /// The file could not be opened, read, written or renamed.
    #[error("cannot access `{}`", path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// Not even a header line.
    #[error("`{}` is empty: expected a header line with `{expected}`", path.display())]
    EmptyFile { path: PathBuf, expected: String },
    /// A header line and nothing else.
    #[error("`{}` has a header but no rows", path.display())]
    NoRows { path: PathBuf },
    /// A column that the reader needs is not in the header.
    #[error("`{}`, line 1: no column `{column}`; the columns are {found}", path.display())]
    MissingColumn { path: PathBuf, column: String, found: String },
    /// A column of the header appears twice.
    #[error("`{}`, line 1: column `{column}` appears twice", path.display())]
    RepeatedColumn { path: PathBuf, column: String },
    /// A needed column has a type that the reader cannot use.
    #[error(
        "`{}`, line 1: column `{column}` has the type `{found}`; expected {expected}",
        path.display()
    )]
    ColumnType { path: PathBuf, column: String, found: String, expected: String },
    /// A row with more or fewer fields than the header.
    #[error("`{}`, line {line}: the row has {found} fields, but the header has {expected}", path.display())]
    Ragged { path: PathBuf, line: u64, found: usize, expected: usize },
    /// A field that begins with a quote which is not closed before what looks like the next row.
    #[error(
        "`{}`, line {line}: a field begins with `\"`, but no quote closes it in this row: put the \
         whole field in quotes and write `\"\"` for each quote in it",
        path.display()
    )]
    OpenQuote { path: PathBuf, line: u64 },
    /// A list of categories in another notation than the file's.
    #[error(
        "`{}`, line {line}, column `categories`: expected {expected}, found `{found}`; the options \
         of the reader can name the separator",
        path.display()
    )]
    Categories { path: PathBuf, line: u64, found: String, expected: &'static str },
    /// A line that is longer than any row can be.
    #[error("`{}`, line {line}: the line is longer than {max} bytes", path.display())]
    LongLine { path: PathBuf, line: u64, max: usize },
    /// A field that is not UTF-8.
    #[error("`{}`, line {line}, column `{column}`: the value is not valid UTF-8: save the file as UTF-8", path.display())]
    NotUtf8 { path: PathBuf, line: u64, column: String },
    /// An empty field where a value is needed, or a word such as `nan` that stands for a missing
    /// value.
    #[error("`{}`, line {line}, column `{column}`: expected a value, found {found}", path.display())]
    EmptyField { path: PathBuf, line: u64, column: String, found: String },
    /// A field that is not a finite number.
    #[error(
        "`{}`, line {line}, column `{column}`: expected a finite number, found `{found}`",
        path.display()
    )]
    Number { path: PathBuf, line: u64, column: String, found: String },
    /// A row with a problem that the policy calls an error.
    #[error("`{}`, {problem}", path.display())]
    Row { path: PathBuf, problem: Problem },
    /// A file that is not the JSON it should be.
    #[error("`{}` does not have the JSON structure that its reader expects", path.display())]
    Json {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
    /// A file that is not CSV.
    #[error("`{}` is not valid CSV", path.display())]
    Csv {
        path: PathBuf,
        #[source]
        source: csv::Error,
    },
    /// An item without a Semantic ID.
    #[error(
        "`{}` has no Semantic ID for item `{item}`{}",
        path.display(),
        if *skipped > 0 { format!(", {skipped} of its entries were skipped") } else { String::new() }
    )]
    MissingSid { path: PathBuf, item: String, skipped: u64 },
    /// A Semantic ID that does not fit the others, or the codebooks.
    #[error("`{}`: the Semantic ID of item `{item}` does not fit the codebooks", path.display())]
    ItemSid {
        path: PathBuf,
        item: String,
        #[source]
        source: sidereal_sid::NotationError,
    },
    /// One Semantic ID is the beginning of another.
    #[error(
        "`{}`: the Semantic ID {sid} of item `{short}` is the beginning of that of item `{long}`: \
         give a suffix to all items with the same codes, or to none",
        path.display()
    )]
    SidPrefix { path: PathBuf, short: String, long: String, sid: String },
    /// Codebook sizes that are not possible.
    #[error("`{}`: the sizes of its codebooks are not allowed", path.display())]
    IndexSizes {
        path: PathBuf,
        #[source]
        source: sidereal_sid::NotationError,
    },
    /// A file in which every row was skipped.
    #[error("`{}`: all {count} rows were skipped; the first problem: {first}", path.display())]
    AllSkipped { path: PathBuf, count: u64, first: Problem },
    /// Semantic IDs that make no catalogue.
    #[error("`{}`: its Semantic IDs do not form a catalogue", path.display())]
    Catalog {
        path: PathBuf,
        #[source]
        source: sidereal_sid::CatalogError,
    },
    /// A number that is not a time.
    #[error(
        "`{}`, line {line}, column `{column}`: expected seconds since 1970, found `{found}`",
        path.display()
    )]
    Time { path: PathBuf, line: u64, column: String, found: String },
    /// An interaction with an item that the item file does not hold.
    #[error("`{}`, line {line}: item `{item}` is not in `{}`", path.display(), items.display())]
    UnknownItem { path: PathBuf, line: u64, item: String, items: PathBuf },
    /// An item with two rows.
    #[error("`{}`, line {line}: item `{item}` already has a row at line {first}", path.display())]
    RepeatedItem { path: PathBuf, line: u64, item: String, first: u64 },
    /// A user with too few interactions to predict one from another.
    #[error(
        "`{}`, line {line}: user `{user}` has {found} interaction, but a history needs at least 2",
        path.display()
    )]
    ShortHistory { path: PathBuf, line: u64, user: String, found: usize },
    /// No user is left.
    #[error("`{}`: no user has a history of at least 2 interactions", path.display())]
    NoHistories { path: PathBuf },
    /// A text that the file format cannot hold.
    #[error("`{}`: {what} `{text}` cannot be written because it contains {forbidden}", path.display())]
    Unwritable { path: PathBuf, what: &'static str, text: String, forbidden: &'static str },
    /// A dataset without items or without users.
    #[error(
        "a dataset needs at least one item and one user, but it has {items} items and {users} users"
    )]
    EmptyDataset { items: usize, users: usize },
    /// More of something than an identity can number.
    #[error("a dataset holds at most 4294967295 {what}, but there are {found}")]
    TooMany { what: &'static str, found: usize },
    /// Two items or two users with one key.
    #[error("{what} key `{key}` appears twice")]
    RepeatedKey { what: &'static str, key: String },
    /// An event with an item that the dataset does not hold.
    #[error("user `{user}`, event {position}: item {item} is outside the {num_items} items")]
    EventItem { user: String, position: usize, item: ItemId, num_items: usize },
    /// A query with an item that the dataset does not hold.
    #[error("user `{user}`, query `{words}`: item {item} is outside the {num_items} items")]
    QueryItem { user: String, words: String, item: ItemId, num_items: usize },
    /// A user with more or fewer times than events.
    #[error("user `{user}` has {events} events but {times} times: each event needs one")]
    NumTimes { user: String, events: usize, times: usize },
    /// A user with more or fewer labels than events.
    #[error("user `{user}` has {events} events but {labels} labels: each event needs one")]
    NumLabels { user: String, events: usize, labels: usize },
    /// A label with a behaviour that the dataset does not name.
    #[error(
        "user `{user}`, event {position}: its label has a behaviour beyond the {known} of the dataset"
    )]
    UnnamedBehaviour { user: String, position: usize, known: usize },
    /// More behaviours than a label can hold.
    #[error("a dataset has at most 32 behaviours, but there are {found}: leave some out")]
    TooManyBehaviours { found: usize },
    /// A name that no behaviour can have.
    #[error("behaviour {place} is named `{name}`: each needs a name of its own that is not empty")]
    BehaviourName { name: String, place: usize },
    /// A user's events out of order.
    #[error("user `{user}`, event {position}: the event is earlier than the one before it")]
    TimeOrder { user: String, position: usize },
    /// A split without held-out users.
    #[error(
        "leave-one-out needs a user with at least 3 events, but the longest history has {longest}"
    )]
    NothingHeldOut { longest: usize },
    /// A name that no domain can have.
    #[error(
        "`{name}` cannot be the name of a domain: use a name without white space and without `/`"
    )]
    DomainName { name: String },
    /// Two domains of one name.
    #[error("two domains have the name `{name}`: give each its own name")]
    RepeatedDomain { name: String },
    /// A part of a union that already consists of several domains.
    #[error(
        "domain `{name}` already consists of several domains ({found}): unite datasets of one domain each"
    )]
    NestedDomains { name: String, found: String },
    /// A key that does not begin with the name of a domain.
    #[error(
        "{what} `{key}` belongs to no domain: its key must begin with one of {names}, followed by `/`"
    )]
    NoDomain { what: &'static str, key: String, names: String },
    /// A user of one domain with an event of another.
    #[error(
        "user `{user}`, event {position}: item `{item}` belongs to another domain than the user"
    )]
    OtherDomain { user: String, position: usize, item: String },
    /// A split by time of events without times.
    #[error(
        "a split by time needs the time of every event, but some events have none: choose another split"
    )]
    NoTimes,
    /// An item that a user chose, but that the item file does not describe.
    #[error("item `{item}` occurs in an interaction, but the item file does not describe it")]
    Undescribed { item: String },
    /// A protocol that cannot be computed.
    #[error("the split `{protocol}` cannot be made from interactions: choose another protocol")]
    NotASplit { protocol: SplitProtocol },
    /// A set of a split that has a share above 0 but no sample.
    #[error("the split `{protocol}` leaves the {set} set without samples")]
    EmptySet { set: &'static str, protocol: SplitProtocol },
    /// A catalogue of another dataset.
    #[error("the catalogue has {catalog} items, but the dataset has {dataset}")]
    CatalogSize { catalog: usize, dataset: usize },
    /// A split of another dataset.
    #[error(
        "user {user} has other events in the split than in the dataset: use the split of this dataset"
    )]
    OtherSplit { user: UserId },
    /// An item outside the dataset.
    #[error("item {item} is outside the {num_items} items")]
    ItemRange { item: ItemId, num_items: usize },
    /// A text that is not the key of an item, and is not in the title of an item.
    #[error("no item has the key `{text}`, or `{text}` in its title")]
    NoSuchItem { text: String },
    /// A text that more than one title fits.
    #[error("`{text}` fits more than one item, such as {first} and {second}: give the key of one")]
    Ambiguous { text: String, first: String, second: String },
    /// Fewer items than are to be drawn.
    #[error("{needed} negatives were requested, but only {found} items can be negatives")]
    TooFewItems { found: usize, needed: usize },
    /// A table in parquet that cannot be read.
    #[cfg(feature = "parquet")]
    #[error("`{}` cannot be read as parquet", path.display())]
    Parquet {
        path: PathBuf,
        #[source]
        source: parquet::errors::ParquetError,
    },
    /// A table that is one list in JSON.
    #[error(
        "`{}` begins with `[`: a table in JSON has one object a line; write it so, or as CSV",
        path.display()
    )]
    JsonArray { path: PathBuf },
    /// A table in parquet, in a build without support for parquet.
    #[error(
        "`{}` is a table in parquet, but this program was built without parquet: build it with the feature \
         `parquet`, or write the table as CSV or JSON lines",
        path.display()
    )]
    NoParquet { path: PathBuf },
    /// A column that a table lacks.
    #[error("`{}`: no column `{column}`; the columns are {found}", path.display())]
    NoColumn { path: PathBuf, column: String, found: String },
    /// A column of a table with a type that the reader cannot use.
    #[error("`{}`: column `{column}` holds {found}; expected {expected}", path.display())]
    ColumnKind { path: PathBuf, column: String, found: String, expected: &'static str },
    /// Settings outside their range.
    #[error("`{field}` is {found}; expected {expected}")]
    Config { field: &'static str, found: String, expected: &'static str },
    /// An item that is not a product of the shop, or a second item for one product.
    #[error(
        "item `{key}` with categories `{categories}` is not a product of the synthetic shop, or occurs twice"
    )]
    NotTheShop { key: String, categories: String },
    /// Fewer items than the shop has products.
    #[error("there are {found} items, but the synthetic shop has {expected} products")]
    ShopSize { found: usize, expected: usize },
    /// A history that is not possible under the law of the shop.
    #[error(
        "event {position}: item {item} was bought before, but the customers of the synthetic shop never buy an item twice"
    )]
    ImpossibleHistory { position: usize, item: ItemId },
}

impl DataError {
    pub(crate) fn io(path: &Path, source: std::io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_is_wrong_where_and_what_was_expected() {
        let error = DataError::MissingColumn {
            path: "x.item".into(),
            column: "title:token_seq".to_owned(),
            found: "`item_id:token`, `name:token`".to_owned(),
        };
        insta::assert_snapshot!(
            error.to_string(),
            @"`x.item`, line 1: no column `title:token_seq`; the columns are `item_id:token`, `name:token`"
        );
        let error = DataError::NothingHeldOut { longest: 2 };
        insta::assert_snapshot!(
            error.to_string(),
            @"leave-one-out needs a user with at least 3 events, but the longest history has 2"
        );
    }
}
