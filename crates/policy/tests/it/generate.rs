//! Beam search against `generate` of transformers under a prefix constraint
//! (`tests/parity/generate.py`).

use std::fs;

use serde::Deserialize;
use sidereal_policy::{BeamSearch, Constraint, Decoder, LanguageModel, Scoring, T5};
use sidereal_sid::{Catalog, SemanticId, SidSpec};
use tch::Device;

use crate::parity::fixture;
use crate::tiny;

#[derive(Deserialize)]
struct Expected {
    codebook_sizes: Vec<usize>,
    sids: Vec<Vec<u16>>,
    ids: Vec<u32>,
    prompts: Vec<Vec<u32>>,
    beams: Vec<Vec<Vec<u16>>>,
    scores: Vec<Vec<f32>>,
}

fn check(name: &str, model: &dyn LanguageModel) {
    let text = fs::read_to_string(fixture(name).join("beams.json")).unwrap();
    let expected: Expected = serde_json::from_str(&text).unwrap();
    let sids = expected.sids.iter().cloned().map(SemanticId::from).collect();
    let spec = SidSpec::new(expected.codebook_sizes.clone(), 0).unwrap();
    let catalog = Catalog::new(spec, sids).unwrap();
    let constraint = Constraint::from_ids(&catalog, expected.ids.clone(), Device::Cpu).unwrap();
    let beam_width = expected.beams[0].len();
    let search = BeamSearch { model, constraint: &constraint, beam_width, scoring: Scoring::Full };
    for users in [1, 8, expected.prompts.len()] {
        let prompts = tiny::batch(&expected.prompts[..users]);
        let found = search.search(&prompts, &vec![&[][..]; users]).unwrap();
        for (user, hypotheses) in found.iter().enumerate() {
            let codes = |token: &u32| catalog.spec().level_and_code(*token).unwrap().1;
            let written: Vec<Vec<u16>> =
                hypotheses.iter().map(|h| h.tokens.iter().map(codes).collect()).collect();
            assert_eq!(written, expected.beams[user], "{name}, user {user} of {users}");
            for (hypothesis, score) in hypotheses.iter().zip(&expected.scores[user]) {
                let worst = (hypothesis.score - score).abs();
                assert!(worst < 1e-4, "{name}, user {user} of {users}: {worst}");
            }
        }
    }
}

#[test]
fn beams_of_decoders_are_those_of_generate() {
    for name in ["qwen3_untied", "llama_biased"] {
        check(name, &Decoder::load(&fixture(name), Device::Cpu).unwrap());
    }
}

#[test]
fn beams_of_encoder_decoders_are_those_of_generate() {
    for name in ["t5_relu_tied", "t5_gated_untied"] {
        check(name, &T5::load(&fixture(name), Device::Cpu).unwrap());
    }
}
