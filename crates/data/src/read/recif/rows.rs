//! Rows as users' events.

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::path::Path;

use arrow_array::{Array, RecordBatch};
use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use sidereal_sid::ItemId;

use super::columns::{Columns, EventColumns};
use super::loaded::Loaded;
use super::queries::InWords;
use crate::read::batches::cells::{is_set, name, of_row, time};
use crate::read::indexed;
use crate::read::policy::{OnDoubtful, RowPolicy, Skips};
use crate::read::problem::{Problem, ProblemKind};
use crate::split::Cut;
use crate::{DataError, Dataset, Item, Keys, Labels, Query, Split, SplitProtocol, Timestamp, User};

/// An item, when it was chosen (0 if the table has no times), and what else the user did with it.
#[derive(Debug, Clone, Copy)]
struct Event<I> {
    time: Timestamp,
    item: I,
    labels: Labels,
}

/// An event with an item of [`Rows::items`].
type Numbered = Event<u32>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Set {
    Train,
    Valid,
    Test,
}

/// What the rows of one user say.
#[derive(Debug)]
struct Known {
    history: Vec<Numbered>,
    target: Vec<Numbered>,
    portrait: String,
    /// Words, and items of [`Rows::items`].
    queries: Vec<(String, Vec<u32>)>,
    set: Set,
}

impl Known {
    fn new(set: Set) -> Self {
        let (history, target, queries) = (Vec::new(), Vec::new(), Vec::new());
        Self { history, target, portrait: String::new(), queries, set }
    }
}

/// All rows so far.
pub(super) struct Rows<'a> {
    columns: &'a Columns,
    policy: &'a RowPolicy,
    skips: Skips,
    /// Row that comes next, from 1.
    next: u64,
    names: Keys,
    items: Keys,
    /// By number of the name.
    users: Vec<Known>,
    /// Every event, if events have times and must not be repeated.
    seen: HashSet<(usize, Timestamp, u32)>,
}

impl<'a> Rows<'a> {
    pub(super) fn new(path: &Path, columns: &'a Columns, policy: &'a RowPolicy) -> Self {
        let (names, items, users) = (Keys::default(), Keys::default(), Vec::new());
        let (skips, seen) = (Skips::new(path), HashSet::new());
        Self { columns, policy, skips, next: 1, names, items, users, seen }
    }

    pub(super) fn add(&mut self, batch: &RecordBatch) -> Result<(), DataError> {
        for row in 0..batch.num_rows() {
            if let Err(problem) = self.row(batch, row)? {
                self.skips.add(problem.at(self.next), self.policy)?;
            }
            self.next += 1;
        }
        Ok(())
    }

    fn row(&mut self, batch: &RecordBatch, row: usize) -> Result<Result<(), Problem>, DataError> {
        let read = || -> Result<_, Problem> {
            let user = Self::name(batch, &self.columns.user, row)?;
            let set = match &self.columns.split {
                Some(column) => Self::set(batch, column, row)?,
                None => Set::Train,
            };
            let history = self.events(batch, &self.columns.history, row)?;
            let target = match &self.columns.target {
                Some(columns) => self.events(batch, columns, row)?,
                None => Vec::new(),
            };
            let (last, first) = (history.last(), target.first());
            if last.zip(first).is_some_and(|(last, first)| last.time > first.time) {
                let column = self.columns.target.as_ref().and_then(|it| it.times.clone());
                let needed = "targets after the history";
                let found = first.map(|event| event.time.to_string()).unwrap_or_default();
                return Err(Problem::new(
                    ProblemKind::Time,
                    column.unwrap_or_default(),
                    &found,
                    needed,
                ));
            }
            let again = self.names.get(&user).is_some();
            if again && (self.columns.target.is_some() || self.columns.split.is_some()) {
                return Err(Problem::new(ProblemKind::Duplicate, "", &user, "one row a user"));
            }
            let in_words = InWords::of(batch, self.columns, row)?;
            Ok((user, set, history, target, in_words))
        };
        let (user, set, history, target, in_words) = match read() {
            Ok(row) => row,
            Err(problem) => return Ok(Err(problem)),
        };
        let too_many = |what, found| DataError::TooMany { what, found };
        let found = self.names.len();
        let number = self.names.insert(&user).ok_or_else(|| too_many("users", found))? as usize;
        if number == self.users.len() {
            self.users.push(Known::new(set));
        }
        let mut numbered = |events: Vec<Event<String>>| -> Result<Vec<Numbered>, DataError> {
            let number = |Event { time, item, labels }: Event<String>| {
                let found = self.items.len();
                let item = self.items.insert(&item).ok_or_else(|| too_many("items", found))?;
                Ok(Event { time, item, labels })
            };
            events.into_iter().map(number).collect()
        };
        let (mut history, mut target) = (numbered(history)?, numbered(target)?);
        if self.is_timed() && self.policy.duplicates != OnDoubtful::Keep {
            let (before, seen) = (history.len() + target.len(), &mut self.seen);
            for events in [&mut history, &mut target] {
                events.retain(|event| seen.insert((number, event.time, event.item)));
            }
            for _ in history.len() + target.len()..before {
                let needed = "one event of an item by a user at a time";
                let repeated = Problem::new(ProblemKind::Duplicate, "", &user, needed);
                self.skips.add(repeated.at(self.next), self.policy)?;
            }
        }
        let mut queries = Vec::new();
        for (words, names) in in_words.queries {
            let found = self.items.len();
            let ids = names.iter().map(|name| self.items.insert(name));
            let ids: Option<Vec<u32>> = ids.collect();
            queries.push((words, ids.ok_or_else(|| too_many("items", found))?));
        }
        if let Some(known) = self.users.get_mut(number) {
            known.history.extend(history);
            known.target.extend(target);
            known.queries.extend(queries);
            if !in_words.portrait.is_empty() {
                known.portrait = in_words.portrait;
            }
        }
        Ok(Ok(()))
    }

    /// Whether every event has a time.
    fn is_timed(&self) -> bool {
        let target = self.columns.target.as_ref();
        self.columns.history.times.is_some() && target.is_none_or(|it| it.times.is_some())
    }

    fn name(batch: &RecordBatch, column: &str, row: usize) -> Result<String, Problem> {
        let values = batch.column_by_name(column).and_then(|column| of_row(column, row));
        values.and_then(|values| name(&values, 0)).ok_or_else(|| {
            Problem::new(ProblemKind::Field, column.to_owned(), "nothing", "a number or a text")
        })
    }

    fn set(batch: &RecordBatch, column: &str, row: usize) -> Result<Set, Problem> {
        let text = Self::name(batch, column, row)?;
        match text.as_str() {
            "0" | "train" => Ok(Set::Train),
            "1" | "test" => Ok(Set::Test),
            "valid" => Ok(Set::Valid),
            _ => Err(Problem::new(
                ProblemKind::Field,
                column.to_owned(),
                &text,
                "0, 1, train, valid or test",
            )),
        }
    }

    /// The events of a row that count, by time if there are times.
    fn events(
        &self,
        batch: &RecordBatch,
        columns: &EventColumns,
        row: usize,
    ) -> Result<Vec<Event<String>>, Problem> {
        let values = |column: &str| {
            let values = batch.column_by_name(column).and_then(|column| of_row(column, row));
            values.ok_or_else(|| {
                Problem::new(ProblemKind::Field, column.to_owned(), "nothing", "values")
            })
        };
        let items = values(&columns.items)?;
        let beside = |column: Option<&String>| -> Result<_, Problem> {
            let Some(column) = column else { return Ok(None) };
            let values = values(column)?;
            if values.len() == items.len() {
                return Ok(Some(values));
            }
            let found = format!("{} of {}", values.len(), items.len());
            Err(Problem::new(ProblemKind::Field, column.clone(), &found, "as many as items"))
        };
        let (counts, times) = (beside(columns.label.as_ref())?, beside(columns.times.as_ref())?);
        let behaviours = columns.behaviours.iter().map(|column| beside(Some(column)));
        let behaviours = behaviours.collect::<Result<Vec<_>, Problem>>()?;
        let mut events = Vec::new();
        for at in 0..items.len() {
            if counts.as_ref().is_some_and(|counts| !is_set(counts, at)) {
                continue;
            }
            let column = columns.items.clone();
            let item = name(&items, at).ok_or_else(|| {
                Problem::new(ProblemKind::Field, column, "nothing", "an item's name")
            })?;
            let time = match &times {
                Some(times) => self.time(times, at, columns)?,
                None => Timestamp::default(),
            };
            let set =
                behaviours.iter().map(|values| values.as_ref().is_some_and(|it| is_set(it, at)));
            let labels = set.enumerate().filter(|(_, set)| *set).map(|(place, _)| place).collect();
            events.push(Event { time, item, labels });
        }
        events.sort_by_key(|event| event.time); // stable
        Ok(events)
    }

    fn time(
        &self,
        times: &dyn Array,
        at: usize,
        columns: &EventColumns,
    ) -> Result<Timestamp, Problem> {
        let (first, last) = self.policy.times;
        time(times, at, self.columns.time_format, &(first..=last)).map_err(|found| {
            let column = columns.times.clone().unwrap_or_default();
            Problem::new(ProblemKind::Time, column, &found, "a time that the policy allows")
        })
    }

    /// Moves some training users to validation, if the columns say so: one at least, where one can be moved.
    fn draw_valid(&mut self, seed: u64) {
        let Some(every) = self.columns.valid_every else { return };
        let can_move = |known: &&mut Known| {
            known.set == Set::Train && !(known.history.is_empty() || known.target.is_empty())
        };
        let mut users: Vec<&mut Known> = self.users.iter_mut().filter(can_move).collect();
        let count = (users.len() / every).max(1);
        users.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        users.into_iter().take(count).for_each(|known| known.set = Set::Valid);
    }

    pub(super) fn finish(
        mut self,
        seed: u64,
        max_history: NonZeroUsize,
    ) -> Result<Loaded, DataError> {
        self.skips.left_some(self.users.len())?;
        let timed = self.is_timed();
        self.draw_valid(seed);
        // Events of several rows.
        for known in &mut self.users {
            known.history.sort_by_key(|event| event.time); // stable
            known.target.sort_by_key(|event| event.time);
        }
        // In random order, because numbers that follow the rows reveal what comes next.
        let items = self.items.names().map(|name| Item::new(name, "")).collect();
        let items = indexed::Numbered::shuffled(items, seed);
        let ids: Vec<ItemId> = self.items.names().filter_map(|name| items.id(name)).collect();
        let (mut users, mut cuts, mut without_events) = (Vec::new(), Vec::new(), 0);
        for (name, known) in self.names.names().zip(&self.users) {
            let all = || known.history.iter().chain(&known.target);
            let events: Vec<ItemId> =
                all().filter_map(|event| ids.get(event.item as usize)).copied().collect();
            if events.is_empty() {
                without_events += 1;
                continue;
            }
            let (start, end) = (known.history.len(), events.len());
            cuts.push(match known.set {
                Set::Train => Cut { train: end, valid: end, test: end },
                Set::Valid => Cut { train: 0, valid: start, test: end },
                Set::Test => Cut { train: 0, valid: start, test: start },
            });
            let user = User::new(name, events);
            let labelled = all().filter(|_| !self.columns.behaviours.is_empty());
            let user = user.with_labels(labelled.map(|event| event.labels).collect());
            let queries = known.queries.iter().map(|(words, items)| {
                let items = items.iter().filter_map(|item| ids.get(*item as usize)).copied();
                Query::new(words.clone(), items.collect())
            });
            let user = user.with_queries(known.portrait.clone(), queries.collect());
            let when = || all().map(|event| event.time).collect();
            users.push(if timed { user.with_times(when()) } else { user });
        }
        let behaviours = self.columns.behaviours.clone();
        let dataset = Dataset::with_behaviours(items.items, users, behaviours)?;
        let split =
            self.columns.split.is_some().then(|| {
                Split::cut(SplitProtocol::Published, &dataset, max_history, cuts.into_iter())
            });
        self.skips.tell();
        if without_events > 0 {
            let path = self.skips.path.display();
            tracing::warn!(
                "{path}: users without an event that counts, left out: {without_events}"
            );
        }
        Ok(Loaded { dataset, split, without_events, skips: self.skips })
    }
}
