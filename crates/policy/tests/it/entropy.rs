//! Entropies against the probabilities of everything that could stand there instead.

use sidereal_policy::{
    CompletionToken, Completions, Policy as _, PolicyError, Scoring, Target, TokenLaw,
    code_targets, completion_entropy, completion_logp,
};

use crate::tiny;

#[test]
fn entropies_equal_those_of_every_alternative() {
    let catalog = tiny::catalog();
    let (constraint, tokenizer) = tiny::constraint(&catalog);
    let model = tiny::model(tiny::config(tokenizer.vocab_size(), 2, true), 7);
    let prompts = tiny::batch(&[tokenizer.encode("next item").unwrap()]);
    let flat = catalog.spec().tokens(&catalog.sids()[2]).unwrap();
    let trie = constraint.trie();
    let codes: Vec<Target> = code_targets(trie, &[], &flat).unwrap();
    let words = u32::try_from(tokenizer.vocab_size()).unwrap();
    let scored = |targets: &[Target]| -> Vec<CompletionToken> {
        targets.iter().map(|target| CompletionToken::Scored(*target)).collect()
    };
    for scoring in [Scoring::Full, Scoring::Renormalised] {
        // At temperature 1 this model is almost certain of each token.
        let law = TokenLaw::from(scoring).at_temperature(50.0).unwrap();
        // −Σ p log p over what may stand at the end of a completion with this beginning.
        let by_hand = |before: &[Target], last: &[Target]| -> f64 {
            let group: Vec<_> =
                last.iter().map(|target| scored(&[before, &[*target]].concat())).collect();
            let rollouts = [group];
            let completions = Completions { prompts: &prompts, begun: &[0], rollouts: &rollouts };
            let found = completion_logp(&model, &constraint, &completions, law).unwrap();
            let logp = Vec::<f64>::try_from(found.logp.to_kind(tch::Kind::Double)).unwrap();
            let last = logp.chunks(before.len() + 1).map(|tokens| tokens[before.len()]);
            -last.map(|logp| logp.exp() * logp).sum::<f64>()
        };
        let all_words: Vec<Target> = (0..words).map(Target::Word).collect();
        let of_codes: f64 = (0..codes.len())
            .map(|level| {
                let Target::Code { node, .. } = codes[level] else { unreachable!() };
                let legal: Vec<Target> = trie
                    .children(node)
                    .tokens
                    .iter()
                    .map(|token| Target::Code { node, token: *token })
                    .collect();
                let alternatives = if scoring == Scoring::Full { &all_words } else { &legal };
                by_hand(&codes[..level], alternatives)
            })
            .sum();
        let word = [Target::Word(9)];
        let expected = [of_codes / codes.len() as f64, by_hand(&[], &all_words), 0.0];
        let rollouts = [vec![scored(&codes), scored(&word), vec![CompletionToken::Read(9)]]];
        let completions = Completions { prompts: &prompts, begun: &[0], rollouts: &rollouts };
        let found = completion_entropy(&model, &constraint, &completions, law).unwrap();
        assert!(expected[0] > 0.1 && expected[1] > 0.1, "{expected:?}");
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-4, "{scoring:?}: {found}, needed {expected}");
        }
        // A pass with its way back knows the same, token by token.
        let pass = model.completion_pass(&constraint, &completions, law).unwrap();
        let tokens = pass.entropy().unwrap().to_kind(tch::Kind::Double);
        let mut tokens = Vec::<f64>::try_from(tokens).unwrap().into_iter();
        assert_eq!((tokens.len(), &pass.lens), (codes.len() + 1, &vec![codes.len(), 1, 0]));
        for (found, len) in found.iter().zip(pass.lens) {
            let mean = tokens.by_ref().take(len).sum::<f64>() / len.max(1) as f64;
            assert!((found - mean).abs() < 1e-6, "{scoring:?}: {mean}, needed {found}");
        }
    }
}

#[test]
fn a_temperature_that_divides_nothing_is_refused() {
    for temperature in [0.0, -1.0, f64::INFINITY, f64::NAN] {
        let refused = TokenLaw::from(Scoring::Full).at_temperature(temperature);
        let named = matches!(refused, Err(PolicyError::Unsupported { field: "temperature", .. }));
        assert!(named, "{temperature}");
    }
}
