//! General reasoning: small exercises with the steps to their answers, made by rules.

use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{Chat, Message, Role};

const NAMES: [&str; 8] = ["Ada", "Ben", "Cleo", "Dan", "Eva", "Finn", "Gwen", "Hugo"];
const THINGS: [&str; 8] =
    ["apples", "bolts", "candles", "pencils", "screws", "shells", "stamps", "tiles"];
const DAYS: [&str; 7] =
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// `count` conversations about sums, prices, orders and days, each answered after its reasoning.
///
/// They replace the general reasoning that is mixed with tasks about items, if no such data are
/// available. A model that reads them learns the form of reasoning and a little arithmetic. Equal
/// seeds give equal conversations; some may come twice.
///
/// ```
/// let chats = sidereal_prompts::exercises(3, 7);
/// assert_eq!(chats.len(), 3);
/// let answer = &chats[0].messages()[1].content;
/// assert!(answer.starts_with("<think>\n") && answer.contains("\n</think>\n"), "{answer}");
/// ```
#[must_use]
pub fn exercises(count: usize, seed: u64) -> Vec<Chat> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..count).filter_map(|_| exercise(&mut rng)).collect()
}

fn exercise(rng: &mut impl Rng) -> Option<Chat> {
    let (question, reasoning, answer) = match rng.gen_range(0..4) {
        0 => sum(rng),
        1 => price(rng),
        2 => order(rng),
        _ => day(rng),
    };
    let answer = format!("<think>\n{reasoning}\n</think>\n{answer}");
    Chat::new(vec![Message::new(Role::User, question), Message::new(Role::Assistant, answer)]).ok()
}

fn sum(rng: &mut impl Rng) -> (String, String, String) {
    let parts: Vec<u32> = (0..rng.gen_range(2..=4)).map(|_| rng.gen_range(2..60)).collect();
    let written: Vec<String> = parts.iter().map(ToString::to_string).collect();
    let mut total = parts[0];
    let mut steps = Vec::new();
    for part in &parts[1..] {
        steps.push(format!("{total} + {part} = {}.", total + part));
        total += part;
    }
    (format!("What is {}?", written.join(" + ")), steps.join(" "), total.to_string())
}

fn price(rng: &mut impl Rng) -> (String, String, String) {
    let (name, thing) = (NAMES[rng.gen_range(0..8)], THINGS[rng.gen_range(0..8)]);
    let (count, each, paid) = (rng.gen_range(2..10), rng.gen_range(2..10), 100);
    let cost = count * each;
    (
        format!("{name} buys {count} {thing} at {each} each and pays with {paid}. What is left?"),
        format!(
            "{count} {thing} at {each} each cost {count} * {each} = {cost}. Of {paid} there is \
             {paid} - {cost} = {} left.",
            paid - cost
        ),
        (paid - cost).to_string(),
    )
}

fn order(rng: &mut impl Rng) -> (String, String, String) {
    let mut names = NAMES;
    names.shuffle(rng);
    let [tall, middle, small, ..] = names;
    let mut facts =
        [format!("{tall} is taller than {middle}."), format!("{middle} is taller than {small}.")];
    facts.shuffle(rng);
    let (asked, answer) = if rng.r#gen() { ("tallest", tall) } else { ("smallest", small) };
    (
        format!("{} Who is the {asked}?", facts.join(" ")),
        format!("From tall to small they are {tall}, {middle}, {small}. The {asked} is {answer}."),
        answer.to_owned(),
    )
}

fn day(rng: &mut impl Rng) -> (String, String, String) {
    let (first, later) = (rng.gen_range(0..7), rng.gen_range(2..30));
    let (weeks, rest) = (later / 7, later % 7);
    let answer = DAYS[(first + rest) % 7];
    (
        format!("Today is {}. Which day is it in {later} days?", DAYS[first]),
        format!(
            "{later} days are {weeks} weeks and {rest} days. {rest} days after {} it is {answer}.",
            DAYS[first]
        ),
        answer.to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasoning_leads_to_the_answer() {
        for chat in exercises(200, 5) {
            let answer = &chat.messages()[1].content;
            let (reasoning, answer) =
                answer.strip_prefix("<think>\n").unwrap().split_once("\n</think>\n").unwrap();
            assert!(reasoning.contains(answer), "{reasoning} -> {answer}");
        }
        assert_eq!(exercises(20, 5), exercises(20, 5));
        assert_ne!(exercises(20, 5), exercises(20, 6));
    }
}
