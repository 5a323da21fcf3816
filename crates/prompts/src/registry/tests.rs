use super::*;
use crate::{Facts, Format, Message, Piece, PromptSpec, Role, SegmentKind, Task, Variable};

fn terse() -> PromptSpec {
    PromptRegistry::builtin().unwrap().set("terse").unwrap().spec().clone()
}

fn with(task: Task, prompt: &str, completion: &str) -> Result<PromptSet, PromptError> {
    let mut spec = terse();
    for template in spec.templates.iter_mut().filter(|template| template.task == task) {
        template.prompts = vec![prompt.to_owned()];
        template.completion = vec![Piece::new(completion)];
    }
    PromptSet::new(spec)
}

#[test]
fn a_separator_or_trailing_text_breaks_the_continuation() {
    for prompt in ["next:{{ history | join(' ') }}", "{{ history | join }} next:"] {
        assert!(matches!(
            with(Task::NextItem, prompt, "{{ sid }}"),
            Err(PromptError::NotContinuation { .. })
        ));
    }
    assert!(with(Task::NextItem, "buys {{ history | join }}", "{{ sid }}").is_ok());
    let mut spec = terse();
    spec.templates[0].prompts.push("{{ history | join(', ') }}".to_owned());
    let error = PromptSet::new(spec).unwrap_err().to_string();
    assert!(error.contains("paraphrase 1 of the prompt of task `next-item`"), "{error}");
}

#[test]
fn messages_and_sets_without_next_items_are_no_continuation() {
    let refused = |change: &dyn Fn(&mut PromptSpec)| {
        let mut spec = terse();
        change(&mut spec);
        matches!(PromptSet::new(spec), Err(PromptError::ContinuationOfMessages { .. }))
    };
    assert!(refused(&|spec| spec.format = Format::Chat));
    assert!(refused(&|spec| {
        spec.templates.remove(0);
    }));
}

#[test]
fn broken_syntax_and_unknown_variables_are_refused_by_name() {
    assert!(matches!(
        with(Task::TitleToSid, "title: {{ title", "{{ sid }}"),
        Err(PromptError::Template { task: Task::TitleToSid, version: 1, .. })
    ));
    let error = with(Task::TitleToSid, "{{ title }} {{ name }}", "{{ sid }}").unwrap_err();
    assert_eq!(
        error.to_string(),
        "prompt set `terse`: task `title-to-sid`, version 1: paraphrase 0 of the prompt uses \
         `name`, which does not exist; it can use `title`"
    );
    // What Jinja itself has is no variable.
    let counted = "{% for i in range(2) %}{{ title }}{% endfor %}";
    assert!(with(Task::TitleToSid, counted, "{{ sid }}").is_ok());
    // Also where a trial would not have come by.
    let hidden = "{{ title }}{% if false %}{{ name }}{% endif %}";
    assert!(with(Task::TitleToSid, hidden, "{{ sid }}").is_err());
}

#[test]
fn a_prompt_cannot_show_the_answer() {
    for (task, prompt) in [
        (Task::NextItem, "{{ history | join }}{{ sid }}"),
        (Task::TitleToSid, "{{ title }}{{ sid }}"),
    ] {
        assert!(matches!(
            with(task, prompt, "{{ sid }}"),
            Err(PromptError::UnknownVariable { found, .. }) if found == "sid"
        ));
    }
}

#[test]
fn a_text_that_does_not_name_its_item_is_rejected() {
    assert!(matches!(
        with(Task::NextItem, "what next?", "{{ sid }}"),
        Err(PromptError::UnusedVariable { variable: Variable::History, .. })
    ));
    let error = with(Task::NextItem, "{{ history | join }}", "that one").unwrap_err().to_string();
    assert!(error.contains("piece 0 of the completion never uses `sid`"), "{error}");
}

#[test]
fn a_set_words_each_of_its_tasks_once() {
    let refused = |change: &dyn Fn(&mut PromptSpec)| {
        let mut spec = terse();
        change(&mut spec);
        PromptSet::new(spec).unwrap_err()
    };
    let repeated = refused(&|spec| spec.templates.extend(spec.templates.clone()));
    assert!(matches!(
        repeated,
        PromptError::RepeatedTemplate { task: Task::NextItem, found: 2, .. }
    ));
    assert!(matches!(refused(&|spec| spec.templates.clear()), PromptError::EmptySet { .. }));
    assert!(matches!(
        refused(&|spec| spec.templates[1].prompts.clear()),
        PromptError::EmptyTemplate { part: "prompt", .. }
    ));
    assert!(matches!(
        refused(&|spec| spec.templates[1].completion.clear()),
        PromptError::EmptyTemplate { part: "completion", .. }
    ));
    assert!(matches!(
        refused(&|spec| spec.templates[1].task = Task::Chat),
        PromptError::TaskOfData { .. }
    ));
    for system in [0, 1] {
        assert!(matches!(
            refused(&|spec| match system {
                0 => spec.system = "be brief".to_owned(),
                _ => spec.templates[1].system = "be brief".to_owned(),
            }),
            PromptError::SystemInPlain { .. }
        ));
    }
    let prompts = PromptSet::new(terse()).unwrap();
    let error = prompts.template(Task::Reasoning).unwrap_err().to_string();
    assert_eq!(
        error,
        "prompt set `terse` has no template for task `reasoning`; it has templates for `next-item`, \
         `title-to-sid`, `sid-to-title`"
    );
}

#[test]
fn the_hash_follows_what_a_model_reads_and_learns_and_nothing_else() {
    let hash = |change: &dyn Fn(&mut PromptSpec)| {
        let mut spec = terse();
        spec.continuation = false;
        change(&mut spec);
        PromptSet::new(spec).unwrap().hash().to_owned()
    };
    let base = hash(&|_| ());
    assert_eq!(base, PromptSet::new(terse()).unwrap().hash());
    assert_eq!(base, hash(&|spec| spec.name = "other".to_owned()));
    assert_eq!(base, hash(&|spec| spec.templates.reverse()));
    let split = |text: [&str; 2]| {
        let pieces = text.map(Piece::new).to_vec();
        hash(&|spec| spec.templates[1].completion.clone_from(&pieces))
    };
    let changed = [
        hash(&|spec| spec.templates[0].version += 1),
        hash(&|spec| spec.templates[0].prompts[0].push('!')),
        hash(&|spec| spec.templates[0].prompts.push("{{ history }}".to_owned())),
        hash(&|spec| spec.templates[1].completion[0].text.push('!')),
        hash(&|spec| spec.templates[1].completion[0].loss = false),
        hash(&|spec| spec.format = Format::Chat),
        hash(&|spec| (spec.format, spec.system) = (Format::Chat, "x".to_owned())),
        split(["{{ sid }}", "x"]),
        hash(&|spec| {
            spec.templates.pop();
        }),
    ];
    let distinct: std::collections::BTreeSet<_> = changed.iter().chain([&base]).collect();
    assert_eq!(distinct.len(), changed.len() + 1);
}

#[test]
fn texts_are_not_escaped_or_evaluated() {
    let prompts = PromptSet::new(terse()).unwrap();
    let title = Some("salt & \"pepper\" {{ sid }}");
    let facts = Facts { title, ..Facts::default() };
    let prompt = prompts.prompt(Task::TitleToSid, 0, &facts).unwrap();
    assert_eq!(prompt.plain(), Some("title: salt & \"pepper\" {{ sid }} sid:"));
}

#[test]
fn what_is_missing_is_named() {
    let registry = PromptRegistry::builtin().unwrap();
    assert!(registry.set("wordy").unwrap_err().to_string().contains("gream, lc-rec"));
    let prompts = registry.set("terse").unwrap();
    assert!(matches!(
        prompts.prompt(Task::NextItem, 0, &Facts::default()),
        Err(PromptError::MissingFact { variable: Variable::History, .. })
    ));
    assert!(matches!(
        prompts.prompt(Task::NextItem, 1, &Facts::probe()),
        Err(PromptError::Paraphrase { count: 1, found: 1, .. })
    ));
    let again = PromptRegistry::builtin().unwrap().add(prompts.clone());
    assert!(matches!(again, Err(PromptError::RepeatedSet { .. })));
}

#[test]
fn a_file_of_ones_own_is_a_set_and_a_bad_one_is_named_with_the_place() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mine.toml");
    let text = r#"
name = "mine"
about = "a test"
format = "chat"
system = "all"
[[template]]
task = "reasoning"
version = 3
system = "one"
prompts = ["{{ history | join }}"]
completion = [{ text = "<think>", loss = false }, { text = "{{ reasoning }}" }, { text = "{{ sid }}" }]
"#;
    std::fs::write(&path, text).unwrap();
    let set = PromptSet::load(&path).unwrap();
    let prompt = set.prompt(Task::Reasoning, 0, &Facts::probe()).unwrap();
    assert_eq!(prompt.messages().unwrap()[0], Message::new(Role::System, "one"));
    let segments = set.completion(Task::Reasoning, &Facts::probe()).unwrap();
    let found: Vec<_> = segments.iter().map(|s| (s.text.as_str(), s.loss, s.kind)).collect();
    let expected = [
        ("<think>", false, SegmentKind::Frame),
        ("a chain", true, SegmentKind::Words),
        ("<a_0>", true, SegmentKind::Sid),
    ];
    assert_eq!(found, expected);
    for (from, to) in [("version = 3", "version = -3"), ("system = \"one\"", "sytem = \"one\"")] {
        std::fs::write(&path, text.replace(from, to)).unwrap();
        let error = PromptSet::load(&path).unwrap_err();
        assert!(matches!(&error, PromptError::File { source, .. } if source.span().is_some()));
        assert!(error.to_string().contains("mine.toml"));
    }
    let missing = PromptSet::load(&dir.path().join("none.toml"));
    assert!(matches!(missing, Err(PromptError::Io { .. })));
}

#[test]
fn built_in_paraphrases_differ_and_instructions_have_three_or_more() {
    for set in PromptRegistry::builtin().unwrap().sets() {
        for template in &set.spec().templates {
            let distinct: std::collections::BTreeSet<_> = template.prompts.iter().collect();
            assert_eq!(distinct.len(), template.prompts.len(), "{} {}", set.name(), template.task);
            assert!(set.spec().format == Format::Plain || distinct.len() >= 3);
        }
    }
}
