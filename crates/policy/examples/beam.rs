//! Writes the best Semantic IDs of a tiny catalogue with a random policy. CPU, instant.
//! Run: `cargo run --release -p sidereal-policy --example beam`
#![allow(clippy::print_stdout, reason = "a program's stdout is its result")]

use sidereal_policy::{
    Architecture, BeamSearch, Constraint, Decoder, DecoderConfig, Scoring, SidTokenizer,
    TokenBatch, device,
};
use sidereal_sid::{Catalog, SemanticId, SidSpec};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Six items; two share their first two codes and carry a third.
    let sids: [&[u16]; 6] = [&[0, 1], &[0, 3], &[1, 2, 0], &[1, 2, 1], &[2, 0], &[3, 3]];
    let sids = sids.iter().map(|codes| SemanticId::from(codes.to_vec())).collect();
    let catalog = Catalog::new(SidSpec::new(vec![4, 4], 2)?, sids)?;

    let texts = ["the next item of a history"];
    let tokenizer = SidTokenizer::train(texts.iter(), 300, catalog.spec())?;
    let config = DecoderConfig {
        architecture: Architecture::Qwen3,
        vocab_size: tokenizer.vocab_size(),
        hidden_size: 32,
        intermediate_size: 64,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        num_key_value_heads: 2,
        head_dim: 8,
        max_position_embeddings: 128,
        rms_norm_eps: 1e-6,
        rope_theta: 10_000.0,
        rope_scaling: None,
        attention_bias: false,
        tie_word_embeddings: true,
    };
    let limit = config.max_position_embeddings - catalog.spec().max_len();
    let model = Decoder::random(config, 7, device("cpu")?)?;
    let constraint = Constraint::new(&catalog, &tokenizer, model.device())?;

    // Two prompts of different lengths; the second already begins its answer with <a_1>.
    let prompts = ["<a_0><b_1> next item:", "<a_3><b_3><a_2><b_0> next item:<a_1>"];
    let prompts = prompts.map(|text| tokenizer.encode(text));
    let prompts = prompts.into_iter().collect::<Result<Vec<_>, _>>()?;
    let prompts = TokenBatch::new(&prompts, tokenizer.pad(), limit, model.device())?;
    let guides: [&[u32]; 2] = [&[], &[1]]; // flat token 1 is <a_1>
    for scoring in [Scoring::Full, Scoring::Renormalised] {
        let search = BeamSearch { model: &model, constraint: &constraint, beam_width: 4, scoring };
        for (prompt, beams) in search.search(&prompts, &guides)?.iter().enumerate() {
            println!("{scoring:?}, prompt {prompt}");
            for beam in beams {
                let items = constraint.trie().items(beam.node);
                let sid = catalog.sid(items[0]).ok_or("a leaf's item is in the catalogue")?;
                println!("  {sid}  log p {:.3}  p {:.4}", beam.score, beam.score.exp());
            }
        }
    }
    Ok(())
}
