//! Every way to make Semantic IDs that a recipe can ask for.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use sidereal::data::{Dataset, Item, ItemId, User};
use sidereal::lab::{ItemField, Recipe, RunResult, SidConfig, TeacherConfig, Training};
use sidereal::quantizer::{JudgedCodes, Prediction};
use sidereal::sid::Catalog;
use sidereal::train::Record;
use tempfile::TempDir;

use crate::pipeline::run;
use crate::shop;

/// The shop's recipe with these Semantic IDs, cut down to one stage of one epoch.
fn recipe(sids: &str) -> Recipe {
    let mut recipe = shop::recipe();
    recipe.stages.truncate(1);
    recipe.evaluate.compare_with.clear();
    let Training::Sft(config) = &mut recipe.stages[0].training else { unreachable!() };
    config.epochs = 1;
    recipe.sids = Some(toml::from_str::<SidConfig>(sids).unwrap());
    recipe
}

fn start(recipe: &Recipe, dataset: &Dataset, out: &Path) -> RunResult {
    run(recipe, dataset, out, &mut |_: &Record| {}).unwrap()
}

fn catalog(out: &Path) -> Catalog {
    Catalog::load(&out.join("catalog.json")).unwrap()
}

const SMALL: &str = "hidden = [24]\nlatent = 8\nbatch_size = 16\nsteps = 60\nevaluate_every = 20\n";

#[test]
fn each_method_makes_semantic_ids_and_a_second_start_keeps_them() {
    let dir = TempDir::new().unwrap();
    let dataset = shop::dataset(dir.path());
    for (method, model) in [
        ("rq-vae", "rq_vae"),
        ("letter", "rq_vae"),
        ("rq-kmeans", "codebooks"),
        ("linfa-kmeans", "codebooks"),
    ] {
        let settings = match method {
            "rq-kmeans" => "tolerance = 1e-3\ninit = 'random'\nmax_rows_per_code = 9\n".to_owned(),
            "linfa-kmeans" => format!("[{method}]\nrestarts = 2\niterations = 20\n"),
            _ => format!("[{method}]\n{SMALL}"),
        };
        let recipe = recipe(&format!("codebook_sizes = [4, 4]\nmethod = '{method}'\n{settings}"));
        let out = dir.path().join(method);
        let outcome = start(&recipe, &dataset, &out);
        assert_eq!((outcome.catalog.num_items(), outcome.catalog.num_sids()), (40, 40), "{method}");
        assert_eq!(outcome.quality.levels.len(), 2, "{method}");
        // The vectors join who chose what near what, so these codes are not judged on what they know.
        let predicted = outcome.quality.prediction.as_ref().unwrap();
        assert_eq!(predicted.codes, JudgedCodes::MadeWithoutHeldOut, "{method}");
        assert!(!out.join("held-out").exists(), "{method}");
        let [files, checkpoint] = [format!("{model}.safetensors"), "rq_vae.checkpoint".to_owned()];
        assert!(out.join("codebooks").join(files).exists(), "{method}");
        assert!(!out.join("codebooks").join(checkpoint).exists(), "{method}");

        // The recipe in the run's folder says the same, and nothing is done again.
        let kept = Recipe::load(&out.join("config.toml")).unwrap();
        assert_eq!(kept.sids, recipe.sids, "{method}");
        let written = || fs::metadata(out.join("catalog.json")).unwrap().modified().unwrap();
        let before = written();
        start(&recipe, &dataset, &out);
        assert_eq!(written(), before, "{method}");

        // The same settings in another folder make the same Semantic IDs.
        let again = dir.path().join(format!("{method}-again"));
        start(&recipe, &dataset, &again);
        assert_eq!(catalog(&again).sids(), catalog(&out).sids(), "{method}");
    }
    let sids = |method: &str| catalog(&dir.path().join(method)).sids().to_vec();
    assert_ne!(sids("rq-vae"), sids("letter"));
}

#[test]
fn collisions_are_resolved_as_the_recipe_says() {
    let dir = TempDir::new().unwrap();
    let dataset = shop::dataset(dir.path());
    let lens = |collisions: &str, sizes: &str| -> (Catalog, BTreeSet<usize>) {
        let sids =
            format!("codebook_sizes = {sizes}\niterations = 9\ncollisions = '{collisions}'\n");
        let out = dir.path().join(collisions);
        start(&recipe(&sids), &dataset, &out);
        let catalog = catalog(&out);
        let lens = catalog.sids().iter().map(|sid| sid.codes().len()).collect();
        (catalog, lens)
    };
    // Forty items on sixteen paths: some are shared.
    let (catalog, found) = lens("suffix", "[4, 4]");
    assert!(catalog.num_sids() == 40 && found.contains(&3), "{found:?}");
    let (catalog, found) = lens("slot", "[4, 4]");
    assert!(catalog.num_sids() == 40 && found == BTreeSet::from([3]), "{found:?}");
    assert_eq!(catalog.spec().num_levels(), 3);
    let (catalog, found) = lens("reassign", "[4, 40]");
    assert!(catalog.num_sids() == 40 && found == BTreeSet::from([2]), "{found:?}");
    let (catalog, found) = lens("keep", "[4, 4]");
    assert!(catalog.num_sids() < 40 && found == BTreeSet::from([2]), "{found:?}");
}

#[test]
fn codes_are_judged_on_training_events_alone() {
    let dir = TempDir::new().unwrap();
    // The same training events with other events for validation and test.
    let items = || (0..40).map(|number| Item::new(number.to_string(), format!("article {number}")));
    let with_ends = |ends: [u32; 2]| {
        let events = |user: u32| {
            let train = (0..5).map(|step| ItemId((user + 4 * step) % 40));
            train.chain(ends.map(|end| ItemId((user + end) % 40))).collect()
        };
        let users = (0..30).map(|user| User::new(user.to_string(), events(user))).collect();
        Dataset::new(items().collect(), users).unwrap()
    };
    let datasets = [with_ends([20, 24]), with_ends([7, 31])];
    for (name, sids, weight, codes) in [
        ("own", "codebook_sizes = [4, 4]\n", 0.0, JudgedCodes::Own),
        ("joined", "codebook_sizes = [4, 4]\n", 1.0, JudgedCodes::MadeWithoutHeldOut),
        (
            "tree",
            "codebook_sizes = [4, 2]\nmethod = 'hierarchical'\n\
             hierarchical = { transition_dimensions = 4, text_dimensions = 8 }\n",
            0.0,
            JudgedCodes::MadeWithoutHeldOut,
        ),
    ] {
        let mut recipe = recipe(sids);
        recipe.embed.as_mut().unwrap().collaborative_weight = weight;
        let judged = [0, 1].map(|at| {
            let outcome = start(&recipe, &datasets[at], &dir.path().join(format!("{name}-{at}")));
            (outcome.quality.prediction.unwrap(), outcome.catalog)
        });
        assert_eq!(judged[0].0, judged[1].0, "{name}");
        let (predicted, catalog) = &judged[0];
        assert_eq!(predicted.codes, codes, "{name}");
        // The latest training event of each user, and no other.
        assert_eq!(predicted.measured.num_pairs, 30, "{name}");
        if codes == JudgedCodes::Own {
            let events =
                |user: u32, until: u32| (0..until).map(move |s| ItemId((user + 4 * s) % 40));
            let train: Vec<Vec<ItemId>> = (0..30).map(|user| events(user, 4).collect()).collect();
            let pair = |user: u32| (ItemId((user + 12) % 40), ItemId((user + 16) % 40));
            let held_out: Vec<_> = (0..30).map(pair).collect();
            let expected = Prediction::measure(catalog, &train, &held_out).unwrap();
            assert!((predicted.measured.nats - expected.nats).abs() < 1e-9, "{expected:?}");
            // Every item is followed by the fourth one after it.
            assert!(expected.gain() > 0.0, "{expected:?}");
        }
    }
}

#[test]
fn the_texts_of_an_item_that_a_recipe_names_are_embedded() {
    let dir = TempDir::new().unwrap();
    let items = (0..40).map(|number| {
        let makers = ["a mill in the hills", "a shipyard", "a bakery", "an orchard"];
        Item::new(number.to_string(), format!("article {number}"))
            .with_brand(makers[number % 4])
            .with_description(format!("Sold by {}.", makers[number % 4]))
    });
    let events = |user: u32| (0..5).map(|step| ItemId((user + 4 * step) % 40)).collect();
    let users = (0..30).map(|user| User::new(user.to_string(), events(user))).collect();
    let dataset = Dataset::new(items.collect(), users).unwrap();
    let mut recipe = recipe("codebook_sizes = [4, 4]\n");
    recipe.embed.as_mut().unwrap().collaborative_weight = 0.0;
    let out = dir.path().join("run");
    let embedded = |recipe: &Recipe| {
        start(recipe, &dataset, &out);
        let first: Vec<_> = catalog(&out).sids().iter().map(|sid| sid.codes()[0]).collect();
        let manifest = fs::read_to_string(out.join("manifest.json")).unwrap();
        (fs::read(out.join("embeddings.safetensors")).unwrap(), first, manifest)
    };
    let (titles, _, manifest) = embedded(&recipe);
    assert!(!manifest.contains("\"fields\""));
    fs::remove_dir_all(out.join("sft")).unwrap();
    recipe.embed.as_mut().unwrap().fields = vec![ItemField::Brand, ItemField::Description];
    let (brands, first, manifest) = embedded(&recipe);
    assert!(titles != brands && manifest.contains("\"fields\""));
    // The maker alone decides the first code.
    let makers: BTreeSet<_> = (0..40).map(|number| (number % 4, first[number])).collect();
    assert_eq!(makers.len(), 4);
    let config = fs::read_to_string(out.join("config.toml")).unwrap();
    assert!(config.contains("\"brand\"") && config.contains("\"description\""), "{config}");
}

#[test]
fn items_with_one_title_are_told_apart_by_what_a_teacher_made_of_their_texts() {
    let dir = TempDir::new().unwrap();
    let items = (0..40).map(|number| {
        let (use_, place) = (["to cook", "to read", "to sleep", "to run"], ["at home", "at sea"]);
        let text = format!("It is made {} {}.", use_[number % 4], place[number / 4 % 2]);
        Item::new(number.to_string(), "an article").with_description(text)
    });
    let events = |user: u32| (0..5).map(|step| ItemId((user + 4 * step) % 40)).collect();
    let users = (0..30).map(|user| User::new(user.to_string(), events(user))).collect();
    let dataset = Dataset::new(items.collect(), users).unwrap();
    let rates =
        [vec![ItemField::Title], vec![ItemField::Title, ItemField::Rewritten]].map(|fields| {
            let mut recipe = recipe("codebook_sizes = [4, 4]\n");
            let embed = recipe.embed.as_mut().unwrap();
            embed.collaborative_weight = 0.0;
            let rewrites = fields.contains(&ItemField::Rewritten);
            embed.fields = fields;
            recipe.texts.teacher = rewrites.then_some(TeacherConfig::Metadata);
            let out = dir.path().join(if rewrites { "rewritten" } else { "titles" });
            let outcome = start(&recipe, &dataset, &out);
            let quality: serde_json::Value =
                serde_json::from_slice(&fs::read(out.join("quality.json")).unwrap()).unwrap();
            assert_eq!(quality["collision_rate"].as_f64(), Some(outcome.quality.collision_rate));

            // A second start writes and embeds nothing again.
            assert_eq!(out.join("rewritten.jsonl").exists(), rewrites);
            let made =
                |name: &str| fs::metadata(out.join(name)).and_then(|file| file.modified()).ok();
            let before = ["rewritten.jsonl", "embeddings.safetensors"].map(made);
            start(&recipe, &dataset, &out);
            assert_eq!(["rewritten.jsonl", "embeddings.safetensors"].map(made), before);
            outcome.quality.collision_rate
        });
    assert!(rates[1] < rates[0], "{rates:?}");

    // Rewriting needs a teacher, and a file with such texts.
    let mut recipe = recipe("codebook_sizes = [4, 4]\n");
    recipe.embed.as_mut().unwrap().fields = vec![ItemField::Rewritten];
    assert!(recipe.check().unwrap_err().to_string().contains("texts.teacher"));
    let path = dir.path().join("texts.jsonl");
    let line = r#"{"id":"i1","kind":"item-paragraph","text":"a","teacher":"t","prompt_hash":""}"#;
    fs::write(&path, line).unwrap();
    recipe.texts.teacher = Some(TeacherConfig::File(path));
    let refused = run(&recipe, &dataset, &dir.path().join("x"), &mut |_: &Record| {}).unwrap_err();
    assert!(refused.to_string().contains("item-description"), "{refused}");
}
