//! Short stories that ask for a number.

use rand::Rng;
use rand::seq::SliceRandom as _;

use super::AbilityCheck;

const NAMES: [&str; 8] = ["Ivy", "Jon", "Kim", "Leo", "Mia", "Ned", "Olga", "Paul"];
const THINGS: [&str; 8] =
    ["books", "buttons", "coins", "cookies", "eggs", "flowers", "marbles", "oranges"];

pub(super) fn draw(rng: &mut impl Rng) -> (String, AbilityCheck) {
    let mut names = NAMES;
    names.shuffle(rng);
    let [one, other, ..] = names;
    let thing = THINGS[rng.gen_range(0..THINGS.len())];
    let mut few = || rng.gen_range(2..10);
    let (a, b, c) = (few(), few(), few());
    let (question, answer) = match rng.gen_range(0..6) {
        0 => (
            format!(
                "{one} has {} {thing}. {other} gives {one} {b} more. Then {one} loses {c}. How many {thing} does \
                 {one} have now?",
                a + c
            ),
            a + b,
        ),
        1 => (format!("A box holds {a} {thing}. How many {thing} are there in {b} boxes?"), a * b),
        2 => (
            format!(
                "There are {} children in a class. {a} of them are girls. How many are boys?",
                a + b
            ),
            b,
        ),
        3 => (
            format!(
                "{one} reads {a} pages a day. The book has {} pages. How many pages are left after {b} days?",
                a * b + c
            ),
            c,
        ),
        4 => (
            format!(
                "{one} shares {} {thing} equally among {a} friends. How many {thing} does each friend get?",
                a * b
            ),
            b,
        ),
        _ => (
            format!(
                "{one} buys {a} {thing} for {b} dollars each and a bag for {c} dollars. How many dollars does \
                 {one} pay?"
            ),
            a * b + c,
        ),
    };
    (question, AbilityCheck::LastNumber(answer))
}
