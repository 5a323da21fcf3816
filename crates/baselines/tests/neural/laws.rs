//! What holds of every model, whatever its weights.

use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use sidereal_baselines::neural::{
    Lesson, NEURAL_MODELS, NeuralConfig, SequenceModel, SequenceRecommender, Step,
};
use sidereal_baselines::{Case, Recommender as _, evaluate};
use sidereal_metrics::SeenItems;
use sidereal_sid::ItemId;
use tch::{Device, Kind, Reduction, Tensor};

use crate::small::{NUM_ITEMS, attributes, config};

/// A model in f64 whose loss is the cross-entropy of its scores and nothing else.
fn plain(name: &str) -> Box<dyn SequenceModel> {
    let more = match name {
        "bert4rec" => json!({ "last_share": 1.0 }),
        "rearec" => json!({ "divergence": 0.0 }),
        _ => json!({}),
    };
    build(name, more, Kind::Double)
}

fn build(name: &str, more: Value, kind: Kind) -> Box<dyn SequenceModel> {
    let (config, attributes): (NeuralConfig, _) = (config(name, more), attributes());
    let items = NUM_ITEMS as usize;
    config.build_as(kind, items, Some(&attributes), 5, Device::Cpu).unwrap()
}

/// −log softmax of the target by the scores after a history alone.
fn surprise(model: &dyn SequenceModel, history: &[u32], target: u32) -> f64 {
    let _guard = tch::no_grad_guard();
    let scores = model.scores(&model.states(&[history]).unwrap()).unwrap();
    let target = Tensor::from_slice(&[i64::from(target)]);
    scores
        .cross_entropy_loss(&target, None::<&Tensor>, Reduction::Mean, -100, 0.0)
        .double_value(&[])
}

#[test]
fn training_scores_each_target_as_if_nothing_came_after_it() {
    let rows: [&[u32]; 3] = [&[3, 1, 4, 1, 5, 9, 2], &[6, 5], &[3, 5, 8, 9]];
    for name in NEURAL_MODELS {
        let model = plain(name);
        let mut expected = Vec::new();
        for row in rows {
            let first = if model.lesson() == Lesson::Positions { 1 } else { row.len() - 1 };
            for at in first..row.len() {
                let history = &row[at.saturating_sub(model.max_history())..at];
                expected.push(surprise(model.as_ref(), history, row[at]));
            }
        }
        let expected = expected.iter().sum::<f64>() / expected.len() as f64;
        let mut step = Step { rng: ChaCha8Rng::seed_from_u64(1), dropout: false, epoch: 0 };
        let found = model.loss(&rows, &mut step).unwrap().double_value(&[]);
        assert!((found - expected).abs() < 1e-9, "{name}: {found}, one by one {expected}");
    }
}

#[test]
fn users_scored_together_have_the_scores_that_they_have_alone() {
    let histories: [&[u32]; 4] = [&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], &[], &[4], &[7, 7, 0]];
    let histories: Vec<Vec<ItemId>> =
        histories.iter().map(|items| items.iter().copied().map(ItemId).collect()).collect();
    let histories: Vec<&[ItemId]> = histories.iter().map(Vec::as_slice).collect();
    for name in NEURAL_MODELS {
        let model = SequenceRecommender::new(build(name, json!({}), Kind::Float));
        let mut together = vec![f32::NAN; histories.len() * NUM_ITEMS as usize];
        model.score_all(&histories, &mut together).unwrap();
        for (history, together) in histories.iter().zip(together.chunks(NUM_ITEMS as usize)) {
            let mut alone = vec![f32::NAN; NUM_ITEMS as usize];
            model.score(history, &mut alone).unwrap();
            for (alone, together) in alone.iter().zip(together) {
                assert!((alone - together).abs() < 1e-4, "{name}, {history:?}: {alone} {together}");
            }
        }
        assert!(model.score(&[ItemId(NUM_ITEMS)], &mut [0.0; NUM_ITEMS as usize]).is_err());
        assert!(model.score(&[], &mut [0.0; 3]).is_err());
    }
}

#[test]
fn the_item_after_nothing_is_a_target_where_the_lesson_says_so() {
    for name in NEURAL_MODELS {
        let model = plain(name);
        if model.lesson() == Lesson::AllPrefixes {
            let mut step = Step { rng: ChaCha8Rng::seed_from_u64(1), dropout: false, epoch: 0 };
            let found = model.loss(&[&[3], &[1, 4]], &mut step).unwrap().double_value(&[]);
            let model = model.as_ref();
            let expected = f64::midpoint(surprise(model, &[], 3), surprise(model, &[1], 4));
            assert!((found - expected).abs() < 1e-9, "{name}: {found}, one by one {expected}");
        }
    }
}

#[test]
fn users_ranked_together_have_the_ranks_that_they_have_alone() {
    let model = SequenceRecommender::new(build("sasrec", json!({}), Kind::Float));
    // 300 users are two batches; lengths from 0 to 9 stand in no order.
    let histories: Vec<Vec<ItemId>> = (0_u32..300)
        .map(|user| (0..user * 7 % 10).map(|at| ItemId((user + 5 * at) % NUM_ITEMS)).collect())
        .collect();
    let cases: Vec<Case<'_, u32>> = (0..)
        .zip(&histories)
        .map(|(sample, history)| Case {
            sample,
            history,
            seen: history,
            target: ItemId((sample * 5 + 1) % NUM_ITEMS),
        })
        .collect();
    for seen_items in [SeenItems::Kept, SeenItems::Removed] {
        let run = evaluate(&model, &cases, seen_items).unwrap();
        for (case, (sample, place)) in cases.iter().zip(run.placements()) {
            let removed = if seen_items == SeenItems::Kept { &[] } else { case.seen };
            let mut scratch = [0.0; NUM_ITEMS as usize];
            let alone = model.place(case.history, removed, case.target, &mut scratch).unwrap();
            assert_eq!((case.sample, alone), (*sample, place));
        }
    }
}
