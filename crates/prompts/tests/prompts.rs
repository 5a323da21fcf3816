//! The wording of every task: a change here changes the prompt hash of every checkpoint.
#![allow(clippy::unwrap_used, reason = "a test's panic is its report")]

use std::fmt::Write as _;
use std::num::NonZeroUsize;

use sidereal_data::{
    Dataset, HeldOut as _, Item, ItemId, NegativeKind, Negatives, SampleId, Split, User, UserId,
    leave_one_out,
};
use sidereal_prompts::{
    Enrichment, EnrichmentKind, Enrichments, Facts, PoolConfig, Pools, PromptRegistry, Task, Tasks,
    Wording,
};
use sidereal_sid::{Catalog, SemanticId, SidSpec};

struct Shop {
    dataset: Dataset,
    split: Split,
    catalog: Catalog,
    texts: Enrichments,
}

/// Six items, one user who chose the first three; teachers' texts about the target.
fn shop() -> Shop {
    let titles = ["steel kettle 2 l", "tea tin", "teapot", "desk lamp", "desk fan", "floor lamp"];
    let describe = |title: &str| format!("A {title} for every day.\nMade to last.");
    let items = titles.map(|title| Item::new(title, title).with_description(describe(title)));
    let user = User::new("u", [0, 1, 2].map(ItemId).to_vec());
    let dataset = Dataset::new(items.to_vec(), vec![user]).unwrap();
    let split = leave_one_out(&dataset, NonZeroUsize::MAX).unwrap();
    let sids = [[1, 22, 3], [1, 22, 4], [1, 7, 0], [9, 0, 1], [9, 0, 2], [9, 5, 1]];
    let spec = SidSpec::new(vec![32; 3], 0).unwrap();
    let catalog = Catalog::new(spec, sids.map(SemanticId::from).to_vec()).unwrap();
    let event = SampleId::Event { user: UserId(0), position: 2 };
    let mut texts = Enrichments::default();
    for (id, kind, text) in [
        (SampleId::Item(ItemId(2)), EnrichmentKind::ItemParagraph, "<a_1><b_7><c_0> pours tea."),
        (event, EnrichmentKind::UserNarrative, "First water, then leaves."),
        (event, EnrichmentKind::Preference, "Likes tea."),
        (event, EnrichmentKind::Reasoning, "Step 1: water, tea\nRewriting: <a_1><b_22><c_4>"),
        (event, EnrichmentKind::Monologue, "I see water, then tea."),
    ] {
        let text = Enrichment {
            id,
            kind,
            text: text.to_owned(),
            teacher: "by hand".to_owned(),
            prompt_hash: String::new(),
            dataset: Some(dataset.hash()),
        };
        texts.insert(text, false).unwrap();
    }
    Shop { dataset, split, catalog, texts }
}

/// Every task of a set in every paraphrase.
fn page(set: &str) -> String {
    let Shop { dataset, split, catalog, texts } = shop();
    let registry = PromptRegistry::builtin().unwrap();
    let prompts = registry.set(set).unwrap();
    let negatives = Negatives::new(NegativeKind::Random, &split.train, &catalog).unwrap();
    let config = PoolConfig { size: 4, slate_size: 2, ..PoolConfig::new(5) };
    let pools = Pools::new(config, negatives, &split.train).unwrap();
    let tasks = Tasks::new(&dataset, &catalog, prompts).unwrap();
    let tasks = tasks.with_enrichments(&texts).unwrap().with_pools(&pools);
    let test = split.test.sample(0).unwrap();
    let mut page = format!("{set}: {}\nhash {}\n", prompts.spec().about, prompts.hash());
    for task in prompts.tasks() {
        let template = prompts.template(task).unwrap();
        writeln!(page, "\nversion {}", template.version).unwrap();
        for paraphrase in 0..template.prompts.len() {
            let wording = Wording::Nth(paraphrase);
            let rendered = if task.is_about_an_item() {
                tasks.item(task, test.target, wording)
            } else {
                tasks.event(task, &test, wording)
            };
            let rendered = rendered.unwrap().unwrap();
            assert!(!rendered.completion.is_empty(), "{task}");
            write!(page, "{rendered}").unwrap();
        }
    }
    page
}

#[test]
fn terse_prompts_read_as_recorded() {
    insta::assert_snapshot!(page("terse"));
}

#[test]
fn singers_prompts_read_as_recorded() {
    insta::assert_snapshot!(page("singer"));
}

#[test]
fn singers_prompts_in_one_word_read_as_recorded() {
    insta::assert_snapshot!(page("singer-terse"));
}

#[test]
fn sidreasoners_prompts_read_as_recorded() {
    insta::assert_snapshot!(page("sidreasoner"));
}

#[test]
fn greams_prompts_read_as_recorded() {
    insta::assert_snapshot!(page("gream"));
}

#[test]
fn sages_prompts_read_as_recorded() {
    insta::assert_snapshot!(page("sage"));
}

#[test]
fn sdpos_prompts_read_as_recorded() {
    insta::assert_snapshot!(page("sdpo"));
}

#[test]
fn prompts_in_bare_titles_read_as_recorded() {
    insta::assert_snapshot!(page("titles"));
}

#[test]
fn lc_recs_prompts_read_as_recorded() {
    insta::assert_snapshot!(page("lc-rec"));
}

#[test]
fn bigrecs_prompts_read_as_recorded() {
    insta::assert_snapshot!(page("bigrec"));
}

/// The demo's results and every checkpoint made so far depend on these very bytes and this hash.
#[test]
fn the_terse_set_is_what_the_first_version_had() {
    let registry = PromptRegistry::builtin().unwrap();
    let terse = registry.set("terse").unwrap();
    let expected = "6c82c7671140241986681ccef157ce57f626310cb50f7b45480c2c17a9b297f3";
    assert_eq!(terse.hash(), expected);
    let facts = Facts {
        history: Some(vec!["<a_1><b_22><c_3>", "<a_4><b_5><c_6><d_1>"]),
        sid: Some("<a_4><b_5><c_6><d_1>"),
        title: Some("steel kettle 2 l"),
        ..Facts::default()
    };
    for (task, prompt, completion) in [
        (Task::NextItem, "next:<a_1><b_22><c_3><a_4><b_5><c_6><d_1>", "<a_4><b_5><c_6><d_1>"),
        (Task::TitleToSid, "title: steel kettle 2 l sid:", "<a_4><b_5><c_6><d_1>"),
        (Task::SidToTitle, "sid:<a_4><b_5><c_6><d_1>title:", " steel kettle 2 l<|im_end|>"),
    ] {
        assert_eq!(terse.prompt(task, 0, &facts).unwrap().plain(), Some(prompt));
        let segments = terse.completion(task, &facts).unwrap();
        assert_eq!(segments.len(), 1);
        assert_eq!((segments[0].text.as_str(), segments[0].loss), (completion, true));
    }
}

#[test]
fn the_sets_word_the_tasks_of_their_systems() {
    let registry = PromptRegistry::builtin().unwrap();
    let tasks = |set: &str| registry.set(set).unwrap().tasks().collect::<Vec<_>>();
    assert_eq!(tasks("singer").len(), 6 + 1); // and the question of its figure 2
    assert_eq!(tasks("sidreasoner").len(), 8 + 1); // and the activation's reasoning
    for (set, needed) in [
        ("gream", &[Task::NextItem, Task::DescriptionToSid, Task::Preference, Task::Reasoning][..]),
        ("sage", &[Task::TitleSlate, Task::SidSlate, Task::CatalogueSlate]),
        ("sdpo", &[Task::TitleChoice]),
        ("titles", &[Task::TitleChoice, Task::TitleSlate]),
        ("lc-rec", &[Task::NextItem, Task::SidHistoryToTitle, Task::TitleHistoryToSid]),
        ("bigrec", &[Task::NextItem, Task::TitleHistoryToTitle]),
        ("slates", &[Task::NextItem, Task::SidSlate, Task::CatalogueSlate]),
        (
            "recif",
            &[Task::NextItem, Task::LabelConditional, Task::LabelPrediction, Task::Interactive],
        ),
        ("r2ec", &[Task::TitleHistoryToItem, Task::TitleToItem]),
        ("r2ec-terse", &[Task::TitleHistoryToItem, Task::TitleToItem]),
    ] {
        assert!(needed.iter().all(|task| tasks(set).contains(task)), "{set}");
    }
    let worded: std::collections::BTreeSet<_> =
        registry.sets().flat_map(sidereal_prompts::PromptSet::tasks).collect();
    let all = Task::ALL.into_iter().filter(|task| *task != Task::Chat);
    assert!(all.eq(worded));
}
