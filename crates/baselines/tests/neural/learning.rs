//! Each model learns a circle of items, keeps its best weights and comes back from its folder.

use serde_json::json;
use sidereal_baselines::neural::{
    EpochReport, NEURAL_MODELS, NeuralConfig, NeuralRecommender, TrainingView,
};
use sidereal_baselines::{Case, Recommender as _, evaluate, fingerprint, top_k};
use sidereal_metrics::{SeenItems, ndcg};
use sidereal_sid::ItemId;

use crate::small::{NUM_ITEMS, attributes, circle, config};

/// Every item with the next on the circle, after a history of two.
fn cases() -> Vec<(Vec<ItemId>, ItemId)> {
    let at = |item: u32| ItemId(item % NUM_ITEMS);
    (0..NUM_ITEMS).map(|item| (vec![at(item), at(item + 1)], at(item + 2))).collect()
}

fn fit(config: &NeuralConfig) -> NeuralRecommender {
    let sequences = circle();
    let sequences: Vec<&[ItemId]> = sequences.iter().map(Vec::as_slice).collect();
    let attributes = attributes();
    let (num_items, attributes) = (NUM_ITEMS as usize, Some(&attributes));
    let view = TrainingView { num_items, sequences: &sequences, attributes };
    let cases = cases();
    let valid: Vec<Case<'_, u32>> = (0..)
        .zip(&cases)
        .map(|(sample, (history, target))| Case { sample, history, seen: history, target: *target })
        .collect();
    let mut losses = Vec::new();
    let model = config
        .fit(&view, &valid, 3, "cpu", &mut |epoch: &EpochReport| losses.push(epoch.loss))
        .unwrap();
    assert!(losses.iter().all(|loss| loss.is_finite()));
    // The report tells the quality of the weights that are kept.
    let run = evaluate(&model, &valid, SeenItems::Kept).unwrap();
    let ten = 10.try_into().unwrap();
    let found: f64 = run.placements().map(|(_, place)| ndcg(place, ten)).sum::<f64>() / 12.0;
    assert!((found - model.report().best_ndcg).abs() < 1e-6, "{} {found}", config.name());
    model
}

#[test]
fn every_model_learns_a_circle_of_items() {
    let mut names: Vec<(&str, serde_json::Value)> =
        NEURAL_MODELS.into_iter().map(|name| (name, json!({}))).collect();
    names.push(("sasrec", json!({ "loss": "bce", "negatives": 2 })));
    names.push(("sasrec", json!({ "loss": "sampled_softmax", "negatives": 6 })));
    names.push(("sasrec", json!({ "loss": "bpr", "negatives": 2 })));
    names.push(("rearec", json!({ "method": "prl", "warmup": 1 })));
    for (name, more) in names {
        // Losses of pairs draw no item of the row, so its items stay unordered among themselves.
        let pairs = ["bce", "bpr"].iter().any(|loss| more["loss"] == *loss);
        let first = if pairs { 3 } else { 1 };
        let seen = json!({ "lr": 0.01, "batch_size": 32, "epochs": 40, "patience": 40,
                           "validate_every": 4, "seen_items": "kept" });
        let mut more = more;
        more.as_object_mut().unwrap().insert("train".to_owned(), seen);
        let about = format!("{name} {more}");
        let model = fit(&config(name, more));
        let mut right = 0;
        for (history, next) in cases() {
            let mut scores = vec![0.0; NUM_ITEMS as usize];
            model.score(&history, &mut scores).unwrap();
            let mut rng = <rand_chacha::ChaCha8Rng as rand::SeedableRng>::seed_from_u64(1);
            right += usize::from(top_k(&scores, first, &mut rng).contains(&next));
        }
        assert!(right >= 11, "{about}: {right} of 12 next items are among the first {first}");
    }
}

#[test]
fn a_model_comes_back_from_its_folder_and_the_same_seed_gives_the_same_model() {
    let dir = tempfile::tempdir().unwrap();
    let histories: Vec<Vec<ItemId>> = cases().into_iter().map(|(history, _)| history).collect();
    let of = |model: &NeuralRecommender| {
        fingerprint(model, histories.iter().map(Vec::as_slice)).unwrap()
    };
    for name in ["sasrec", "fdsa", "bert4rec"] {
        let train = json!({ "train": { "epochs": 2, "seen_items": "kept" } });
        let config = config(name, train);
        let mut model = fit(&config);
        assert_eq!(of(&model), of(&fit(&config)), "{name}");
        let folder = dir.path().join(name);
        model.save(&folder).unwrap();
        let read = NeuralRecommender::load(&folder, "cpu").unwrap();
        assert_eq!(of(&model), of(&read), "{name}");
        assert_eq!((read.config(), read.report()), (model.config(), model.report()));
    }
    std::fs::write(dir.path().join("sasrec/config.json"), "{}").unwrap();
    assert!(NeuralRecommender::load(&dir.path().join("sasrec"), "cpu").is_err());
}

#[test]
fn attributes_are_asked_for_where_they_are_needed() {
    for name in ["fdsa", "s3rec"] {
        let model = config(name, json!({})).build(12, None, 1, tch::Device::Cpu);
        let error = model.unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("attributes"), "{error}");
    }
}

#[test]
fn an_unknown_name_or_setting_is_refused_with_what_there_is() {
    let error = NeuralConfig::named("gru").unwrap_err().to_string();
    assert!(error.contains("gru4rec") && error.contains("`gru`"), "{error}");
    let error = NeuralConfig::from_table("sasrec", &json!({ "train": { "epoch": 1 } }));
    let error = std::error::Error::source(&error.unwrap_err()).unwrap().to_string();
    assert!(error.contains("epoch"), "{error}");
    let wrong = config("sasrec", json!({ "heads": 3 })).build(12, None, 1, tch::Device::Cpu);
    assert!(wrong.unwrap_err().to_string().contains("heads"));
}
