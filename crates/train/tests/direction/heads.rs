//! A recommendation head: its gradients against plain autograd, that items are learned, and that a killed training of
//! chains goes on.

use std::panic::{AssertUnwindSafe, catch_unwind};

use sidereal_data::{ItemId, SampleId, UserId};
use sidereal_policy::{
    CompletionEnds, CompletionToken, Completions, Constraint, Decoder, DecoderConfig, ItemHead,
    LanguageModel as _, ReasoningMarkers, SamplingConfig, Scoring, SidTokenizer, Target,
    TokenBatch, TokenLaw, Weights,
};
use sidereal_rl::FusedReward;
use sidereal_sid::{Catalog, SemanticId, SidSpec};
use sidereal_train::{
    Batching, Binding, Checkpoints, EncodedPrompt, HeadAnswers, HeadChainConfig, HeadItems,
    ItemFacts, ItemHeadConfig, ItemHeadTraining, Mode, Observer, OptimConfig, RecPoConfig, Record,
    Schedule,
};
use tch::{Device, Kind, Tensor};

/// Six items, whose texts are one word and the mark.
struct Words {
    constraint: Constraint,
    tokenizer: SidTokenizer,
    markers: ReasoningMarkers,
    items: HeadItems,
}

impl Words {
    fn new() -> Self {
        let sids = (0..6u16).map(|item| SemanticId::from([item])).collect();
        let catalog = Catalog::new(SidSpec::new(vec![6], 0).unwrap(), sids).unwrap();
        let tokenizer = SidTokenizer::train(["a b c =>"].iter(), 260, catalog.spec()).unwrap();
        let constraint = Constraint::new(&catalog, &tokenizer, Device::Cpu).unwrap();
        let markers = ReasoningMarkers::closing(&tokenizer, "=").unwrap();
        let text = |item: u32| Some([&[20 + item, 7][..], markers.close()].concat());
        let items = HeadItems::new((0..6).map(text).collect());
        Self { constraint, tokenizer, markers, items }
    }

    /// A random policy with matrices `scale` times as large as new ones.
    fn model(&self, scale: f64) -> Decoder {
        let config = DecoderConfig::tiny(self.tokenizer.vocab_size());
        let model = Decoder::random(config, 3, Device::Cpu).unwrap();
        let _guard = tch::no_grad_guard();
        for weight in model.weights().values().filter(|weight| weight.dim() > 1) {
            let mut weight = weight.shallow_clone();
            weight *= scale;
        }
        model
    }

    /// Each of six users chose the item of the user's number, after a history of one word of their own.
    fn prompts() -> Vec<EncodedPrompt> {
        let prompt = |user: u32| EncodedPrompt {
            id: SampleId::Event { user: UserId(user), position: 3 },
            target: ItemId(user),
            mode: Mode::Direct,
            pool: Vec::new(),
            ids: vec![5, 30 + user, 9],
        };
        (0..6).map(prompt).collect()
    }

    fn training<'a>(
        &'a self,
        config: &'a sidereal_train::Checked<ItemHeadConfig>,
        checkpoints: &'a Checkpoints,
    ) -> ItemHeadTraining<'a> {
        ItemHeadTraining {
            stage: "head",
            config,
            constraint: &self.constraint,
            items: &self.items,
            markers: &self.markers,
            facts: ItemFacts::default(),
            pad: self.tokenizer.pad(),
            seed: 4,
            batch_size: 4,
            checkpoints,
        }
    }

    /// The policy after training on all prompts, and the records.
    fn trained(&self, model: Decoder, config: &ItemHeadConfig) -> (Decoder, Vec<Record>) {
        let dir = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::new(dir.path(), Binding::new());
        let config = config.check("head").unwrap();
        let (prompts, mut log) = (Self::prompts(), Vec::new());
        let mut observer = |record: &Record| log.push(record.clone());
        let training = self.training(&config, &checkpoints);
        let model = training.run(model, &prompts, &prompts, &mut observer).unwrap();
        (model, log)
    }
}

fn constant(lr: f64) -> OptimConfig {
    let schedule = Schedule::Constant;
    OptimConfig { lr, warmup: 0.0, schedule, weight_decay: 0.0, ..OptimConfig::default() }
}

fn values(log: &[Record], name: &str) -> Vec<f64> {
    log.iter().filter_map(|record| record.values.get(name).copied()).collect()
}

fn gradients(model: &Decoder) -> Weights {
    let own = |(name, weight): (&String, &Tensor)| {
        let grad = weight.grad();
        let found = if grad.defined() { grad.copy() } else { weight.zeros_like() };
        weight.shallow_clone().zero_grad();
        (name.clone(), found)
    };
    model.weights().iter().map(own).collect()
}

#[test]
fn one_backward_pass_of_words_and_items_equals_plain_autograd() {
    let words = Words::new();
    let model = words.model(5.0).require_grad(true);
    let head = ItemHead::new(0.3).unwrap();
    let law = TokenLaw::of_draws(
        Scoring::Full,
        SamplingConfig::new(1.4).unwrap(),
        SamplingConfig::new(1.0).unwrap(),
    )
    .unwrap();
    let pad = words.tokenizer.pad();
    let prompts: Vec<Vec<u32>> = vec![vec![5, 31, 9, 8], vec![6, 30]];
    let (read, drawn) = (CompletionToken::Read, |id| CompletionToken::Scored(Target::Word(id)));
    // Of different lengths, one without drawn words, and one without any.
    let rollouts = vec![
        vec![vec![drawn(11), drawn(4), read(7)], vec![read(7)]],
        vec![vec![drawn(12), read(7)], Vec::new()],
    ];
    let (d_words, targets) = ([0.7, -0.4, 0.9], [2i64, 0, 1, 2]);
    let (d_items, texts) = ([0.5, -0.8, 0.3, 0.6], &words.items.texts()[..3]);
    let text_refs: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();

    let tokens = TokenBatch::new(&prompts, pad, 64, Device::Cpu).unwrap();
    let completions = Completions { prompts: &tokens, begun: &[0, 0], rollouts: &rollouts };
    let vectors = head.vectors(&model, &text_refs, pad).unwrap();
    let ends = CompletionEnds::read(&model, &words.constraint, &completions, law).unwrap();
    let weights = Tensor::from_slice(&d_items).to_kind(Kind::Float);
    let columns = Tensor::from_slice(&targets).unsqueeze(1);
    let own = head.logp(ends.ends(), &vectors).unwrap().gather(1, &columns, false).squeeze_dim(1);
    let found = (ends.logp(), own.detach());
    (own * &weights).sum(Kind::Float).backward();
    ends.backward(&Tensor::from_slice(&d_words)).unwrap();
    let fast = gradients(&model);

    // The same, each row read alone, token by token of the formulas.
    let unit =
        |x: &Tensor| x / x.square().sum_dim_intlist([-1i64].as_slice(), true, Kind::Float).sqrt();
    let states = |ids: &[u32]| {
        let row = TokenBatch::new(&[ids], pad, 64, Device::Cpu).unwrap();
        model.forward(&row, 0.0).unwrap().squeeze_dim(0)
    };
    let items: Vec<Tensor> = texts.iter().map(|text| states(text).get(-1)).collect();
    let items = unit(&Tensor::stack(&items, 0));
    let (mut logp, mut of_items, mut sum) = (Vec::new(), Vec::new(), Tensor::from(0f32));
    for (prompt, group) in prompts.iter().zip(&rollouts) {
        for tokens in group {
            let id = |token: &CompletionToken| match token {
                CompletionToken::Read(id) | CompletionToken::Scored(Target::Word(id)) => *id,
                other @ CompletionToken::Scored(_) => panic!("{other:?}"),
            };
            let ids: Vec<u32> = prompt.iter().copied().chain(tokens.iter().map(id)).collect();
            let states = states(&ids);
            for (at, token) in tokens.iter().enumerate() {
                if matches!(token, CompletionToken::Scored(_)) {
                    let before = states.narrow(0, i64::try_from(prompt.len() + at - 1).unwrap(), 1);
                    let laws =
                        (model.head().logits(&before).unwrap() / 1.4).log_softmax(-1, Kind::Float);
                    let one = laws.get(0).get(i64::from(id(token)));
                    sum += &one * d_words[logp.len()];
                    logp.push(f64::try_from(&one).unwrap());
                }
            }
            let user = unit(&states.get(-1).unsqueeze(0));
            let laws = (user.matmul(&items.transpose(0, 1)) / 0.3).log_softmax(-1, Kind::Float);
            let at = of_items.len();
            let one = laws.get(0).get(targets[at]);
            sum += &one * d_items[at];
            of_items.push(f64::try_from(&one).unwrap());
        }
    }
    sum.backward();
    let plain = gradients(&model);
    for (found, expected) in [(found.0, logp), (found.1, of_items)] {
        let found = Vec::<f64>::try_from(found.to_kind(Kind::Double)).unwrap();
        assert_eq!(found.len(), expected.len());
        assert!(
            found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-4),
            "{found:?} {expected:?}"
        );
    }
    let mut largest = 0f64;
    for (name, expected) in &plain {
        let size = f64::try_from(expected.abs().max()).unwrap();
        let worst = f64::try_from((&fast[name] - expected).abs().max()).unwrap();
        assert!(worst < 2e-4 * (1.0 + size), "{name}: {worst} of {size}");
        largest = largest.max(size);
    }
    assert!(largest > 0.1, "a gradient that is not there proves nothing: {largest}");
}

#[test]
fn a_head_learns_which_item_follows_and_looks_at_one_user_alone() {
    let words = Words::new();
    for chain in [None, Some(HeadChainConfig { budget: 2, ..HeadChainConfig::default() })] {
        let config = ItemHeadConfig {
            steps: 60,
            prompts_per_step: 6,
            micro_batch: 4,
            temperature: 0.2,
            chain,
            optim: constant(1e-2),
            validate_every: 20,
            checkpoint_every: 60,
            ..ItemHeadConfig::default()
        };
        let (model, log) = words.trained(words.model(2.0), &config);
        let (loss, ndcg) = (values(&log, "loss"), values(&log, "valid_ndcg"));
        assert!(loss[59] < 0.5 * loss[0], "{loss:?}");
        assert!(ndcg.last().unwrap() > &0.95 && ndcg[0] < 0.95, "{ndcg:?}");
        // What one user is recommended does not depend on the other users of the batch, or on the lengths of their prompts.
        let answers = HeadAnswers {
            model: &model,
            head: config.head().unwrap(),
            items: &words.items,
            markers: &words.markers,
            budget: chain.map(|chain| chain.budget),
            pad: words.tokenizer.pad(),
            count: 6,
        };
        let mut asked = Words::prompts();
        let rank = |asked: &[EncodedPrompt], batch_size| {
            let batching = Batching { pad: words.tokenizer.pad(), batch_size, job: "test" };
            answers.rank(asked, batching, &mut |_: &Record| {}).unwrap()
        };
        let alone = rank(&asked[..1], 1);
        assert_eq!(alone[0].found.len(), 6);
        let sum: f32 = alone[0].scores.iter().map(|score| score.exp()).sum();
        assert!((sum - 1.0).abs() < 1e-4, "{sum}");
        asked[1].ids.extend([8, 8, 8]);
        let beside = rank(&asked, 6);
        assert_eq!(beside[0].found, alone[0].found);
        let near = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-3;
        assert!(beside[0].scores.iter().zip(&alone[0].scores).all(near));
    }
}

/// Chains of three words of which only the words are learned.
fn recpo(steps: usize) -> ItemHeadConfig {
    ItemHeadConfig {
        steps,
        prompts_per_step: 6,
        micro_batch: 4,
        temperature: 0.2,
        negatives: 2,
        chain: Some(HeadChainConfig { budget: 3, ..HeadChainConfig::default() }),
        recpo: Some(RecPoConfig {
            group_size: 8,
            reward: FusedReward::new(1.0, 10).unwrap(),
            learned: 0,
            refresh_every: 4,
            ..RecPoConfig::default()
        }),
        optim: constant(3e-3),
        validate_every: steps,
        checkpoint_every: 2,
        ..ItemHeadConfig::default()
    }
}

/// What each one-word chain is worth to the first user: the share of the user's item among all after it, `[V]`.
fn worth(words: &Words, model: &Decoder, head: ItemHead) -> Tensor {
    let pad = words.tokenizer.pad();
    let texts: Vec<&[u32]> = words.items.texts().iter().map(Vec::as_slice).collect();
    let items = head.vectors(model, &texts, pad).unwrap();
    let prompt = &Words::prompts()[0].ids;
    let chain = |word: u32| [prompt, &[word][..], words.markers.close()].concat();
    let rows: Vec<Vec<u32>> =
        (0..u32::try_from(words.tokenizer.vocab_size()).unwrap()).map(chain).collect();
    let tokens = TokenBatch::new(&rows, pad, 64, Device::Cpu).unwrap();
    let ends = model.forward(&tokens, 0.0).unwrap().select(1, -1);
    head.logp(&ends, &items).unwrap().select(1, 0).exp()
}

/// How probable each word is after the first user's prompt, `[V]`.
fn first_words(model: &Decoder) -> Tensor {
    let row = TokenBatch::new(&[&Words::prompts()[0].ids], 0, 64, Device::Cpu).unwrap();
    let last = model.forward(&row, 0.0).unwrap().select(1, -1);
    model.head().logits(&last).unwrap().softmax(-1, Kind::Float).squeeze_dim(0)
}

#[test]
fn words_become_likely_after_which_the_target_stands_higher() {
    let words = Words::new();
    let mut config = recpo(10);
    (config.temperature, config.prompts_per_step) = (0.3, 1);
    config.chain = Some(HeadChainConfig { budget: 1, ..HeadChainConfig::default() });
    if let Some(recpo) = &mut config.recpo {
        recpo.group_size = 64;
    }
    config.optim = constant(1e-3);
    let start = words.model(6.0);
    // The weights move the states too, so chains are valued by the policy before: only the words' change is seen.
    let head = config.head().unwrap();
    let (worth, before) = tch::no_grad(|| (worth(&words, &start, head), first_words(&start)));
    // The end of a training has the best weights of its validation; these are the last ones.
    let live: Weights = start
        .weights()
        .iter()
        .map(|(name, weight)| (name.clone(), weight.shallow_clone()))
        .collect();
    let last = words.model(6.0);
    let (dir, prompts) = (tempfile::tempdir().unwrap(), Words::prompts());
    let checkpoints = Checkpoints::new(dir.path(), Binding::new());
    let config = config.check("head").unwrap();
    let mut observer = |record: &Record| {
        if record.step == 10 {
            for (name, weight) in last.weights() {
                tch::no_grad(|| weight.shallow_clone().copy_(&live[name]));
            }
        }
    };
    let training = words.training(&config, &checkpoints);
    training.run(start, &prompts[..1], &prompts[..1], &mut observer).unwrap();
    let after = tch::no_grad(|| first_words(&last));
    let value = |chances: &Tensor| f64::try_from((chances * &worth).sum(Kind::Double)).unwrap();
    assert!(value(&after) > 1.05 * value(&before), "{} {}", value(&before), value(&after));
}

#[test]
fn a_training_of_chains_that_was_killed_goes_on_as_if_it_had_not_been() {
    let words = Words::new();
    let run = |dir: &std::path::Path, observer: &mut dyn Observer| {
        let checkpoints = Checkpoints::new(dir, Binding::new());
        let config = recpo(7).check("head").unwrap();
        let prompts = Words::prompts();
        let training = words.training(&config, &checkpoints);
        let model = training.run(words.model(4.0), &prompts, &prompts, observer).unwrap();
        model
            .weights()
            .iter()
            .map(|(name, weight)| (name.clone(), weight.copy()))
            .collect::<Weights>()
    };
    let (whole, parts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let expected = run(whole.path(), &mut |_: &Record| {});
    // Between two refreshes of the vectors of all items, which a checkpoint keeps.
    let mut kill = |record: &Record| assert!(record.step < 7, "killed");
    assert!(catch_unwind(AssertUnwindSafe(|| run(parts.path(), &mut kill))).is_err());
    let found = run(parts.path(), &mut |_: &Record| {});
    for (name, expected) in &expected {
        assert!(bool::try_from(found[name].eq_tensor(expected).all()).unwrap(), "{name}");
    }
}

#[test]
fn settings_that_teach_nothing_are_named() {
    let fits = recpo(3);
    assert!(fits.check("head").is_ok());
    let cold = HeadChainConfig { words: SamplingConfig::greedy(), ..HeadChainConfig::default() };
    let alone = RecPoConfig { group_size: 1, ..RecPoConfig::default() };
    for (config, named) in [
        (ItemHeadConfig { steps: 0, ..fits.clone() }, "`stage.head.item_head.steps` is 0"),
        (
            ItemHeadConfig { temperature: 0.0, ..fits.clone() },
            "`stage.head.item_head.temperature` is 0",
        ),
        (ItemHeadConfig { chain: None, ..fits.clone() }, "`stage.head.item_head.chain` is missing"),
        (
            ItemHeadConfig { recpo: Some(alone), ..fits.clone() },
            "`stage.head.item_head.recpo.group_size` is 1",
        ),
        (
            ItemHeadConfig { prompts_per_step: 1, negatives: 0, ..fits.clone() },
            "`stage.head.item_head.negatives` is 0",
        ),
    ] {
        let error = config.check("head").unwrap_err().to_string();
        assert!(error.contains(named), "{error}");
    }
    // What is drawn greedily has no probability to learn.
    assert!(ItemHeadConfig { chain: Some(cold), ..fits.clone() }.check("head").is_err());
    assert!(ItemHeadConfig { chain: Some(cold), recpo: None, ..fits }.check("head").is_ok());
}
