//! Free titles grounded to items, against plain computations.

use sidereal_policy::{Grounding, LanguageModel as _, PolicyError, popularity_weighted};

use crate::tiny;

#[test]
fn distances_are_those_of_the_last_states_read_one_by_one() {
    let catalog = tiny::catalog();
    let (_, tokenizer) = tiny::constraint(&catalog);
    let model = tiny::model(tiny::config(tokenizer.vocab_size(), 2, true), 3);
    let titles = [vec![5, 9, 2], vec![7], vec![9, 9, 9, 1], vec![5, 9], vec![3, 4, 5, 6, 7]];
    let texts = [vec![7, 7], vec![5, 9, 2]];
    // Alone, without padding.
    let state = |text: &Vec<u32>| {
        let (hidden, _) = model.prefill(&tiny::batch(std::slice::from_ref(text)), &[0]).unwrap();
        Vec::<f32>::try_from(hidden.view(-1)).unwrap()
    };
    for batch_size in [1, 2, 100] {
        let grounding = Grounding::new(&model, &titles, tiny::PAD, batch_size).unwrap();
        let found = grounding.distances(&model, &texts, tiny::PAD).unwrap();
        for (text, row) in texts.iter().zip(&found) {
            for (title, distance) in titles.iter().zip(row) {
                let pairs = state(text).into_iter().zip(state(title));
                let square: f64 = pairs.map(|(a, b)| f64::from(a - b).powi(2)).sum();
                assert!((square.sqrt() - f64::from(*distance)).abs() < 1e-4, "{text:?} {title:?}");
            }
        }
        // A title that was written as it is lies at its own place.
        assert!(found[1][0] < 1e-4 && found[1].iter().skip(1).all(|other| *other > 1e-2));
    }
    assert!(matches!(
        Grounding::new(&model, &[], tiny::PAD, 2),
        Err(PolicyError::Empty { what: "the titles of a grounding" })
    ));
    assert!(Grounding::new(&model, &[vec![]], tiny::PAD, 2).is_err());
}

#[test]
fn popular_items_come_nearer_and_weight_nothing_keeps_the_order() {
    let distances = [4.0, 2.0, 3.0, 6.0];
    let popularity = [10.0, 0.0, 30.0, 30.0];
    let plain = popularity_weighted(&distances, &popularity, 0.0).unwrap();
    assert_eq!(plain, [0.5, 0.0, 0.25, 1.0]);
    // By hand: (d / 4 − 1/2) / (1 + p / 30)^2.
    let weighted = popularity_weighted(&distances, &popularity, 2.0).unwrap();
    let by_hand = [0.5 / (4.0f32 / 3.0).powi(2), 0.0, 0.25 / 4.0, 1.0 / 4.0];
    for (found, expected) in weighted.iter().zip(by_hand) {
        assert!((found - expected).abs() < 1e-6, "{weighted:?}");
    }
    assert_eq!(popularity_weighted(&[2.0, 2.0], &[1.0, 1.0], 3.0).unwrap(), [0.0, 0.0]);
    let error = popularity_weighted(&distances, &[1.0], 1.0).unwrap_err();
    assert!(matches!(error, PolicyError::Size { found: 1, expected: 4, .. }), "{error}");
}

#[test]
fn a_distance_that_is_not_a_number_names_its_text() {
    let catalog = tiny::catalog();
    let (_, tokenizer) = tiny::constraint(&catalog);
    let model = tiny::model(tiny::config(tokenizer.vocab_size(), 2, true), 3);
    let grounding = Grounding::new(&model, &[vec![5, 9], vec![7], vec![3]], tiny::PAD, 2).unwrap();
    {
        let _guard = tch::no_grad_guard();
        let mut row = model.weights()["model.embed_tokens.weight"].get(4);
        let _ = row.fill_(f64::NAN);
    }
    let error = grounding.distances(&model, &[vec![5], vec![4]], tiny::PAD).unwrap_err();
    assert!(matches!(error, PolicyError::NotFinite { prompt: 1, .. }), "{error}");
}
