//! Finds out whether events are in the order of a file instead of the order of the users' choices.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use serde::Serialize;
use sidereal_sid::ItemId;

use super::ALARM;
use crate::{Dataset, Timestamp};

/// Milliseconds of a day.
const DAY: i64 = 86_400_000;
/// Distance of a share from a half below which an order by key does not matter, even if it is
/// certain.
const EFFECT: f64 = 0.1;

/// Whether the order of a user's events may be that of a file sorted by item keys.
///
/// Public files often give only the day of an event, and are sorted by item within a day. Then the
/// key of an item tells which item comes next. Counts of transitions learn this order, and rankings
/// that use it look better than they are. The steps that are counted go from an event of a user to
/// the next event of this user with another item.
///
/// Keys are compared as numbers where both are digits, else as text.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct EventOrder {
    /// Steps between neighbouring events of a user, those to the same item left out.
    pub steps: usize,
    /// Share of steps that the most common successor of the earlier item predicts, in `[0, 1]`.
    ///
    /// The user's own steps between the two items are left out of the counts. If `m` items are
    /// equally common successors, each counts as `1 / m` of a hit.
    pub forward_hits: f64,
    /// The same for the most common *predecessor* of the earlier item. If the order of events means
    /// nothing, it predicts the next event just as well.
    pub backward_hits: f64,
    /// `forward_hits` minus `backward_hits`, in units of its standard error over steps.
    pub direction_deviations: f64,
    /// Share of steps to a higher key; a half by chance.
    pub ascending: f64,
    /// `ascending` minus a half, in units of its standard error by chance.
    pub ascending_deviations: f64,
    /// Share of steps to the very next key of the catalogue, all keys sorted.
    pub to_next_key: f64,
    /// The same for the key before, which by chance is as frequent.
    pub to_previous_key: f64,
    /// Steps within equal times; `None` if events have no times.
    pub within_times: Option<EqualTimes>,
}

/// Steps between events of equal time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct EqualTimes {
    /// Share of steps without any time between them.
    pub same_instant: f64,
    /// Share of steps within one day, in UTC.
    pub same_day: f64,
    /// Share of the steps of one day to a higher key; a half by chance, and if there are no steps.
    pub ascending: f64,
    /// That share minus a half, in units of its standard error by chance.
    pub ascending_deviations: f64,
}

impl EventOrder {
    /// Whether events are in the order of item keys, upwards or downwards: the share of steps
    /// differs from a half by more than five standard deviations and by at least a tenth. If events
    /// have times, only the steps within a day count.
    #[must_use]
    pub fn follows_keys(&self) -> bool {
        let (share, deviations) = match self.within_times {
            Some(times) => (times.ascending, times.ascending_deviations),
            None => (self.ascending, self.ascending_deviations),
        };
        deviations.abs() > ALARM && (share - 0.5).abs() >= EFFECT
    }

    /// Whether the successors of an item predict the next event better, or worse, than its
    /// predecessors, by more than five standard errors.
    #[must_use]
    pub fn has_direction(&self) -> bool {
        self.direction_deviations.abs() > ALARM
    }
}

/// What it means, in a sentence.
impl fmt::Display for EventOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.steps == 0 {
            return f.write_str("no user has two events in a row");
        }
        let percent = |share: f64| 100.0 * share;
        let (within, share) = match self.within_times {
            Some(times) => {
                write!(
                    f,
                    "{:.1} % of steps are within one day ({:.1} % at one instant); ",
                    percent(times.same_day),
                    percent(times.same_instant)
                )?;
                (" within a day", times.ascending)
            }
            None => ("", self.ascending),
        };
        let Self { forward_hits, backward_hits, .. } = *self;
        match (self.follows_keys(), self.has_direction()) {
            (true, true) => write!(
                f,
                "ORDERED BY KEY: {:.1} % of steps{within} go to a higher item key, and the usual \
                 successor foretells the next event ({:.2} %) unlike the usual predecessor \
                 ({:.2} %): part of what transitions know is the order of the file",
                percent(share),
                percent(forward_hits),
                percent(backward_hits)
            ),
            (true, false) => write!(
                f,
                "ORDERED BY KEY: {:.1} % of steps{within} go to a higher item key, yet successors \
                 foretell no better ({:.2} %) than predecessors ({:.2} %)",
                percent(share),
                percent(forward_hits),
                percent(backward_hits)
            ),
            (false, true) => write!(
                f,
                "the order has a direction (successors foretell {:.2} %, predecessors {:.2} %) that \
                 item keys do not explain",
                percent(forward_hits),
                percent(backward_hits)
            ),
            (false, false) => write!(
                f,
                "no sign of an order by item keys, nor of a direction (successors foretell {:.2} %, \
                 predecessors {:.2} %)",
                percent(forward_hits),
                percent(backward_hits)
            ),
        }
    }
}

/// One step of a user.
#[derive(Clone, Copy)]
struct Step {
    user: usize,
    from: ItemId,
    to: ItemId,
    times: Option<(Timestamp, Timestamp)>,
}

pub(super) fn event_order(dataset: &Dataset) -> EventOrder {
    let steps = steps(dataset);
    let places = key_places(dataset);
    let timed = dataset.has_times();
    let up = |step: &Step| places[step.to.index()] > places[step.from.index()];
    let share =
        |count: usize| if steps.is_empty() { 0.0 } else { count as f64 / steps.len() as f64 };
    let counted = |holds: &dyn Fn(&Step) -> bool| steps.iter().filter(|step| holds(step)).count();
    let (ascending, ascending_deviations) = against_half(counted(&up), steps.len());
    let day = |Timestamp(time): Timestamp| time.div_euclid(DAY);
    let one_day = |step: &Step| step.times.is_some_and(|(a, b)| day(a) == day(b));
    let within_times = timed.then(|| {
        let in_day = counted(&one_day);
        let (ascending, ascending_deviations) =
            against_half(counted(&|step| one_day(step) && up(step)), in_day);
        EqualTimes {
            same_instant: share(counted(&|step| step.times.is_some_and(|(a, b)| a == b))),
            same_day: share(in_day),
            ascending,
            ascending_deviations,
        }
    });
    let forward = hits(&steps, |step| (step.from, step.to));
    let backward = hits(&steps, |step| (step.to, step.from));
    let (forward_hits, backward_hits, direction_deviations) = compared(&forward, &backward);
    let next = |a: ItemId, b: ItemId| places[a.index()] + 1 == places[b.index()];
    EventOrder {
        steps: steps.len(),
        forward_hits,
        backward_hits,
        direction_deviations,
        ascending,
        ascending_deviations,
        to_next_key: share(counted(&|step| next(step.from, step.to))),
        to_previous_key: share(counted(&|step| next(step.to, step.from))),
        within_times,
    }
}

fn steps(dataset: &Dataset) -> Vec<Step> {
    let of_user = |(user, of): (usize, &crate::User)| {
        let pairs: Vec<Step> = (1..of.events.len())
            .map(|at| Step {
                user,
                from: of.events[at - 1],
                to: of.events[at],
                times: of.time(at - 1).zip(of.time(at)),
            })
            .filter(|step| step.from != step.to)
            .collect();
        pairs
    };
    dataset.users().iter().enumerate().flat_map(of_user).collect()
}

/// The place of each item's key among all keys, sorted.
fn key_places(dataset: &Dataset) -> Vec<usize> {
    let number = |key: &str| {
        let digits = !key.is_empty() && key.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| key.parse::<u128>().ok()).flatten()
    };
    let items = dataset.items();
    let mut order: Vec<usize> = (0..items.len()).collect();
    // Numbers first, so that the order is one of all keys.
    let rank = |item: &usize| {
        let key = items[*item].key.as_str();
        (number(key).is_none(), number(key), key)
    };
    order.sort_by(|a, b| rank(a).cmp(&rank(b)));
    let mut places = vec![0; items.len()];
    for (place, item) in order.into_iter().enumerate() {
        places[item] = place;
    }
    places
}

/// A share, and its distance from a half in standard deviations of a fair coin; a half if nothing
/// was counted.
fn against_half(count: usize, of: usize) -> (f64, f64) {
    if of == 0 {
        return (0.5, 0.0);
    }
    let share = count as f64 / of as f64;
    (share, (share - 0.5) * 2.0 * (of as f64).sqrt())
}

/// For each step, whether the item most often seen beside `from` is `to`, where `pair` says which two
/// items of a counted step are the known one and the one beside it.
fn hits(steps: &[Step], pair: impl Fn(&Step) -> (ItemId, ItemId)) -> Vec<f64> {
    let mut counts: BTreeMap<(ItemId, ItemId), usize> = BTreeMap::new();
    for step in steps {
        *counts.entry(pair(step)).or_default() += 1;
    }
    // How many items stand beside an item how often.
    let mut tallies: HashMap<ItemId, Vec<(usize, usize)>> = HashMap::new();
    let known = |pair: &((ItemId, ItemId), usize)| pair.0.0;
    let sorted: Vec<((ItemId, ItemId), usize)> =
        counts.iter().map(|(pair, count)| (*pair, *count)).collect();
    for of_item in sorted.chunk_by(|a, b| known(a) == known(b)) {
        let mut often: Vec<usize> = of_item.iter().map(|(_, count)| *count).collect();
        often.sort_unstable_by(|a, b| b.cmp(a)); // most often first
        let tally = often.chunk_by(|a, b| a == b).map(|alike| (alike[0], alike.len()));
        tallies.insert(known(&of_item[0]), tally.collect());
    }
    // What a user's own steps add to the count of a pair.
    let mut own: HashMap<(usize, ItemId, ItemId), usize> = HashMap::new();
    for step in steps {
        let (known, beside) = pair(step);
        *own.entry((step.user, known, beside)).or_default() += 1;
    }
    let hit = |step: &Step| {
        // A pair that was never counted was seen no time.
        let count = counts.get(&(step.from, step.to)).copied().unwrap_or(0);
        let own = own.get(&(step.user, step.from, step.to)).copied().unwrap_or(0);
        let left = count - own;
        if left == 0 {
            return 0.0;
        }
        // The best of the others: the tally without the pair itself.
        let tally = tallies.get(&step.from).map(Vec::as_slice).unwrap_or_default();
        let others =
            tally.iter().map(|(times, items)| (*times, items - usize::from(*times == count)));
        match others.into_iter().find(|(_, items)| *items > 0) {
            Some((times, _)) if times > left => 0.0,
            Some((times, items)) if times == left => ((1 + items) as f64).recip(),
            _ => 1.0,
        }
    };
    steps.iter().map(hit).collect()
}

/// Both means, and their difference in units of its standard error over steps.
fn compared(forward: &[f64], backward: &[f64]) -> (f64, f64, f64) {
    if forward.is_empty() {
        return (0.0, 0.0, 0.0);
    }
    let count = forward.len() as f64;
    let mean = |values: &[f64]| values.iter().sum::<f64>() / count;
    let gaps: Vec<f64> = forward.iter().zip(backward).map(|(f, b)| f - b).collect();
    let gap = mean(&gaps);
    let squares: f64 = gaps.iter().map(|x| (x - gap).powi(2)).sum();
    let error = (squares / count / count).sqrt();
    (mean(forward), mean(backward), if error > 0.0 { gap / error } else { 0.0 })
}

#[cfg(test)]
mod tests {
    use rand::seq::SliceRandom as _;
    use rand::{Rng as _, SeedableRng as _};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::{Item, User};

    /// Users who buy a few neighbours of a random place of a shelf at once, every few days.
    ///
    /// Keys are shuffled, so that they say nothing of the shelf. `order` puts the items of one day in
    /// their order.
    fn shop(with_times: bool, order: impl Fn(&mut Vec<(u32, ItemId)>, &mut ChaCha8Rng)) -> Dataset {
        let mut rng = ChaCha8Rng::seed_from_u64(9);
        let mut keys: Vec<u32> = (0..60).collect();
        keys.shuffle(&mut rng);
        let items = keys.iter().map(|key| Item::new(format!("B{key:03}"), "")).collect();
        let users = (0..400).map(|user| {
            let (mut events, mut times) = (Vec::new(), Vec::new());
            for visit in 0..3i64 {
                let place: u32 = rng.gen_range(0..12) * 5;
                let mut basket: Vec<(u32, ItemId)> =
                    (place..place + 5).map(|item| (keys[item as usize], ItemId(item))).collect();
                basket.shuffle(&mut rng);
                basket.truncate(3);
                order(&mut basket, &mut rng);
                for (_, item) in basket {
                    events.push(item);
                    times.push(Timestamp(visit * 7 * DAY + 1000));
                }
            }
            let user = User::new(user.to_string(), events);
            if with_times { user.with_times(times) } else { user }
        });
        let users = users.collect();
        Dataset::new(items, users).unwrap()
    }

    #[test]
    fn a_file_sorted_by_key_within_the_day_is_found_out() {
        for timed in [true, false] {
            let order = event_order(&shop(timed, |basket, _| basket.sort_unstable()));
            assert!(order.follows_keys() && order.has_direction(), "{order:?}");
            assert!(order.forward_hits > 1.2 * order.backward_hits, "{order:?}");
            assert!(order.to_string().contains("ORDERED BY KEY"), "{order}");
            match order.within_times {
                Some(times) => {
                    assert!(timed && (times.ascending - 1.0).abs() < 1e-12);
                    // Two of three baskets' steps are within: 6 of 8 steps.
                    assert!((times.same_day - 0.75).abs() < 0.01, "{times:?}");
                    assert!((times.same_instant - times.same_day).abs() < 1e-12);
                }
                None => assert!(!timed),
            }
        }
        let falling = event_order(&shop(true, |basket, _| {
            basket.sort_unstable_by(|a, b| b.cmp(a));
        }));
        assert!(falling.follows_keys() && falling.has_direction(), "{falling:?}");
    }

    #[test]
    fn baskets_in_no_order_are_left_alone() {
        for timed in [true, false] {
            let order = event_order(&shop(timed, |basket, rng| basket.shuffle(rng)));
            assert!(!order.follows_keys() && !order.has_direction(), "{order:?}");
            assert!(order.forward_hits > 0.1 && order.backward_hits > 0.1, "{order:?}");
            assert!(order.to_string().contains("no sign of an order by item keys"), "{order}");
        }
    }

    #[test]
    fn an_order_of_the_users_own_is_told_from_one_of_keys() {
        // Within a basket everybody goes along the shelf.
        let order = event_order(&shop(true, |basket, _| basket.sort_by_key(|(_, item)| *item)));
        assert!(!order.follows_keys() && order.has_direction(), "{order:?}");
        assert!(order.to_string().contains("that item keys do not explain"), "{order}");
    }

    /// Both hit rates by their definition: all others' steps are counted anew for each step.
    fn plain(steps: &[Step], backward: bool) -> f64 {
        let of = |step: &Step| if backward { (step.to, step.from) } else { (step.from, step.to) };
        let mut sum = 0.0;
        for step in steps {
            let mut counts: HashMap<ItemId, usize> = HashMap::new();
            for other in steps {
                let (known, beside) = of(other);
                let own = other.user == step.user && beside == step.to;
                if known == step.from && !own {
                    *counts.entry(beside).or_default() += 1;
                }
            }
            // Where nothing is left, nothing was seen.
            let best = counts.values().max().copied().unwrap_or(0);
            if best > 0 && counts.get(&step.to) == Some(&best) {
                sum += (counts.values().filter(|count| **count == best).count() as f64).recip();
            }
        }
        sum / steps.len() as f64
    }

    #[test]
    fn hit_rates_are_those_of_counting_anew_for_each_step() {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let items: Vec<Item> = (0..7).map(|i| Item::new(i.to_string(), "")).collect();
        for _ in 0..20 {
            let users = (0..9)
                .map(|u| {
                    let events = (0..rng.gen_range(0..7)).map(|_| ItemId(rng.gen_range(0..7)));
                    User::new(u.to_string(), events.collect())
                })
                .collect();
            let dataset = Dataset::new(items.clone(), users).unwrap();
            let (order, steps) = (event_order(&dataset), steps(&dataset));
            assert_eq!(order.steps, steps.len());
            assert!((order.forward_hits - plain(&steps, false)).abs() < 1e-12);
            assert!((order.backward_hits - plain(&steps, true)).abs() < 1e-12);
        }
    }

    #[test]
    fn numbers_are_compared_as_numbers_and_repeats_are_no_steps() {
        let items = ["9", "10", "100", "b"].map(|key| Item::new(key, "")).to_vec();
        let users = vec![User::new("u", [0, 1, 1, 2, 3, 2].map(ItemId).to_vec())];
        let order = event_order(&Dataset::new(items, users).unwrap());
        assert_eq!(order.steps, 4);
        assert!((order.ascending - 0.75).abs() < 1e-12);
        assert!((order.to_next_key - 0.75).abs() < 1e-12);
        assert!((order.to_previous_key - 0.25).abs() < 1e-12);
        assert_eq!(order.within_times, None);
        let none = vec![User::new("u", vec![ItemId(0)])];
        let order = event_order(&Dataset::new(vec![Item::new("a", "")], none).unwrap());
        assert_eq!(order.to_string(), "no user has two events in a row");
        assert!(!order.follows_keys() && !order.has_direction());
    }
}
