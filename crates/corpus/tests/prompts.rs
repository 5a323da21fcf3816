//! The wording of every task: a change here changes every checkpoint's prompt hash.

use std::fmt::Write as _;

use sidereal_corpus::{PromptRegistry, Task};

#[test]
fn the_built_in_prompts_read_as_recorded() {
    let prompts = PromptRegistry::builtin().unwrap();
    let sids = ["<a_1><b_22><c_3>", "<a_4><b_5><c_6><d_1>"];
    let next = prompts.next_item(&sids, "<a_1><b_22><c_9>").unwrap();
    let mut page = format!("{}\n  {:?}\n  {:?}\n", Task::NextItem, next.prompt, next.completion);
    for task in [Task::TitleToSid, Task::SidToTitle] {
        let text = prompts.item(task, "steel kettle 2 l", sids[1]).unwrap();
        writeln!(page, "{task}\n  {:?}\n  {:?}", text.prompt, text.completion).unwrap();
    }
    writeln!(page, "hash {}", prompts.hash()).unwrap();
    insta::assert_snapshot!(page);
}
