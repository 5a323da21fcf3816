//! Instructions about the form of an answer.

use rand::Rng;
use rand::seq::SliceRandom as _;

use super::AbilityCheck;

const WORDS: [&str; 16] = [
    "bridge", "candle", "forest", "garden", "hammer", "island", "ladder", "mirror", "needle",
    "ocean", "paper", "river", "silver", "table", "violin", "window",
];
const LISTS: [&str; 8] =
    ["animals", "cities", "colours", "fruits", "kinds of weather", "sports", "tools", "vegetables"];
const NUMBERS: [&str; 4] = ["two", "three", "four", "five"];
const ASKED: [&str; 8] = [
    "What colour is grass?",
    "What do bees make?",
    "Which animal says meow?",
    "What falls from the sky when it rains?",
    "What is the opposite of hot?",
    "Where do fish live?",
    "What do we use to cut paper?",
    "Which season comes after winter?",
];

pub(super) fn draw(rng: &mut impl Rng) -> (String, AbilityCheck) {
    let mut words = WORDS;
    words.shuffle(rng);
    let [first, second, third, ..] = words;
    let number = rng.gen_range(0..NUMBERS.len());
    let (named, count) = (NUMBERS[number], number + 2);
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    match rng.gen_range(0..6) {
        0 => (
            format!(
                "Write the word \"{first}\" {named} times with spaces between, and nothing else."
            ),
            AbilityCheck::Words(vec![first.to_owned(); count]),
        ),
        1 => (
            format!(
                "Write these words in capital letters, and nothing else: {first}, {second}, {third}"
            ),
            AbilityCheck::Capitals(owned(&[first, second, third])),
        ),
        2 => (
            format!("Write a sentence with the words \"{first}\" and \"{second}\"."),
            AbilityCheck::Contains(owned(&[first, second])),
        ),
        3 => {
            let list = LISTS[rng.gen_range(0..LISTS.len())];
            (
                format!(
                    "Name {named} {list}, one on each line. Begin each line with a dash (-), and write nothing else."
                ),
                AbilityCheck::Lines { count, mark: "-".to_owned() },
            )
        }
        4 => (
            format!("Write a short sentence about a {first} whose last word is \"{second}\"."),
            AbilityCheck::LastWord(second.to_owned()),
        ),
        _ => {
            let asked = ASKED[rng.gen_range(0..ASKED.len())];
            (
                format!(
                    "{asked} Put your whole answer in double quotation marks and use the word \"{first}\" nowhere."
                ),
                AbilityCheck::Quoted { without: first.to_owned() },
            )
        }
    }
}
