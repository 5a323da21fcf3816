//! Names and columns as the command line spells them: `NAME=COLUMN,NAME=COLUMN` and the like.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;

use sidereal_data::read::TimeFormat;
use sidereal_data::read::tabular::{self, ItemColumns};

/// `NAME=x.inter,x.item`, or `NAME=FOLDER`.
#[derive(Debug, Clone)]
pub(crate) struct DomainFiles {
    pub(super) name: String,
    pub(super) files: DomainSource,
}

/// Where the data of a domain are.
#[derive(Debug, Clone)]
pub(super) enum DomainSource {
    /// Files of RecBole: interactions and items.
    Recbole(PathBuf, PathBuf),
    /// A folder that `sidereal prepare` wrote.
    Folder(PathBuf),
}

impl FromStr for DomainFiles {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, files) =
            text.split_once('=').ok_or("expected NAME=x.inter,x.item or NAME=FOLDER")?;
        let files = match files.split_once(',') {
            Some((interactions, items)) => DomainSource::Recbole(interactions.into(), items.into()),
            None => DomainSource::Folder(files.into()),
        };
        Ok(Self { name: name.to_owned(), files })
    }
}

/// `NAME,NAME=COLUMN`.
#[derive(Debug, Clone)]
pub(crate) struct BehaviourNames(pub(super) Vec<BehaviourName>);

/// A behaviour and its column, which has the same name unless another is given.
#[derive(Debug, Clone)]
pub(super) struct BehaviourName {
    pub(super) name: String,
    pub(super) column: String,
}

impl FromStr for BehaviourNames {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = text.split(',').map(|part| {
            let (name, column) = part.split_once('=').unwrap_or((part, part));
            if name.is_empty() || column.is_empty() {
                return Err("expected `NAME` or `NAME=COLUMN`".to_owned());
            }
            Ok(BehaviourName { name: name.to_owned(), column: column.to_owned() })
        });
        named.collect::<Result<_, _>>().map(Self)
    }
}

/// `user=COLUMN,item=COLUMN,time=COLUMN,time_format=FORMAT`.
#[derive(Debug, Clone)]
pub(crate) struct ColumnNames(pub(super) tabular::Columns);

impl FromStr for ColumnNames {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut found = roles(text, &["user", "item", "time", "time_format"])?;
        let user =
            found.remove("user").ok_or("the column of users is missing: add `user=COLUMN`")?;
        let item =
            found.remove("item").ok_or("the column of items is missing: add `item=COLUMN`")?;
        let mut columns = tabular::Columns::new(user, item);
        if let Some(time) = found.remove("time") {
            columns = columns.with_time(time);
        }
        if let Some(format) = found.remove("time_format") {
            let format: TimeFormat = format.parse().map_err(|error| format!("{error}"))?;
            columns = columns.with_time_format(format);
        }
        Ok(Self(columns))
    }
}

/// `key=COLUMN,title=COLUMN,brand=COLUMN,categories=COLUMN,description=COLUMN`.
#[derive(Debug, Clone)]
pub(crate) struct ItemColumnNames(pub(super) ItemColumns);

impl FromStr for ItemColumnNames {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut found = roles(text, &["key", "title", "brand", "categories", "description"])?;
        let key = found.remove("key").ok_or("the column of keys is missing: add `key=COLUMN`")?;
        let mut columns = ItemColumns::new(key);
        for (role, column) in found {
            columns = match role {
                "title" => columns.with_title(column),
                "brand" => columns.with_brand(column),
                "categories" => columns.with_categories(column),
                _ => columns.with_description(column),
            };
        }
        Ok(Self(columns))
    }
}

/// `ROLE=COLUMN,ROLE=COLUMN`, each of the known roles at most once.
fn roles<'r>(text: &str, known: &[&'r str]) -> Result<BTreeMap<&'r str, String>, String> {
    let mut found = BTreeMap::new();
    for part in text.split(',') {
        let (role, column) = part.split_once('=').ok_or("expected `ROLE=COLUMN`")?;
        let Some(role) = known.iter().find(|name| **name == role) else {
            return Err(format!("`{role}` is not a role; there are {}", known.join(", ")));
        };
        if found.insert(*role, column.to_owned()).is_some() {
            return Err(format!("the column of `{role}` is given twice"));
        }
    }
    Ok(found)
}
