//! Two shops as domains of one run: stages that learn from one of them, and the test by domain.

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use sidereal::data::{Dataset, Item, ItemId, SampleId, User};
use sidereal::lab::{Recipe, RunResult};
use sidereal::metrics::{Candidates, Metric};
use sidereal::train::{Ranking, Record};

use crate::pipeline::run;
use crate::shop::{self, Kill};

/// Every stage but `both`: none of them learns what anybody chose among the hats.
const OF_THE_HOUSE: [&str; 7] =
    ["alignment", "sft", "singer", "without-sft", "popular", "beams", "mixed"];

/// 24 hats of 4 kinds in 6 sizes; a user walks through the sizes of one kind, up or down.
fn hats(up: bool) -> Dataset {
    let kinds = ["straw hat", "bowler hat", "sun hat", "flat cap"];
    let sizes = ["tiny", "small", "middling", "large", "huge", "giant"];
    let titles = kinds.iter().flat_map(|kind| sizes.map(|size| format!("{size} {kind}")));
    let items = titles.map(|title| Item::new(title.replace(' ', "-"), title)).collect();
    let users = (0..30u32).map(|user| {
        let walk = (0..5).map(|step| (user / 4 + if up { step } else { 5 - step }) % 6);
        User::new(format!("u{user}"), walk.map(|size| ItemId(user % 4 * 6 + size)).collect())
    });
    Dataset::new(items, users.collect()).unwrap()
}

/// The shop of the other tests beside a shop of hats.
fn both(dir: &Path, up: bool) -> Dataset {
    Dataset::union([("house", shop::dataset(dir)), ("hats", hats(up))], 1).unwrap()
}

fn weights(out: &Path, stage: &str) -> Vec<u8> {
    fs::read(out.join(stage).join("model.safetensors")).unwrap()
}

#[test]
fn a_stage_learns_only_from_its_domains_and_is_tested_on_all() {
    let dir = tempfile::tempdir().unwrap();
    let recipe = shop::recipe_in("domains.toml");
    let [up, down] = [true, false].map(|up| both(dir.path(), up));
    let [out, other] = ["up", "down"].map(|name| dir.path().join(name));
    let mut aligned = 0;
    let mut watch = |record: &Record| aligned += usize::from(record.stage == "mixed");
    let outcome = run(&recipe, &up, &out, &mut watch).unwrap();
    run(&recipe, &down, &other, &mut |_: &Record| {}).unwrap();

    // What is chosen among the hats changes nothing where hats are not learned about.
    for stage in OF_THE_HOUSE {
        assert!(weights(&out, stage) == weights(&other, stage), "{stage} saw hats");
    }
    assert!(weights(&out, "both") != weights(&other, "both"));
    // 60 histories and 40 titles of the house by 16; with the titles of hats it would be 8 steps.
    assert_eq!(aligned, 7);
    let made_for = fs::read_to_string(out.join("sft/sidereal.json")).unwrap();
    assert!(made_for.contains(&up.domains().unwrap().hash()));

    by_domain(&outcome);
    within_domains(&up, &out);

    // Killed, the run ends with the same files.
    let broken = dir.path().join("broken");
    for (stage, step) in [("alignment", 4), ("sft", 3), ("without-sft", 3), ("beams", 2)] {
        let mut kill = Kill { stage, step };
        let killed = catch_unwind(AssertUnwindSafe(|| run(&recipe, &up, &broken, &mut kill)));
        assert!(killed.is_err());
    }
    run(&recipe, &up, &broken, &mut |_: &Record| {}).unwrap();
    for stage in OF_THE_HOUSE.iter().chain(&["both"]) {
        assert!(weights(&broken, stage) == weights(&out, stage), "{stage} differs");
    }
    let read = |out: &Path| fs::read(out.join("domains.json")).unwrap();
    assert!(read(&broken) == read(&out));
}

/// Users and hits of the domains are those of the whole, and every comparison is made in each.
fn by_domain(outcome: &RunResult) {
    let names: Vec<&str> = outcome.domains.iter().map(|part| part.domain.as_str()).collect();
    assert_eq!(names, ["house", "hats"]);
    let hit: Metric = "HR@10".parse().unwrap();
    let whole = outcome.report.groups();
    let kept = whole.iter().find(|group| group.iter().any(|row| row.system == "both")).unwrap();
    for row in kept {
        let of_domain = outcome.domains.iter().map(|part| {
            let rows = part.report.rows().iter();
            let found: Vec<_> = rows.filter(|part| part.system == row.system).collect();
            assert_eq!(found.len(), 1, "{}", row.system);
            assert!(found[0].protocol.num_users > 0);
            found[0]
        });
        let of_domain: Vec<_> = of_domain.collect();
        let users: usize = of_domain.iter().map(|row| row.protocol.num_users).sum();
        assert_eq!(users, row.protocol.num_users);
        let hits = |row: &sidereal::metrics::Row| {
            row.get(hit).unwrap().value * row.protocol.num_users as f64
        };
        let of_parts: f64 = of_domain.iter().map(|row| hits(row)).sum();
        assert!((of_parts - hits(row)).abs() < 1e-6, "{}", row.system);
        assert!(of_domain.iter().all(|row| row.get(hit).unwrap().interval.is_some()));
    }
    let systems: Vec<&str> = kept.iter().map(|row| row.system.as_str()).collect();
    assert!(
        ["popularity", "item transitions", "alignment", "both"]
            .iter()
            .all(|name| systems.contains(name))
    );
    for (part, num_items) in outcome.domains.iter().zip([40, 24]) {
        let text = part.to_string();
        for pair in [
            "sft − alignment: HR@10",
            "both − item transitions: NDCG@10",
            "sft, in the domain − alignment, in the domain: HR@10",
            "both, in the domain − item transitions, in the domain: NDCG@10",
        ] {
            assert!(text.contains(pair), "{text}");
        }
        let rows: Vec<_> = part.report.rows().iter().collect();
        let within = |name: &str| {
            let name = format!("{name}, in the domain");
            *rows.iter().find(|row| row.system == name).unwrap()
        };
        for system in ["popularity", "item transitions", "alignment", "beams", "both"] {
            assert_eq!(within(system).protocol.candidates, Candidates::Domain(num_items));
        }
        // Popularity knows the domain in either case.
        let popular = rows.iter().find(|row| row.system == "popularity").unwrap();
        assert_eq!(popular.values, within("popularity").values);
    }
    let page = outcome.page("two shops").render().unwrap();
    assert!(page.contains("users of hats: ") && page.contains("users of house: "));
}

/// Every user's items of the test within domains are of the user's domain, and as many as beams.
fn within_domains(dataset: &Dataset, out: &Path) {
    let domains = dataset.domains().unwrap();
    for stage in OF_THE_HOUSE {
        let path = out.join("rankings").join(format!("{stage}.domain.json"));
        let rankings: Vec<Ranking> = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        assert_eq!(rankings.len(), 90);
        for ranking in rankings {
            let SampleId::Event { user, .. } = ranking.id else { unreachable!() };
            let domain = domains.of_user(user);
            assert_eq!(domains.of_item(ranking.target), domain);
            let found: BTreeSet<ItemId> = ranking.found.iter().flatten().copied().collect();
            assert_eq!(found.len(), 10);
            assert!(found.iter().all(|item| domains.of_item(*item) == domain));
        }
    }
}

#[test]
fn unknown_domains_are_errors_that_name_them() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let refusal = |recipe: &Recipe, dataset: &Dataset| {
        let error = run(recipe, dataset, &out, &mut |_: &Record| {}).unwrap_err();
        assert!(!out.exists(), "something was written");
        error.to_string()
    };
    let mut recipe = shop::recipe_in("domains.toml");
    let error = refusal(&recipe, &shop::dataset(dir.path()));
    assert!(error.contains("`stage.sft.domains` is house"), "{error}");
    recipe.stages[2].domains = Some(vec!["hats".to_owned(), "garden".to_owned()]);
    let error = refusal(&recipe, &both(dir.path(), true));
    assert!(error.contains("`singer`") && error.contains("`garden`"), "{error}");
    assert!(error.contains("house, hats"), "{error}");
    for (names, found) in [(vec![], "is ``"), (vec!["hats", "hats"], "is `hats, hats`")] {
        recipe.stages[2].domains = Some(names.into_iter().map(str::to_owned).collect());
        let error = refusal(&recipe, &both(dir.path(), true));
        assert!(error.contains("`stage.singer.domains`") && error.contains(found), "{error}");
    }
}

#[test]
fn a_domain_without_samples_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let mut recipe = shop::recipe_in("domains.toml");
    recipe.stages.truncate(2);
    // Two events each: by leave-one-out they train and validate nobody.
    let short = hats(true);
    let users = short.users().iter();
    let users = users.map(|user| User::new(user.key.clone(), user.events[..2].to_vec())).collect();
    let hats = Dataset::new(short.items().to_vec(), users).unwrap();
    let data = Dataset::union([("house", shop::dataset(dir.path())), ("hats", hats)], 1).unwrap();
    let out = dir.path().join("run");
    let outcome = run(&recipe, &data, &out, &mut |_: &Record| {}).unwrap();
    // Nobody to test either: no table of that domain.
    assert_eq!(outcome.domains.len(), 1);
    recipe.stages[1].domains = Some(vec!["hats".to_owned()]);
    let error = run(&recipe, &data, &dir.path().join("hats"), &mut |_: &Record| {}).unwrap_err();
    assert_eq!(error.to_string(), "stage `sft`: hats has no validation samples");
}
