//! Titles as answers of reinforcement.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use sidereal_data::{Dataset, Item, ItemId, User};
use sidereal_policy::{
    CompletionToken, Completions, Decoder, Policy, Scoring, Target, TokenBatch, Trainable,
    completion_logp,
};
use sidereal_prompts::{PromptRegistry, Task, Tasks, Wording};
use sidereal_rl::{Accuracy, Reward, SidLevel};
use sidereal_sid::Trie;
use sidereal_train::{
    AdvantageConfig, AlignmentShare, AnswerKind, Binding, Checkpoints, EncodedPrompt, Encoder,
    ItemFacts, Mode, Observer, OwnMethods, Record, Rl, RlConfig, RlPrompt, RolloutConfig,
    StepReward, TitleTrie, TrainError,
};
use tch::{Device, Tensor};

use crate::encoder_decoder;
use crate::shop::{Log, Shop, at, constant, short};

/// Titles of the shop: some begin like others, items 1 and 2 have one title, item 7 has none.
const TITLES: [&str; 9] =
    ["red", "red lip", "red lip", "red lipstick", "next", "item", "next item", "", "stick"];

/// The titles that can be written, once each.
fn distinct() -> Vec<&'static str> {
    let mut titles: Vec<&str> = TITLES.into_iter().filter(|title| !title.is_empty()).collect();
    titles.sort_unstable();
    titles.dedup();
    titles
}

fn trie_of(shop: &Shop) -> TitleTrie {
    let registry = PromptRegistry::builtin().unwrap();
    let prompts = registry.set("singer-terse").unwrap();
    let items = Trie::from_catalog(&shop.catalog);
    let encoder = Encoder::new(&shop.tokenizer, &shop.catalog, prompts, &items).unwrap();
    let tasks = [Task::SidToTitle, Task::SidHistoryToTitle];
    TitleTrie::new(&TITLES, &tasks, prompts, &encoder, Device::Cpu).unwrap()
}

/// The log-probability of every title, each scored as a whole, without a trie.
fn log_probabilities(
    shop: &Shop,
    model: &dyn Policy,
    titles: &TitleTrie,
    prompt: &EncodedPrompt,
) -> BTreeMap<&'static str, f64> {
    let constraint = titles.constraint();
    let items: BTreeMap<&str, ItemId> =
        TITLES.into_iter().zip((0..).map(ItemId)).filter(|(title, _)| !title.is_empty()).collect();
    let word = |id| CompletionToken::Scored(Target::Word(id));
    let rollouts: Vec<Vec<CompletionToken>> = items
        .values()
        .map(|item| {
            constraint.ids(&constraint.flat(*item).unwrap()).into_iter().map(word).collect()
        })
        .collect();
    let prompts = TokenBatch::new(&[&prompt.ids], shop.tokenizer.pad(), 64, Device::Cpu).unwrap();
    let completions = Completions { prompts: &prompts, begun: &[0], rollouts: &[rollouts] };
    let model = model.language_model().unwrap();
    let _guard = tch::no_grad_guard();
    let found = completion_logp(model, constraint, &completions, Scoring::Full).unwrap();
    let logp = Vec::<f64>::try_from(found.logp.to_kind(tch::Kind::Double)).unwrap();
    let mut logp = logp.into_iter();
    items
        .into_keys()
        .zip(&found.lens)
        .map(|(title, len)| (title, logp.by_ref().take(*len).sum()))
        .collect()
}

struct Asked<'a> {
    shop: &'a Shop,
    titles: &'a TitleTrie,
    config: RlConfig,
    prompts: Vec<(EncodedPrompt, AnswerKind)>,
}

impl Asked<'_> {
    fn reinforce<P: Trainable>(
        &self,
        dir: &Path,
        model: P,
        reward: &dyn Reward,
        observer: &mut dyn Observer,
    ) -> Result<P, TrainError> {
        let Self { shop, titles, config, prompts } = self;
        let rl = Rl {
            stage: "rl",
            config: &config.check("rl")?,
            reward: StepReward::One(reward),
            spec: shop.catalog.spec(),
            num_levels: None,
            facts: ItemFacts::default(),
            constraint: &shop.constraint,
            own: OwnMethods::default(),
            pad: shop.tokenizer.pad(),
            tokenizer: Some(&shop.tokenizer),
            markers: None,
            slates: None,
            titles: Some(titles),
            seed: 4,
            batch_size: 8,
            checkpoints: &Checkpoints::new(dir, Binding::new()),
        };
        let asked: Vec<RlPrompt> = prompts
            .iter()
            .map(|(prompt, answer)| {
                let target = shop.constraint.flat(prompt.target).unwrap();
                RlPrompt { prompt: prompt.clone(), target, answer: *answer, later: Vec::new() }
            })
            .collect();
        let valid = [Shop::prompt(0, ItemId(4), Mode::Direct)];
        rl.run(model, &asked, &valid, observer)
    }

    fn trained<P: Trainable>(&self, model: P, reward: &dyn Reward, log: &mut Log) -> P {
        let dir = tempfile::tempdir().unwrap();
        self.reinforce(dir.path(), model, reward, log).unwrap()
    }
}

fn asked(user: u32, target: u32, answer: AnswerKind) -> (EncodedPrompt, AnswerKind) {
    (Shop::prompt(user, ItemId(target), Mode::Direct), answer)
}

#[test]
fn the_trie_spells_titles_as_supervised_training_does() {
    let shop = Shop::new();
    let items: Vec<Item> =
        (0..).zip(TITLES).map(|(i, t): (u32, _)| Item::new(i.to_string(), t)).collect();
    let events = [2, 0, 1].map(ItemId).to_vec();
    let dataset = Dataset::new(items, vec![User::new("u", events)]).unwrap();
    let registry = PromptRegistry::builtin().unwrap();
    let trie = Trie::from_catalog(&shop.catalog);
    for set in ["singer-terse", "singer"] {
        let prompts = registry.set(set).unwrap();
        let tasks = Tasks::new(&dataset, &shop.catalog, prompts).unwrap();
        let encoder = Encoder::new(&shop.tokenizer, &shop.catalog, prompts, &trie).unwrap();
        let titles =
            TitleTrie::new(&TITLES, &[Task::SidToTitle], prompts, &encoder, Device::Cpu).unwrap();
        let constraint = titles.constraint();
        for item in (0..9).map(ItemId).filter(|item| !TITLES[item.index()].is_empty()) {
            let rendered = tasks.item(Task::SidToTitle, item, Wording::First).unwrap().unwrap();
            let sequence = encoder.sequence(&rendered).unwrap();
            let [prompt] = encoder.prompts(&[rendered]).unwrap().try_into().unwrap();
            let written = constraint.ids(&constraint.flat(item).unwrap());
            assert_eq!(sequence.ids[prompt.ids.len()..], written, "{set}, {item:?}");
        }
        let leaf = |item| constraint.trie().leaf(ItemId(item)).unwrap();
        assert_eq!(leaf(1), leaf(2), "one title, one leaf");
        assert!(titles.untitled().contains(leaf(7)) && !titles.untitled().contains(leaf(0)));
    }
}

#[test]
fn sets_that_write_titles_in_two_forms_are_refused() {
    let shop = Shop::new();
    let registry = PromptRegistry::builtin().unwrap();
    let prompts = registry.set("singer-terse").unwrap();
    let mut spec = prompts.spec().clone();
    let template = spec.templates.iter_mut().find(|t| t.task == Task::SidHistoryToTitle).unwrap();
    template.completion[0].text = "{{ title }}<|im_end|>".to_owned();
    let prompts = sidereal_prompts::PromptSet::new(spec).unwrap();
    let trie = Trie::from_catalog(&shop.catalog);
    let encoder = Encoder::new(&shop.tokenizer, &shop.catalog, &prompts, &trie).unwrap();
    let of = |tasks: &[Task]| TitleTrie::new(&TITLES, tasks, &prompts, &encoder, Device::Cpu);
    assert!(of(&[Task::SidHistoryToTitle]).is_ok());
    let error = of(&[Task::SidToTitle, Task::SidHistoryToTitle]).unwrap_err().to_string();
    assert!(error.contains("`sid-to-title` and `sid-history-to-title` differ"), "{error}");
}

#[test]
fn beams_over_titles_are_the_best_of_all_titles() {
    fn check<P: Trainable>(model: impl Fn(&Shop) -> P) {
        let shop = &Shop::new();
        let titles = &trie_of(shop);
        for target in [0, 2, 6] {
            let prompts = vec![asked(target, target, AnswerKind::Title)];
            let best = log_probabilities(shop, &model(shop), titles, &prompts[0].0);
            let mut order: Vec<&str> = best.keys().copied().collect();
            order.sort_by(|a, b| best[b].total_cmp(&best[a]));
            // More beams than titles: all of them, and never the end alone of the item without a title.
            let config = RlConfig { steps: 1, group_size: 12, ..short() };
            let asked = Asked { shop, titles, config, prompts };
            let mut log = Log::default();
            // The reward of the stage, here of the Semantic ID, is not that of titles.
            let _ = asked.trained(model(shop), &SidLevel::default(), &mut log);
            let shown = log.0.iter().find_map(|record| record.rollouts.clone()).unwrap();
            let title = |text: &str| text.trim_end_matches("<|im_end|>").trim().to_owned();
            let found: Vec<String> = shown.rollouts.iter().map(|r| title(&r.text)).collect();
            assert_eq!(found, order[..found.len()], "of {best:?}");
            let wanted = TITLES[target as usize];
            assert_eq!(title(&shown.target), wanted);
            for rollout in &shown.rollouts {
                let right = title(&rollout.text) == wanted;
                assert_eq!((rollout.hit, rollout.reward > 0.5), (right, right));
            }
            // One of all is right, whichever of two items with its title is the target.
            let count = distinct().len() as f64;
            assert_eq!(log.values("rollouts"), [count]);
            for name in ["reward", "rewarded", "reward_title"] {
                assert!((log.values(name)[0] - 1.0 / count).abs() < 1e-12, "{name}");
            }
            assert_eq!((log.values("hit"), log.values("distinct")), (vec![1.0], vec![1.0]));
        }
    }
    check(|shop| shop.model(3));
    check(encoder_decoder::model);
}

/// The weights after the last step, which need not be those of the best validation.
fn last_weights<P: Trainable>(
    asked: &Asked<'_>,
    model: P,
    reward: &dyn Reward,
    log: &mut Log,
) -> Vec<Tensor> {
    let live: Vec<Tensor> = model.weights().values().map(Tensor::shallow_clone).collect();
    let mut last = Vec::new();
    let dir = tempfile::tempdir().unwrap();
    let mut observer = |record: &Record| {
        log.on_record(record);
        last = live.iter().map(|weight| weight.detach().copy()).collect();
    };
    let _ = asked.reinforce(dir.path(), model, reward, &mut observer).unwrap();
    last
}

#[test]
fn the_title_of_the_target_becomes_more_probable_and_has_no_guide() {
    fn check<P: Trainable>(model: impl Fn(&Shop) -> P) {
        let shop = &Shop::new();
        let titles = &trie_of(shop);
        let prompt = Shop::prompt(1, ItemId(0), Mode::Direct);
        let before = log_probabilities(shop, &model(shop), titles, &prompt);
        let mut order: Vec<&str> = before.keys().copied().collect();
        order.sort_by(|a, b| before[b].total_cmp(&before[a]));
        let second = TITLES.iter().position(|title| *title == order[1]).unwrap();
        let target = ItemId(u32::try_from(second).unwrap());
        let draws = [RolloutConfig::Sample(at(1.0)), RolloutConfig::Dynamic(at(1.0))];
        for rollout in draws.into_iter().chain([RolloutConfig::Beam]) {
            let prompts = vec![(EncodedPrompt { target, ..prompt.clone() }, AnswerKind::Title)];
            let config = RlConfig { rollout, group_size: 12, prefix_curriculum: true, ..short() };
            let asked = Asked { shop, titles, config, prompts };
            let mut log = Log::default();
            let last = last_weights(&asked, model(shop), &SidLevel::default(), &mut log);
            assert!(log.values("guide").iter().all(|guide| *guide <= 0.0), "no title is given");
            let trained = model(shop);
            for (weight, last) in trained.weights().values().zip(&last) {
                let _guard = tch::no_grad_guard();
                weight.detach().copy_(last);
            }
            let after = log_probabilities(shop, &trained, titles, &prompt);
            let (before, after) = (before[order[1]], after[order[1]]);
            assert!(after > before + 0.3, "{rollout:?}: {before} to {after}");
        }
    }
    check(|shop| shop.model(3));
    check(encoder_decoder::model);
}

/// What the first step adds to every weight: with such constants AdamW follows the gradient.
fn first_step(asked: &Asked<'_>) -> Vec<Tensor> {
    let start = asked.shop.model(3);
    let moved = last_weights(asked, asked.shop.model(3), &SidLevel::default(), &mut Log::default());
    start.weights().values().zip(moved).map(|(before, after)| after - before).collect()
}

#[test]
fn titles_change_no_gradient_of_semantic_ids() {
    let shop = &Shop::new();
    let titles = &trie_of(shop);
    let sids = vec![asked(0, 3, AnswerKind::Sid), asked(1, 4, AnswerKind::Sid)];
    let words = vec![asked(2, 3, AnswerKind::Title), asked(3, 0, AnswerKind::Title)];
    for advantage in [AdvantageConfig::default(), AdvantageConfig::MeanOnly] {
        for (rollout, group_size) in
            [(RolloutConfig::Beam, 6), (RolloutConfig::Sample(at(1.0)), 32)]
        {
            let of = |prompts: Vec<(EncodedPrompt, AnswerKind)>| {
                let mut optim = constant(1e7);
                (optim.eps, optim.clip_norm) = (1e7, 1e9);
                let config = RlConfig {
                    advantage,
                    rollout,
                    optim,
                    steps: 1,
                    prompts_per_step: prompts.len(),
                    group_size,
                    validate_every: 1,
                    max_kl: f64::INFINITY,
                    ..short()
                };
                first_step(&Asked { shop, titles, config, prompts })
            };
            let (alone, of_titles) = (of(sids.clone()), of(words.clone()));
            let both = of([sids.clone(), words.clone()].concat());
            // Every rollout counts the same, and both kinds have as many: half of the sum of two means.
            let (mut worst, mut most) = (0f64, 0f64);
            for ((both, alone), of_titles) in both.iter().zip(&alone).zip(&of_titles) {
                let expected = (alone + of_titles) / 2.0;
                worst = worst.max(f64::try_from((both - expected).abs().max()).unwrap());
                most = most.max(f64::try_from(alone.abs().max()).unwrap());
            }
            assert!(
                most > 1e-4 && worst < 2e-3 * most,
                "{advantage:?}, {rollout:?}: {worst} of {most}"
            );
        }
    }
}

#[test]
fn a_killed_run_with_titles_resumes_on_the_very_same_curve() {
    let shop = &Shop::new();
    let titles = &trie_of(shop);
    let prompts: Vec<_> = (0..6)
        .map(|user| {
            let kinds = [AnswerKind::Sid, AnswerKind::Title];
            asked(user, user, kinds[user as usize % 2])
        })
        .collect();
    let config = RlConfig {
        rollout: RolloutConfig::Sample(at(1.0)),
        steps: 6,
        prompts_per_step: 3,
        max_draws: 2,
        checkpoint_every: 2,
        validate_every: 2,
        prefix_curriculum: true,
        ..short()
    };
    let asked = Asked { shop, titles, config, prompts };
    let bits = |model: &Decoder| -> Vec<Vec<f32>> {
        let flat = |weight: &Tensor| Vec::<f32>::try_from(weight.flatten(0, -1)).unwrap();
        model.weights().values().map(flat).collect()
    };
    let mut log = Log::default();
    let whole = bits(&asked.trained(shop.model(3), &Accuracy, &mut log));
    for step in [1, 4, 5] {
        let dir = tempfile::tempdir().unwrap();
        let mut kill = |record: &Record| assert!(record.step != step, "killed");
        let run = AssertUnwindSafe(|| {
            asked.reinforce(dir.path(), shop.model(3), &Accuracy, &mut kill).map(drop)
        });
        assert!(catch_unwind(run).is_err());
        let mut rest = Log::default();
        let resumed = asked.reinforce(dir.path(), shop.model(3), &Accuracy, &mut rest).unwrap();
        assert!(bits(&resumed) == whole, "killed after step {step}");
        assert_eq!(rest.0, log.0[log.0.len() - rest.0.len()..]);
    }
}

#[test]
fn alignment_tasks_have_one_answer_and_shares_that_fit_together() {
    let refused = |alignment: &[(Task, f64)]| {
        let alignment = alignment
            .iter()
            .map(|(task, share)| AlignmentShare { task: *task, share: *share })
            .collect();
        match (RlConfig { alignment, ..short() }).check("rl") {
            Err(TrainError::Setting { field, found, .. }) => format!("{field} {found}"),
            Err(other) => other.to_string(),
            Ok(_) => String::new(),
        }
    };
    let five = [
        Task::TitleToSid,
        Task::SidToTitle,
        Task::TitleHistoryToSid,
        Task::SidHistoryToTitle,
        Task::DescriptionToSid,
    ];
    assert_eq!(refused(&five.map(|task| (task, 0.2))), "", "everything may be alignment");
    for (alignment, named) in [
        (&[(Task::NextItem, 0.1)][..], "stage.rl.rl.alignment.task `next-item`"),
        (&[(Task::TitleChoice, 0.1)], "stage.rl.rl.alignment.task `title-choice`"),
        (&[(Task::SidToDescription, 0.1)], "stage.rl.rl.alignment.task `sid-to-description`"),
        (&[(Task::TitleToSid, 0.1); 2], "stage.rl.rl.alignment.task `title-to-sid` twice"),
        (&[(Task::TitleToSid, 0.0)], "stage.rl.rl.alignment.share 0"),
        (&[(Task::TitleToSid, f64::NAN)], "stage.rl.rl.alignment.share NaN"),
        (&[(Task::TitleToSid, 0.6), (Task::SidToTitle, 0.5)], "stage.rl.rl.alignment 1.1 in total"),
    ] {
        assert_eq!(refused(alignment), named);
    }
}
