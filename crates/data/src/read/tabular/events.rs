//! The interactions of a table.

use std::collections::{BTreeMap, HashSet};
use std::ops::RangeInclusive;
use std::path::Path;

use serde_json::Value;

use super::columns::Columns;
use super::rows::{self, Cell, Holds, Row, Wanted};
use crate::read::policy::{OnDoubtful, RowPolicy, Skips};
use crate::read::problem::{Problem, ProblemKind};
use crate::{DataError, Interaction, Interactions, Item, Labels, Timestamp};

/// Reads who chose what, and when. `known` are the items of the item table, if there is one.
pub(super) fn read(
    path: &Path,
    columns: &Columns,
    known: Option<&BTreeMap<String, Item>>,
    policy: &RowPolicy,
) -> Result<(Interactions, Skips), DataError> {
    let key = |name| Wanted { name, holds: Holds::Key };
    let mut wanted = vec![key(columns.user.as_str()), key(columns.item.as_str())];
    wanted.extend(columns.time.as_deref().map(|name| Wanted { name, holds: Holds::Time }));
    wanted.extend(
        columns
            .behaviours
            .iter()
            .map(|it| Wanted { name: it.column.as_str(), holds: Holds::Label }),
    );
    let known = known.filter(|_| policy.missing_titles != OnDoubtful::Keep);
    let behaviours = columns.behaviours.iter().map(|it| it.name.clone()).collect();
    let (interactions, seen) = (Interactions::of_behaviours(behaviours), HashSet::new());
    let (skips, times) = (Skips::new(path), policy.times.0..=policy.times.1);
    let mut events = Events { columns, known, policy, times, interactions, seen, skips };
    rows::read(path, &wanted, policy, |line, row| events.add(line, row))?;
    let Events { interactions, skips, .. } = events;
    skips.left_some(interactions.len())?;
    if interactions.is_empty() {
        return Err(DataError::NoRows { path: path.to_owned() });
    }
    Ok((interactions, skips))
}

struct Events<'a> {
    columns: &'a Columns,
    known: Option<&'a BTreeMap<String, Item>>,
    policy: &'a RowPolicy,
    times: RangeInclusive<Timestamp>,
    interactions: Interactions,
    /// Every row, if rows have times and must not be repeated.
    seen: HashSet<Interaction>,
    skips: Skips,
}

impl Events<'_> {
    fn add(&mut self, line: u64, row: Row) -> Result<(), DataError> {
        let (user, item, time, labels) = match row.and_then(|cells| self.event(cells)) {
            Ok(event) => event,
            Err(problem) => return self.skips.add(problem.at(line), self.policy),
        };
        self.interactions.push_labelled(&user, &item, time, labels)?;
        if self.columns.time.is_some() && self.policy.duplicates != OnDoubtful::Keep {
            let last = self.interactions.rows().last().copied();
            if last.is_some_and(|last| !self.seen.insert(last)) {
                self.interactions.pop();
                let needed = "one event of an item by a user at a time";
                let found = format!("{user} {item}");
                let problem = Problem::new(ProblemKind::Duplicate, "", &found, needed);
                self.skips.add(problem.at(line), self.policy)?;
            }
        }
        Ok(())
    }

    fn event(&self, cells: Vec<Cell>) -> Result<(String, String, Timestamp, Labels), Problem> {
        let mut cells = cells.into_iter();
        let mut next = || cells.next().unwrap_or(Cell::Value(Value::Null));
        let user = next().key(&self.columns.user, self.policy)?;
        let item = next().key(&self.columns.item, self.policy)?;
        let time = match &self.columns.time {
            Some(column) => self.time(column, &next())?,
            None => Timestamp::default(),
        };
        let mut labels = Labels::default();
        for (place, behaviour) in self.columns.behaviours.iter().enumerate() {
            let set = next().label().map_err(|found| {
                let (kind, column) = (ProblemKind::Field, behaviour.column.clone());
                Problem::new(kind, column, &found, "a truth value: true, false or a number")
            })?;
            labels = if set { labels.with(place) } else { labels };
        }
        if self.known.is_some_and(|known| !known.contains_key(&item)) {
            let (kind, column) = (ProblemKind::MissingTitle, self.columns.item.clone());
            return Err(Problem::new(kind, column, &item, "an item that the item table describes"));
        }
        Ok((user, item, time, labels))
    }

    fn time(&self, column: &str, cell: &Cell) -> Result<Timestamp, Problem> {
        let format = self.columns.time_format;
        let time = match cell {
            Cell::Time(time) => Some(*time).filter(|time| self.times.contains(time)),
            Cell::Value(Value::Number(number)) => match number.as_i64() {
                Some(whole) => format.of_whole(whole, &self.times),
                None => number.as_f64().and_then(|it| format.of_number(it, &self.times)),
            },
            Cell::Value(Value::String(text)) => format.of_text(text, &self.times),
            Cell::Value(_) => None,
        };
        time.ok_or_else(|| {
            let needed = "a time, in the format of the column, that the row policy allows";
            Problem::new(ProblemKind::Time, column.to_owned(), &cell.shown(), needed)
        })
    }
}
