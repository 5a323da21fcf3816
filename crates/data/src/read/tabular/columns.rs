//! Names of the columns that are read.

use serde::{Deserialize, Serialize};

use crate::read::TimeFormat;

/// Names of the columns that are read.
///
/// ```
/// use sidereal_data::read::TimeFormat;
/// use sidereal_data::read::tabular::{Columns, ItemColumns};
///
/// let columns = Columns::new("user_id", "item_id")
///     .with_time("timestamp")
///     .with_time_format(TimeFormat::Seconds)
///     .with_items(ItemColumns::new("item_id").with_title("title").with_categories("categories"));
/// assert_eq!(columns.items.title.as_deref(), Some("title"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Columns {
    /// Who chose.
    pub user: String,
    /// What was chosen.
    pub item: String,
    /// When; without it the rows of a user are taken in the order of the file.
    #[serde(default)]
    pub time: Option<String>,
    /// How times are written.
    #[serde(default)]
    pub time_format: TimeFormat,
    /// What else users did with items, such as `like`: each behaviour with its column.
    #[serde(default)]
    pub behaviours: Vec<BehaviourColumn>,
    /// The columns of the item table, if there is one.
    pub items: ItemColumns,
}

/// A behaviour and the column of its truth values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BehaviourColumn {
    /// Name of the behaviour in the dataset.
    pub name: String,
    /// The column.
    pub column: String,
}

impl Columns {
    /// These columns of users and items and no times. In the item table, the key has the same name
    /// as the items in the interactions; no other column is read.
    #[must_use]
    pub fn new(user: impl Into<String>, item: impl Into<String>) -> Self {
        let item = item.into();
        let items = ItemColumns::new(item.clone());
        let (time, time_format, behaviours) = (None, TimeFormat::Auto, Vec::new());
        Self { user: user.into(), item, time, time_format, behaviours, items }
    }

    /// With times in this column.
    #[must_use]
    pub fn with_time(mut self, column: impl Into<String>) -> Self {
        self.time = Some(column.into());
        self
    }

    /// With times written this way.
    #[must_use]
    pub const fn with_time_format(mut self, format: TimeFormat) -> Self {
        self.time_format = format;
        self
    }

    /// With a behaviour of this name in this column, besides those that were named before.
    #[must_use]
    pub fn with_behaviour(mut self, name: impl Into<String>, column: impl Into<String>) -> Self {
        self.behaviours.push(BehaviourColumn { name: name.into(), column: column.into() });
        self
    }

    /// With these columns of the item table.
    #[must_use]
    pub fn with_items(mut self, items: ItemColumns) -> Self {
        self.items = items;
        self
    }
}

/// Names of the columns of a table of items. What is `None` is not read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ItemColumns {
    /// The key of the item, which interactions use.
    pub key: String,
    /// The title.
    #[serde(default)]
    pub title: Option<String>,
    /// The maker or the shop.
    #[serde(default)]
    pub brand: Option<String>,
    /// The categories, coarse to fine.
    #[serde(default)]
    pub categories: Option<String>,
    /// What the seller says of it.
    #[serde(default)]
    pub description: Option<String>,
    /// What separates categories that are one text. With `None` it is recognised from the whole
    /// column, as with [`CategorySeparator::Auto`](crate::read::CategorySeparator::Auto), except
    /// that white space never separates: if nothing else is found, each text is one category.
    #[serde(default)]
    pub separator: Option<String>,
}

impl ItemColumns {
    /// The column of keys and no other.
    #[must_use]
    pub fn new(key: impl Into<String>) -> Self {
        let (title, brand, categories, description) = (None, None, None, None);
        Self { key: key.into(), title, brand, categories, description, separator: None }
    }

    /// With titles in this column.
    #[must_use]
    pub fn with_title(mut self, column: impl Into<String>) -> Self {
        self.title = Some(column.into());
        self
    }

    /// With makers or shops in this column.
    #[must_use]
    pub fn with_brand(mut self, column: impl Into<String>) -> Self {
        self.brand = Some(column.into());
        self
    }

    /// With categories in this column.
    #[must_use]
    pub fn with_categories(mut self, column: impl Into<String>) -> Self {
        self.categories = Some(column.into());
        self
    }

    /// With descriptions in this column.
    #[must_use]
    pub fn with_description(mut self, column: impl Into<String>) -> Self {
        self.description = Some(column.into());
        self
    }

    /// With this text between the categories of an item.
    #[must_use]
    pub fn with_separator(mut self, separator: impl Into<String>) -> Self {
        self.separator = Some(separator.into());
        self
    }
}
