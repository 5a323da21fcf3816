//! The size of a dataset and the spread of its events: numbers to compare with those of a paper.

use std::collections::HashSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Dataset, Timestamp};

/// What a dataset holds.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Statistics {
    /// Users.
    pub users: usize,
    /// Items, chosen or not.
    pub items: usize,
    /// Events.
    pub interactions: usize,
    /// Events that are not repeats of an item by a user, over users times items.
    pub density: f64,
    /// Events of a user.
    pub per_user: Spread,
    /// Events of an item.
    pub per_item: Spread,
    /// Gini coefficient of events over items: 0 if all are chosen alike, towards 1 if few have all.
    pub item_gini: f64,
    /// Events of an item that the user chose before.
    pub repeats: usize,
    /// First and last event; `None` if events have no times.
    pub times: Option<(Timestamp, Timestamp)>,
    /// Items with a title.
    pub titled: usize,
    /// Words of a title, over items that have one.
    pub title_words: Spread,
}

/// Smallest, middle, mean and largest of some counts; all zero if there are no counts.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
#[non_exhaustive]
pub struct Spread {
    /// Smallest.
    pub min: usize,
    /// Lower median: the smallest count that half of the counts do not exceed.
    pub median: usize,
    /// Mean.
    pub mean: f64,
    /// Largest.
    pub max: usize,
}

impl Spread {
    fn new(mut counts: Vec<usize>) -> Self {
        counts.sort_unstable();
        let (Some(min), Some(max)) = (counts.first(), counts.last()) else {
            return Self::default();
        };
        let median = counts[(counts.len() - 1) / 2];
        let mean = counts.iter().sum::<usize>() as f64 / counts.len() as f64;
        Self { min: *min, median, mean, max: *max }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { min, median, mean, max } = self;
        write!(f, "{min} to {max}, median {median}, mean {mean:.2}")
    }
}

/// What a publisher says that the dataset holds; what is `None` is not compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Expected {
    /// Users.
    pub users: Option<usize>,
    /// Items.
    pub items: Option<usize>,
    /// Events.
    pub interactions: Option<usize>,
}

/// A count that is not the expected one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Difference {
    /// Of what.
    pub count: &'static str,
    /// What the dataset holds.
    pub found: usize,
    /// What it should hold.
    pub expected: usize,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {} {}, found {}", self.expected, self.count, self.found)
    }
}

impl Statistics {
    /// Counts.
    ///
    /// ```text
    /// Gini = Σ (2 i - n - 1) x[i] / (n Σ x)      x[1] <= … <= x[n]: events of the items
    /// ```
    ///
    /// ```
    /// use sidereal_data::{Dataset, Expected, Item, ItemId, Statistics, User};
    ///
    /// let items = vec![Item::new("a", "an apple"), Item::new("b", "")];
    /// let users = vec![User::new("u", vec![ItemId(0), ItemId(0)])];
    /// let found = Statistics::new(&Dataset::new(items, users)?);
    /// assert_eq!((found.density, found.item_gini, found.repeats), (0.5, 0.5, 1));
    /// let expected = Expected { interactions: Some(3), ..Expected::default() };
    /// assert_eq!(found.compare(&expected)[0].to_string(), "expected 3 interactions, found 2");
    /// # Ok::<(), sidereal_data::DataError>(())
    /// ```
    #[must_use]
    pub fn new(dataset: &Dataset) -> Self {
        let mut per_item = vec![0usize; dataset.num_items()];
        let mut distinct = 0;
        for user in dataset.users() {
            distinct += user.events.iter().collect::<HashSet<_>>().len();
            for item in &user.events {
                per_item[item.index()] += 1;
            }
        }
        let interactions = dataset.num_interactions();
        let times = dataset.users().iter().flat_map(|user| &user.times).copied();
        let range = times.clone().min().zip(times.max());
        let titles = dataset.items().iter().map(|item| item.title.split_whitespace().count());
        let title_words: Vec<usize> = titles.filter(|words| *words > 0).collect();
        let cells = dataset.num_users() as f64 * dataset.num_items() as f64;
        Self {
            users: dataset.num_users(),
            items: dataset.num_items(),
            interactions,
            density: distinct as f64 / cells,
            per_user: Spread::new(dataset.users().iter().map(|user| user.events.len()).collect()),
            item_gini: gini(per_item.clone()),
            per_item: Spread::new(per_item),
            repeats: interactions - distinct,
            times: range.filter(|_| dataset.has_times()),
            titled: title_words.len(),
            title_words: Spread::new(title_words),
        }
    }

    /// Every count that is not the expected one.
    #[must_use]
    pub fn compare(&self, expected: &Expected) -> Vec<Difference> {
        let counts = [
            ("users", self.users, expected.users),
            ("items", self.items, expected.items),
            ("interactions", self.interactions, expected.interactions),
        ];
        let differs = |(count, found, expected): (_, usize, Option<usize>)| {
            let expected = expected.filter(|expected| *expected != found)?;
            Some(Difference { count, found, expected })
        };
        counts.into_iter().filter_map(differs).collect()
    }
}

fn gini(mut counts: Vec<usize>) -> f64 {
    counts.sort_unstable();
    let (n, total) = (counts.len() as f64, counts.iter().sum::<usize>() as f64);
    if total == 0.0 {
        return 0.0;
    }
    let weighted = |(i, count): (usize, &usize)| (2.0 * (i + 1) as f64 - n - 1.0) * *count as f64;
    counts.iter().enumerate().map(weighted).sum::<f64>() / (n * total)
}

impl fmt::Display for Statistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "users                {}", self.users)?;
        writeln!(f, "items                {}, {} with a title", self.items, self.titled)?;
        writeln!(f, "interactions         {}, {} repeats", self.interactions, self.repeats)?;
        writeln!(f, "density              {:.4} %", 100.0 * self.density)?;
        writeln!(f, "events of a user     {}", self.per_user)?;
        writeln!(f, "events of an item    {}, Gini {:.3}", self.per_item, self.item_gini)?;
        if let Some((first, last)) = self.times {
            writeln!(f, "times                {first} to {last}")?;
        }
        write!(f, "words of a title     {}", self.title_words)
    }
}

#[cfg(test)]
mod tests {
    use sidereal_sid::ItemId;

    use super::*;
    use crate::{Item, User};

    #[test]
    fn every_number_is_what_it_says() {
        let titles = ["one", "two words", "", "a"];
        let items = titles.iter().enumerate().map(|(i, t)| Item::new(i.to_string(), *t)).collect();
        let user = |key: &str, events: &[u32], times: &[i64]| {
            let times = times.iter().copied().map(Timestamp).collect();
            User::new(key, events.iter().copied().map(ItemId).collect()).with_times(times)
        };
        let users = vec![user("u", &[0, 1, 0], &[5, 6, 7]), user("v", &[0], &[2])];
        let found = Statistics::new(&Dataset::new(items, users).unwrap());
        assert_eq!((found.users, found.items, found.interactions, found.repeats), (2, 4, 4, 1));
        assert!((found.density - 3.0 / 8.0).abs() < 1e-12);
        assert_eq!(found.per_user, Spread { min: 1, median: 1, mean: 2.0, max: 3 });
        assert_eq!(found.per_item, Spread { min: 0, median: 0, mean: 1.0, max: 3 });
        // Sorted 0 0 1 3: (-3·0 - 1·0 + 1·1 + 3·3) / (4·4)
        assert!((found.item_gini - 10.0 / 16.0).abs() < 1e-12);
        assert_eq!(found.times, Some((Timestamp(2), Timestamp(7))));
        assert_eq!((found.titled, found.title_words.max), (3, 2));
    }

    #[test]
    fn only_what_is_expected_is_compared() {
        let users = vec![User::new("u", vec![])];
        let found = Statistics::new(&Dataset::new(vec![Item::new("a", "")], users).unwrap());
        assert!(found.compare(&Expected::default()).is_empty());
        let expected = Expected { users: Some(1), items: Some(2), interactions: None };
        let differences = found.compare(&expected);
        assert_eq!(differences, [Difference { count: "items", found: 1, expected: 2 }]);
        assert!(found.item_gini.abs() < 1e-12);
    }
}
