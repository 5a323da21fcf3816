//! Small models and a shop in which items follow each other in a circle.

use serde_json::{Value, json};
use sidereal_baselines::neural::{Attributes, NeuralConfig};
use sidereal_sid::ItemId;

pub(crate) const NUM_ITEMS: u32 = 12;

/// Settings of a small model without dropout.
pub(crate) fn settings(name: &str) -> Value {
    let train = json!({
        "lr": 0.01, "batch_size": 32, "epochs": 40, "patience": 40, "validate_every": 4,
    });
    let transformer = json!({
        "hidden_size": 16, "layers": 1, "heads": 2, "inner_size": 32, "dropout": 0.0,
        "attention_dropout": 0.0, "max_history": 8,
    });
    let mut settings = match name {
        "sasrec" | "fdsa" => transformer,
        "bsarec" => merged(transformer, json!({ "layers": 2 })),
        "bert4rec" => {
            let mut settings = merged(transformer, json!({ "places": 8, "copies": 2 }));
            settings.as_object_mut().unwrap().remove("max_history");
            settings
        }
        "s3rec" => merged(transformer, json!({ "pretraining_epochs": 3, "pretraining_batch": 16 })),
        "rearec" => {
            let mut settings = merged(transformer, json!({ "input_dropout": 0.0 }));
            settings.as_object_mut().unwrap().remove("attention_dropout");
            settings
        }
        "gru4rec" => {
            json!({ "embedding_size": 16, "hidden_size": 16, "dropout": 0.0, "max_history": 8 })
        }
        "caser" => json!({ "embedding_size": 16, "dropout": 0.0, "max_history": 3 }),
        "hgn" => json!({ "embedding_size": 16, "max_history": 2 }),
        "hstu" => json!({
            "hidden_size": 16, "layers": 1, "heads": 2, "head_size": 8, "dropout": 0.0,
            "max_history": 8, "loss": "softmax",
        }),
        other => panic!("the small settings of {other} are missing"),
    };
    settings.as_object_mut().unwrap().insert("train".to_owned(), train);
    settings
}

fn merged(mut settings: Value, more: Value) -> Value {
    let Value::Object(more) = more else { unreachable!() };
    settings.as_object_mut().unwrap().extend(more);
    settings
}

/// The settings of a small model, with some more.
pub(crate) fn config(name: &str, more: Value) -> NeuralConfig {
    NeuralConfig::from_table(name, &merged(settings(name), more)).unwrap()
}

/// Three attributes: item `i` has `i mod 3`.
pub(crate) fn attributes() -> Attributes {
    Attributes::numbered((0..NUM_ITEMS).map(|item| vec![item % 3]).collect(), 3).unwrap()
}

/// Sequences of 3 to 7 items, each item the next on the circle.
pub(crate) fn circle() -> Vec<Vec<ItemId>> {
    let from =
        |user: u32| (0..3 + user % 5).map(move |at| ItemId((user + at) % NUM_ITEMS)).collect();
    (0..4 * NUM_ITEMS).map(from).collect()
}
