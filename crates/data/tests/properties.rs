//! Laws of readers and splits.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's panic is its report")]

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use proptest::collection::vec;
use proptest::prelude::*;
use sidereal_data::filter::{Dropped, KCore, k_core};
use sidereal_data::read::amazon::{Release, read_metadata, read_reviews};
use sidereal_data::read::recbole::{ReadOptions, read};
use sidereal_data::read::{OnPlaceholder, RowPolicy, lcrec, literal, minionerec, tabular};
use sidereal_data::{
    Assembly, Dataset, HeldOut, Interaction, Interactions, ItemId, Keys, Sample, SampleId, Shares,
    Split, Ties, Timestamp, TrainSet, global_time, leave_one_out, strategies, user_split, write,
};

fn files(dir: &tempfile::TempDir) -> (PathBuf, PathBuf) {
    (dir.path().join("x.inter"), dir.path().join("x.item"))
}

/// That every sample is an event of the dataset with all that precedes it, each at most once.
fn check_samples(
    dataset: &Dataset,
    sets: &[Vec<Sample<'_>>; 3],
    max_history: usize,
) -> Result<(), TestCaseError> {
    let mut ids = HashSet::new();
    for sample in sets.iter().flatten() {
        let SampleId::Event { user, position } = sample.id else { panic!("not an event") };
        let record = dataset.user(user).unwrap();
        prop_assert_eq!(sample.target, record.events[position as usize]);
        prop_assert_eq!(sample.time, record.time(position as usize));
        prop_assert_eq!(sample.seen, &record.events[..position as usize]);
        prop_assert!(sample.seen.ends_with(sample.history));
        prop_assert_eq!(sample.history.len(), sample.seen.len().min(max_history));
        prop_assert!(ids.insert(sample.id));
    }
    Ok(())
}

proptest! {
    #[test]
    fn a_split_is_a_partition_without_the_future(
        dataset in strategies::dataset(9, 6), max_history in 1usize..6,
    ) {
        let Ok(split) = leave_one_out(&dataset, NonZeroUsize::new(max_history).unwrap()) else {
            prop_assert!(dataset.users().iter().all(|user| user.events.len() < 3));
            return Ok(());
        };
        // Every event is in exactly one place: a training event, a validation or a test target.
        let mut places = HashSet::new();
        for sequence in split.train.sequences() {
            for position in 0..sequence.events.len() {
                prop_assert!(places.insert((sequence.user, position)));
            }
        }
        for sample in split.valid.samples().chain(split.test.samples()) {
            prop_assert!(places.insert((sample.user, sample.seen.len())));
        }
        prop_assert_eq!(places.len(), dataset.num_interactions());

        let samples = split.train.samples().chain(split.valid.samples()).chain(split.test.samples());
        let mut ids = HashSet::new();
        for sample in samples {
            let SampleId::Event { user, position } = sample.id else { panic!("not an event") };
            let events = &dataset.user(user).unwrap().events;
            prop_assert_eq!(sample.target, events[position as usize]);
            prop_assert_eq!(sample.seen, &events[..position as usize]);
            prop_assert!(sample.seen.ends_with(sample.history));
            prop_assert_eq!(sample.history.len(), sample.seen.len().min(max_history));
            prop_assert!(ids.insert(sample.id));
        }
    }

    #[test]
    fn a_split_by_time_is_a_partition_and_nothing_shown_is_later(
        dataset in strategies::timed_dataset(9, 6), max_history in 1usize..6, parts in [1u32..9, 0..3, 0..3],
    ) {
        let shares = Shares { train: parts[0], valid: parts[1], test: parts[2] };
        let window = NonZeroUsize::new(max_history).unwrap();
        let Ok(split) = global_time(&dataset, shares, window) else { return Ok(()) };
        let total: usize = dataset.users().iter().map(|u| u.events.len().saturating_sub(1)).sum();
        let sets: [Vec<Sample>; 3] = [
            split.train.samples().collect(), split.valid.samples().collect(), split.test.samples().collect(),
        ];
        let (first, second) = shares.cut(total);
        prop_assert_eq!(sets.each_ref().map(Vec::len), [first, second - first, total - second]);
        check_samples(&dataset, &sets, max_history)?;
        // Earlier sets are not later: the last of one is no later than the first of the next.
        for (earlier, later) in [(0, 1), (1, 2), (0, 2)] {
            let last = sets[earlier].iter().map(|s| s.time).max();
            let first = sets[later].iter().map(|s| s.time).min();
            if let (Some(last), Some(first)) = (last, first) {
                prop_assert!(last <= first);
            }
        }
        // Nothing that trains happens after anything that is held out.
        for sequence in split.train.sequences() {
            prop_assert!(sequence.events.len() > 1);
        }
    }

    #[test]
    fn a_split_by_users_shares_no_user(
        dataset in strategies::dataset(9, 12), max_history in 1usize..6, seed: u64,
    ) {
        let shares = Shares { train: 2, valid: 1, test: 1 };
        let window = NonZeroUsize::new(max_history).unwrap();
        let Ok(split) = user_split(&dataset, shares, seed, window) else { return Ok(()) };
        let sets: [Vec<Sample>; 3] = [
            split.train.samples().collect(), split.valid.samples().collect(), split.test.samples().collect(),
        ];
        let total: usize = dataset.users().iter().map(|u| u.events.len().saturating_sub(1)).sum();
        prop_assert_eq!(sets.iter().map(Vec::len).sum::<usize>(), total);
        check_samples(&dataset, &sets, max_history)?;
        let users = |set: &[Sample]| set.iter().map(|s| s.user).collect::<HashSet<_>>();
        for (a, b) in [(0, 1), (1, 2), (0, 2)] {
            prop_assert!(users(&sets[a]).is_disjoint(&users(&sets[b])));
        }
        for sequence in split.train.sequences() {
            prop_assert!(!users(&sets[1]).contains(&sequence.user));
            prop_assert!(!users(&sets[2]).contains(&sequence.user));
        }
        for (index, sample) in sets[1].iter().enumerate() {
            prop_assert_eq!(split.valid.sample(index), Some(*sample));
        }
    }

    #[test]
    fn a_union_holds_the_events_of_each_domain_and_no_others(
        timed in [strategies::timed_dataset(9, 6), strategies::timed_dataset(3, 3)],
        untimed in strategies::dataset(5, 4), seed: u64,
    ) {
        let parts = [timed[0].clone(), untimed, timed[1].clone()];
        let names = ["a", "b", "c"];
        let both = Dataset::union(names.into_iter().zip(parts.clone()), seed).unwrap();
        let domains = both.domains().unwrap();
        let mut users = both.users_by_id();
        for (name, part) in names.iter().zip(&parts) {
            let domain = domains.find(name);
            prop_assert_eq!(domains.items(domain.unwrap()).count(), part.num_items());
            for user in part.users() {
                let (id, found) = users.next().unwrap();
                prop_assert_eq!(&found.key, &format!("{name}/{}", user.key));
                prop_assert_eq!(&found.times, &user.times);
                prop_assert_eq!(domains.of_user(id), domain);
                prop_assert_eq!(found.events.len(), user.events.len());
                for (now, then) in found.events.iter().zip(&user.events) {
                    prop_assert_eq!(domains.of_item(*now), domain);
                    let (now, then) = (both.item(*now).unwrap(), part.item(*then).unwrap());
                    prop_assert_eq!(&now.key, &format!("{name}/{}", then.key));
                    prop_assert_eq!((&now.title, &now.categories), (&then.title, &then.categories));
                }
            }
        }
        prop_assert_eq!(users.next(), None);
        prop_assert_eq!(both.num_items(), parts.iter().map(Dataset::num_items).sum::<usize>());
        let again = Dataset::union(names.into_iter().zip(parts), seed).unwrap();
        prop_assert_eq!(again.hash(), both.hash());
    }

    #[test]
    fn a_union_is_split_as_its_domains_are(
        parts in [strategies::timed_dataset(9, 6), strategies::timed_dataset(5, 4)],
        max_history in 1usize..6, seed: u64,
    ) {
        let window = NonZeroUsize::new(max_history).unwrap();
        let names = ["a", "b"];
        let both = Dataset::union(names.into_iter().zip(parts.clone()), seed).unwrap();
        let Ok(of_both) = leave_one_out(&both, window) else { return Ok(()) };
        // What a sample shows, by keys: users and items are numbered anew.
        let words = |dataset: &Dataset, sample: &Sample<'_>, name: &str| {
            let item = |item: &ItemId| format!("{name}{}", dataset.item(*item).unwrap().key);
            let user = format!("{name}{}", dataset.user(sample.user).unwrap().key);
            let history: Vec<String> = sample.history.iter().map(item).collect();
            (user, history, sample.seen.len(), item(&sample.target), sample.time)
        };
        for (name, part) in names.iter().zip(&parts) {
            let domain = both.domains().unwrap().find(name);
            let own = of_both.of_users(|user| both.domains().unwrap().of_user(user) == domain);
            let Ok(alone) = leave_one_out(part, window) else {
                prop_assert_eq!(own.test.num_samples(), 0);
                continue;
            };
            let prefix = format!("{name}/");
            let sets = |split: &'_ Split, dataset: &Dataset, prefix: &str| -> [Vec<_>; 3] {
                let say = |sample| words(dataset, &sample, prefix);
                [
                    split.train.samples().map(say).collect(),
                    split.valid.samples().map(say).collect(),
                    split.test.samples().map(say).collect(),
                ]
            };
            prop_assert_eq!(sets(&own, &both, ""), sets(&alone, part, &prefix));
            prop_assert_eq!(own.train.num_sequences(), alone.train.num_sequences());
            for (index, sample) in own.train.samples().enumerate() {
                prop_assert_eq!(own.train.sample(index), Some(sample));
            }
        }
        // The parts are all there is.
        let num = |split: &Split| [
            split.train.num_samples(), split.valid.num_samples(), split.test.num_samples(),
        ];
        let nobody = of_both.of_users(|_| false);
        prop_assert_eq!(num(&nobody), [0; 3]);
        let everybody = of_both.of_users(|_| true);
        prop_assert_eq!(everybody.hash(), of_both.hash());
    }

    #[test]
    fn a_core_is_a_fixpoint_whatever_the_order(
        rows in vec((0u8..8, 0u8..8), 0..60), user in 0u32..5, item in 0u32..5, turn in 0usize..60,
    ) {
        let k = KCore { user, item };
        let core = |rows: &[(u8, u8)]| {
            let mut all = Interactions::default();
            for (user, item) in rows {
                all.push(&user.to_string(), &item.to_string(), Timestamp(0)).unwrap();
            }
            let before = all.len();
            let dropped = k_core(&mut all, k);
            assert_eq!(dropped.interactions, before - all.len());
            all
        };
        let names = |all: &Interactions| {
            let name = |row: &Interaction| {
                let (user, item) = (all.users().name(row.user), all.items().name(row.item));
                (user.unwrap().to_owned(), item.unwrap().to_owned())
            };
            let mut names: Vec<_> = all.rows().iter().map(name).collect();
            names.sort();
            names
        };
        let mut kept = core(&rows);
        let found = names(&kept);
        // Everybody has enough,
        for (user, item) in &found {
            prop_assert!(found.iter().filter(|row| row.0 == *user).count() >= k.user as usize);
            prop_assert!(found.iter().filter(|row| row.1 == *item).count() >= k.item as usize);
        }
        // nothing more goes,
        prop_assert_eq!(k_core(&mut kept, k), Dropped::default());
        // the order of rows does not matter,
        let mut turned = rows.clone();
        turned.rotate_left(turn.min(rows.len()));
        turned.reverse();
        prop_assert_eq!(&names(&core(&turned)), &found);
        // and it is the rounds of the definition, all at once.
        let mut plain = rows.clone();
        loop {
            let enough = |row: &(u8, u8)| {
                plain.iter().filter(|other| other.0 == row.0).count() >= k.user as usize
                    && plain.iter().filter(|other| other.1 == row.1).count() >= k.item as usize
            };
            let next: Vec<_> = plain.iter().copied().filter(enough).collect();
            if next.len() == plain.len() { break }
            plain = next;
        }
        prop_assert_eq!(plain.len(), found.len());
    }

    #[test]
    fn readers_of_lines_never_panic(
        bytes in vec(any::<u8>(), 0..300), text in "([{]?['\"]?(asin|title|reviewerID|unixReviewTime)?['\"]?[:,\\[ ]?[0-9.e+-]{0,3}[}\\]]?\n?){0,12}",
    ) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        let mut wanted = Keys::default();
        wanted.insert("");
        for contents in [bytes.as_slice(), text.as_bytes()] {
            std::fs::write(&path, contents).unwrap();
            for release in [Release::Y2014, Release::Y2018, Release::Y2023] {
                for policy in [RowPolicy::strict(), RowPolicy::lenient()] {
                    let _ = read_reviews(&path, release, &policy);
                    let _ = read_metadata(&path, release, &wanted, &policy);
                }
            }
            let files = minionerec::Files {
                items: &path, index: &path, train: Some(&path), valid: &path, test: &path,
            };
            let _ = minionerec::read(&files, 1, NonZeroUsize::MIN, None, &RowPolicy::lenient());
            let files = lcrec::Files { interactions: &path, items: Some(&path), index: Some(&path) };
            let _ = lcrec::read(&files, 1, NonZeroUsize::MIN, &RowPolicy::lenient());
        }
        let _ = literal::parse(&text);
    }

    #[test]
    fn a_written_dataset_reads_back_by_key(
        dataset in prop_oneof![strategies::dataset(9, 6), strategies::timed_dataset(9, 6)]
            .prop_filter("histories", |d| d.users().iter().all(|user| user.events.len() > 1)),
        seed: u64,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let (inter, item) = files(&dir);
        write::recbole::write(&dataset, &inter, &item).unwrap();
        // Times may be equal, and are then written in order.
        // A title drawn by chance may be `nan`.
        let options = ReadOptions::new(seed)
            .with_ties(Ties::FileOrder)
            .with_placeholders(OnPlaceholder::Keep);
        let back = read(&inter, &item, &options).unwrap().dataset;
        prop_assert_eq!(back.num_users(), dataset.num_users());
        let mut items = back.items().to_vec();
        items.sort_by(|a, b| a.key.cmp(&b.key));
        prop_assert_eq!(&items, dataset.items());
        for (ours, theirs) in dataset.users().iter().zip(back.users()) {
            prop_assert_eq!(&ours.key, &theirs.key);
            let ours: Vec<_> = ours.events.iter().map(|i| dataset.item(*i)).collect();
            let theirs: Vec<_> = theirs.events.iter().map(|i| back.item(*i)).collect();
            prop_assert_eq!(ours, theirs);
        }
        if dataset.has_times() {
            let times = |dataset: &Dataset| -> Vec<_> {
                dataset.users().iter().map(|user| user.times.clone()).collect()
            };
            prop_assert_eq!(times(&dataset), times(&back));
        }
    }

    #[test]
    fn readers_never_panic(inter in vec(any::<u8>(), 0..200), item in vec(any::<u8>(), 0..200)) {
        let dir = tempfile::tempdir().unwrap();
        let (inter_path, item_path) = files(&dir);
        std::fs::write(&inter_path, inter).unwrap();
        std::fs::write(&item_path, item).unwrap();
        prop_assert!(read(&inter_path, &item_path, &ReadOptions::new(1)).is_err());
    }

    #[test]
    fn readers_never_panic_on_what_is_nearly_right(
        inter in "user_id:token\titem_id:token\ttimestamp:float\n([uv]\t[ab]\t[0-9.e-]{1,3}[\n\r\t]){0,6}\\PC{0,4}",
        item in "item_id:token\ttitle:token_seq\n([ab]\t[x \"]{0,3}[\n\r\t]){0,4}\\PC{0,4}",
    ) {
        let dir = tempfile::tempdir().unwrap();
        let (inter_path, item_path) = files(&dir);
        std::fs::write(&inter_path, inter).unwrap();
        std::fs::write(&item_path, item).unwrap();
        if let Ok(loaded) = read(&inter_path, &item_path, &ReadOptions::new(1)) {
            prop_assert!(loaded.dataset.users().iter().all(|user| user.events.len() >= 2));
        }
    }

    #[test]
    fn tables_that_are_nearly_right_never_panic(
        rows in "(u,i,t|\\{)\n([uv\"]{0,2}[,;\t][ab\"]{0,2}[,][0-9TZ:.e-]{0,5}[\n\r]){0,6}\\PC{0,4}",
        lines in "(\\{\"(u|i|t)\":[0-9\"a]{0,3},\"(u|i|t)\":[0-9]{0,9}[}\\]]\n){0,4}",
        items in "i,c\n([ab],\"?[\\[(']?[x,|> '\"]{0,6}[\\])]?\"?\n){0,4}",
    ) {
        let dir = tempfile::tempdir().unwrap();
        let (table, item) = files(&dir);
        std::fs::write(&item, items).unwrap();
        let items = tabular::ItemColumns::new("i").with_categories("c");
        let columns = tabular::Columns::new("u", "i").with_items(items);
        for text in [rows, lines] {
            std::fs::write(&table, text).unwrap();
            for columns in [columns.clone(), columns.clone().with_time("t")] {
                for items in [None, Some(item.as_path())] {
                    let files = tabular::Files { interactions: &table, items };
                    for policy in [RowPolicy::strict(), RowPolicy::lenient()] {
                        let _ = tabular::read(&files, &columns, &Assembly::new(1), &policy);
                    }
                }
            }
        }
    }

    #[test]
    fn the_latest_training_events_and_the_others_share_no_sample(
        dataset in prop_oneof![strategies::dataset(9, 6), strategies::timed_dataset(9, 6)],
        max_history in 1usize..6,
    ) {
        let Ok(split) = leave_one_out(&dataset, NonZeroUsize::new(max_history).unwrap()) else {
            return Ok(()); // nobody has three events
        };
        let ids = |set: &TrainSet| set.samples().map(|sample| sample.id).collect::<Vec<_>>();
        let (earlier, latest) = (split.train.without_latest(), split.train.latest());
        // The sequences lose their last event, and nothing else.
        let cut = split.train.sequences().filter(|sequence| sequence.events.len() > 1);
        let cut: Vec<_> = cut.map(|s| (s.user, &s.events[..s.events.len() - 1])).collect();
        let found: Vec<_> = earlier.sequences().map(|s| (s.user, s.events)).collect();
        prop_assert_eq!(found, cut);
        // Each user with a sample has one latest sample: the one that the others lack.
        let mut joined = [ids(&earlier), ids(&latest)].concat();
        joined.sort_unstable();
        let mut all = ids(&split.train);
        all.sort_unstable();
        prop_assert_eq!(joined, all);
        for sample in latest.samples() {
            prop_assert!(split.train.samples().any(|own| own == sample));
        }
        // The pairs are the ends of these samples.
        let pairs: Vec<_> = split.train.latest_pairs().collect();
        let ends = latest.samples().filter_map(|s| Some((*s.history.last()?, s.target)));
        prop_assert_eq!(pairs, ends.collect::<Vec<_>>());
    }

    #[test]
    fn sample_ids_read_back(user: u32, position: u32, item: u32) {
        use sidereal_data::{ItemId, UserId};
        let event = SampleId::Event { user: UserId(user), position };
        for id in [event, SampleId::Item(ItemId(item)), SampleId::Chat(item)] {
            prop_assert_eq!(id.to_string().parse::<SampleId>().unwrap(), id);
        }
    }
}
