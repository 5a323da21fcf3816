use sidereal_data::Item;
use sidereal_sid::{SemanticId, SidSpec, TokenStyle};

use super::super::{Shown, Usage};
use super::*;

const TITLES: [&str; 3] =
    ["Green tea from Uji", "Steel tea kettle, 1 l", "Hand carved bamboo tea whisk from Nara"];

/// Runs a check of `stage` on `text`: about the first item, or about an event with the first two
/// as history and the third held out.
fn check(stage: RequestStage, text: &str) -> Result<String, Rejection> {
    finished(stage, text, Finish::Complete)
}

fn finished(stage: RequestStage, text: &str, finish: Finish) -> Result<String, Rejection> {
    let sids = [[0, 0], [0, 1], [1, 0]].map(SemanticId::from).to_vec();
    let catalog = Catalog::new(SidSpec::new(vec![2, 3], 0).unwrap(), sids).unwrap();
    let items = TITLES.map(|title| Item::new(title, title));
    let shown =
        |i: usize| Shown { item: &items[i], sid: catalog.sids()[i].to_string(), reviews: &[] };
    let subject = match stage {
        RequestStage::ItemAnalyse | RequestStage::ItemIntegrate | RequestStage::ItemDescribe => {
            Subject::Item(shown(0))
        }
        _ => Subject::Event { history: vec![shown(0), shown(1)], held_out: shown(2) },
    };
    let answer = Answer { text: text.to_owned(), finish, usage: Usage::default() };
    Checks { catalog: Some(&catalog), words: (4, 40) }.text(stage, &subject, &answer)
}

#[test]
fn good_answers_pass_without_what_frames_them() {
    let kept = check(RequestStage::ItemIntegrate, " <a_0><b_0> is a mild tea.\n").unwrap();
    assert_eq!(kept, "<a_0><b_0> is a mild tea.");
    let kept =
        check(RequestStage::Preference, "<think>hm, <answer></think>\nLikes tea, mild and hot.");
    assert_eq!(kept.unwrap(), "Likes tea, mild and hot.");
    assert!(check(RequestStage::ItemAnalyse, "Tea.").is_ok(), "notes may be short");
    assert!(check(RequestStage::UserReason, "Tea.").is_err(), "a monologue is a text");
    let both = "First <a_0><b_0>, then <a_0><b_1> <3 for the tea.";
    assert!(check(RequestStage::UserIntegrate, both).is_ok());
}

#[test]
fn an_answer_that_does_not_end_by_itself_is_refused() {
    let text = "Likes tea, mild and hot.";
    assert_eq!(finished(RequestStage::Preference, text, Finish::Length), Err(Rejection::Cut));
    assert_eq!(finished(RequestStage::Preference, text, Finish::Other), Err(Rejection::Stopped));
}

#[test]
fn lengths_are_kept() {
    for (text, found) in [("", 0), ("Likes hot tea.", 3), (&"tea ".repeat(41), 41)] {
        let words = Rejection::Words { found, min: 4, max: 40 };
        assert_eq!(check(RequestStage::Preference, text), Err(words));
    }
}

#[test]
fn codes_are_whole_known_and_shown() {
    let unknown = |text: &str| Err(Rejection::UnknownSid { text: text.to_owned() });
    for (text, code) in [
        ("so it is <a_1><b_2> again", "<a_1><b_2>"), // of no item
        ("so it is <a_0> <b_1> again", "<a_0>"),     // in two
        ("so it is <b_1> once again", "<b_1>"),
        ("so it is <a_0><b_9> again", "<a_0><b_9>"), // outside the codebook
        ("so it is <a_0><b_0><c_0> again", "<a_0><b_0><c_0>"),
    ] {
        assert_eq!(check(RequestStage::Preference, text), unknown(code), "{text}");
    }
    let two = "side by side <a_0><b_0><a_0><b_1>";
    assert!(check(RequestStage::Preference, two).is_ok());
    let foreign = Rejection::ForeignSid { text: "<a_0><b_1>".to_owned() };
    assert_eq!(check(RequestStage::ItemIntegrate, "<a_0><b_0> goes with <a_0><b_1>"), Err(foreign));
}

#[test]
fn a_paragraph_names_its_item_by_code_alone() {
    let missing = Rejection::MissingSid { sid: "<a_0><b_0>".to_owned() };
    assert_eq!(check(RequestStage::ItemIntegrate, "A tea that is mild."), Err(missing));
    let titled = "<a_0><b_0>, the green TEA from uji, is mild.";
    assert_eq!(check(RequestStage::ItemIntegrate, titled), Err(Rejection::Titled));
    assert!(check(RequestStage::ItemAnalyse, titled).is_ok(), "notes may name it");
}

#[test]
fn a_description_may_name_its_item_and_holds_no_code() {
    let named = "Green tea from Uji, mild and fresh.";
    assert_eq!(check(RequestStage::ItemDescribe, named).unwrap(), named);
    let coded = check(RequestStage::ItemDescribe, "<a_0><b_0> is a mild tea.");
    assert!(matches!(coded, Err(Rejection::Token { .. })), "{coded:?}");
}

#[test]
fn the_held_out_item_is_named_neither_by_code_nor_by_telling_words() {
    let stages = [RequestStage::UserReason, RequestStage::UserIntegrate, RequestStage::Preference];
    for stage in stages {
        for text in [
            "next comes <a_1><b_0> of course",
            "next comes a hand-carved, bamboo TEA whisk",
            "a bamboo tea whisk from Nara",
        ] {
            let refused = check(stage, text);
            assert!(matches!(refused, Err(Rejection::HeldOut { .. })), "{text}: {refused:?}");
        }
        // Words that it shares with the history, or too few in a row.
        for text in ["wants green tea from Uji again", "something of bamboo to whisk tea with"] {
            assert!(check(stage, text).is_ok(), "{text}");
        }
    }
}

#[test]
fn markers_and_tags_are_refused_in_prose() {
    for text in ["likes tea <|im_end|> and more", "likes tea </think> and more"] {
        assert!(
            matches!(check(RequestStage::Preference, text), Err(Rejection::Token { .. })),
            "{text}"
        );
    }
}

const CHAIN: &str = "Step 1: Extraction of Behavioral Evidence: <a_0><b_0> and <a_0><b_1>\n\
                     Step 2: Modeling of Latent Preferences: tea\n\
                     Step 3: Inference of User Intent and Goal Formulation: a tool\n\
                     Rewriting: <a_0><b_0> <a_0><b_1>";

fn reasoning(chain: &str, answer: &str) -> Result<String, Rejection> {
    check(
        RequestStage::Reasoning,
        &format!("<think>\n{chain}\n</think>\n<answer>{answer}</answer>"),
    )
}

#[test]
fn a_reasoning_is_kept_without_its_tags() {
    assert_eq!(reasoning(CHAIN, "<a_1><b_0>").unwrap(), CHAIN);
    let fewer = CHAIN.replace("Rewriting: <a_0><b_0>", "Rewriting:");
    assert!(reasoning(&fewer, " <a_1><b_0> ").is_ok());
}

#[test]
fn a_reasoning_has_its_form_and_its_answer() {
    let answered = |text: &str| check(RequestStage::Reasoning, text);
    let whole = format!("<think>{CHAIN}</think><answer><a_1><b_0></answer>");
    assert!(answered(&whole).is_ok());
    for broken in [
        whole.replace("</think>", ""),
        whole.replace("<think>", "<think><think>"),
        whole.replace("<answer>", "so <answer>"),
        whole.clone() + " done",
        whole.replace("</answer>", ""),
        whole.replace("Step 3: Inf", "Step 3: Conf"),
        whole.replace("Step 2: Modeling of Latent Preferences: tea\n", ""),
        whole.replace("<think>", "<think>Well.\n"),
        whole.replace("Step 1: ", "Step 2: Modeling of Latent Preferences: x\nStep 1: "),
        whole.replace("\nRewriting:", "\nRewriting: <a_0><b_0>\nRewriting:"),
        whole.replace("\nRewriting:", " Rewriting:"),
    ] {
        assert!(matches!(answered(&broken), Err(Rejection::Form { .. })), "{broken}");
    }
    let wrong = Rejection::WrongAnswer { expected: "<a_1><b_0>".to_owned() };
    assert_eq!(reasoning(CHAIN, "<a_0><b_1>"), Err(wrong));
    for rewriting in ["<a_0><b_1> <a_0><b_0>", "nothing", "<a_0><b_0> <a_0><b_0>"] {
        let chain = CHAIN.replace("<a_0><b_0> <a_0><b_1>", rewriting);
        assert_eq!(reasoning(&chain, "<a_1><b_0>"), Err(Rejection::Rewriting), "{rewriting}");
    }
    let revealed = CHAIN.replace("a tool", "a hand carved bamboo tea whisk");
    assert!(matches!(reasoning(&revealed, "<a_1><b_0>"), Err(Rejection::HeldOut { .. })));
}

#[test]
fn codes_between_marks_are_one_semantic_id_and_those_of_another_style_are_of_no_item() {
    let sids = [[0, 0], [0, 1], [1, 0]].map(SemanticId::from).to_vec();
    let spec = SidSpec::new(vec![2, 3], 0).unwrap().with_style(TokenStyle::open_one_rec());
    let catalog = Catalog::new(spec.clone(), sids).unwrap();
    let items = TITLES.map(|title| Item::new(title, title));
    let shown =
        |i: usize| Shown { item: &items[i], sid: spec.text(&catalog.sids()[i]), reviews: &[] };
    let subject = Subject::Event { history: vec![shown(0), shown(1)], held_out: shown(2) };
    let check = |text: String| {
        let answer = Answer { text, finish: Finish::Complete, usage: Usage::default() };
        Checks { catalog: Some(&catalog), words: (2, 40) }.text(
            RequestStage::Preference,
            &subject,
            &answer,
        )
    };
    let [first, second, held_out] = [0, 1, 2].map(|i| shown(i).sid);
    assert!(check(format!("Likes {first}{second} and tea.")).is_ok());
    let unknown = |text: &str| Err(Rejection::UnknownSid { text: text.to_owned() });
    assert_eq!(check("Likes <a_0><b_0> and tea.".to_owned()), unknown("<a_0><b_0>"));
    let cut = "<|sid_begin|><s_a_0><s_b_0>";
    assert_eq!(check(format!("Likes {cut} and tea.")), unknown(cut));
    assert!(matches!(check(format!("Then {held_out}.")), Err(Rejection::HeldOut { .. })));
    assert!(matches!(check("Likes tea <|im_end|>".to_owned()), Err(Rejection::Token { .. })));
}
