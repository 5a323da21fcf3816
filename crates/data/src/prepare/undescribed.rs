//! Events of items that are not in the item file.

use std::collections::BTreeMap;

use crate::filter::Dropped;
use crate::read::{OnDoubtful, RowPolicy};
use crate::{DataError, Interactions, Item};

/// Name of the step that removes the events of items without a line.
pub(crate) const UNDESCRIBED: &str = "without a line of their own";

/// Removes, rejects or keeps the events of items that are not described.
pub(crate) fn undescribed(
    rows: &mut Interactions,
    described: &BTreeMap<String, Item>,
    policy: &RowPolicy,
) -> Result<Dropped, DataError> {
    if policy.missing_titles == OnDoubtful::Keep {
        return Ok(Dropped::default());
    }
    let known: Vec<bool> = rows.items().names().map(|key| described.contains_key(key)).collect();
    if policy.missing_titles == OnDoubtful::Error
        && let Some(row) = rows.rows().iter().find(|row| !known[row.item as usize])
    {
        let item = rows.items().name(row.item).unwrap_or_default().to_owned();
        return Err(DataError::Undescribed { item });
    }
    Ok(rows.filter(|row| known[row.item as usize]))
}
