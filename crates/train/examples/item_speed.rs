//! Times an epoch of next-item training, exact scoring, and beam search, on drawn histories of a catalogue of Beauty's size
//! (12,101 items, 22,363 users, text vectors of 128, categories). Minutes on one core.
//!
//! Run: `OMP_NUM_THREADS=1 cargo run --release -p sidereal-train --example item_speed`
#![allow(clippy::print_stdout, reason = "a program's stdout is its result")]

use std::time::Instant;

use clap::Parser;
use ndarray::Array2;
use rand::{Rng, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use sidereal_data::{ItemId, SampleId, UserId};
use sidereal_policy::{
    BeamSearch, Constraint, ItemCategories, ItemFeatures, ItemPolicy, ItemPolicyConfig, Scoring,
    TokenBatch, device,
};
use sidereal_sid::{Catalog, Code, SemanticId, SidSpec, Trie};
use sidereal_train::{
    Binding, Checkpoints, Followed, History, NextItem, NextItemConfig, NextItemData, Record,
    exact_ndcg,
};

/// Users that a beam search decodes together.
const BATCH: usize = 128;

#[derive(Parser)]
#[command(about = "Times an epoch of next-item training on drawn histories")]
struct Args {
    #[arg(long, default_value_t = 22_363)]
    users: u32,
    #[arg(long, default_value_t = 12_101)]
    items: u32,
    #[arg(long, default_value_t = 1)]
    epochs: usize,
    /// `cpu`, `cuda`, or `auto`.
    #[arg(long, default_value = "cpu")]
    device: String,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Args { users, items, epochs, device: name } = Args::parse();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    // 256 codes, 8 below each, then a leaf number.
    let sid = |item: u32| -> Result<SemanticId, std::num::TryFromIntError> {
        let codes = [item % 256, item / 256 % 8, item / 2048].map(Code::try_from);
        Ok(SemanticId::from(codes.into_iter().collect::<Result<Vec<_>, _>>()?))
    };
    let leaves = items as usize / 2048 + 1;
    let sids = (0..items).map(sid).collect::<Result<Vec<_>, _>>()?;
    let catalog = Catalog::new(SidSpec::new(vec![256, 8, leaves], 0)?, sids)?;
    let trie = Trie::from_catalog(&catalog);
    let text = Array2::from_shape_fn((items as usize, 128), |_| rng.gen_range(-0.15f32..0.15));
    let lists: Vec<[u32; 4]> =
        (0..items).map(|_| std::array::from_fn(|_| rng.gen_range(0..600))).collect();
    let categories = Some(ItemCategories::new(&lists));
    let features = ItemFeatures { text: Some(text), categories };
    // Three events and a geometric number more: some six positions a user, as in Beauty.
    let mut history = |user| {
        let mut len = 3;
        while len < 60 && rng.gen_bool(0.795) {
            len += 1;
        }
        let items = (0..len).map(|_| ItemId(rng.gen_range(0..items))).collect();
        History { user: UserId(user), items }
    };
    let train: Vec<History> = (0..users).map(&mut history).collect();
    let followed = |history: &History| Followed {
        id: SampleId::Event { user: history.user, position: 0 },
        seen: history.items.clone(),
        target: ItemId(0),
    };
    let data = NextItemData { valid: train.iter().take(2048).map(followed).collect(), train };
    let policy =
        ItemPolicy::random(ItemPolicyConfig::default(), &trie, features, 1, device(&name)?)?;
    let dir = tempfile::tempdir()?;
    let config = NextItemConfig { epochs, valid_users: 1, ..NextItemConfig::default() };
    let checkpoints = Checkpoints::new(dir.path(), Binding::new());
    let training = NextItem {
        stage: "items",
        config: &config.check("items")?,
        seed: 1,
        checkpoints: &checkpoints,
    };
    let (start, mut steps) = (Instant::now(), 0);
    let policy = training.run(policy, &data, &mut |record: &Record| steps = record.step)?;
    let seconds = start.elapsed().as_secs_f64();
    let positions: usize = data.train.iter().map(|history| history.items.len() - 1).sum();
    println!("{positions} positions an epoch, {steps} steps in {seconds:.1} s");
    println!(
        "{:.1} ms a step, {:.1} s an epoch",
        1e3 * seconds / steps as f64,
        seconds / epochs as f64
    );
    let start = Instant::now();
    exact_ndcg(&policy, &data.valid)?;
    println!("exact scoring: {:.0} users a second", 2048.0 / start.elapsed().as_secs_f64());
    let constraint = Constraint::of_codes(&catalog, device(&name)?)?;
    for beam_width in [20, 50] {
        let scoring = Scoring::Renormalised;
        let search = BeamSearch { model: &policy, constraint: &constraint, beam_width, scoring };
        let start = Instant::now();
        for users in data.valid.chunks(BATCH) {
            let histories: Vec<Vec<u32>> = users
                .iter()
                .map(|user| user.seen.iter().rev().take(50).rev().map(|item| item.0).collect())
                .collect();
            let prompts = TokenBatch::new(&histories, 0, usize::MAX, device(&name)?)?;
            search.search(&prompts, &vec![&[][..]; users.len()])?;
        }
        let rate = data.valid.len() as f64 / start.elapsed().as_secs_f64();
        println!("beams of {beam_width}: {rate:.0} users a second");
    }
    Ok(())
}
