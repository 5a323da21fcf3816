//! One operation with whole numbers.

use rand::Rng;

use super::AbilityCheck;

pub(super) fn draw(rng: &mut impl Rng) -> (String, AbilityCheck) {
    let (asked, answer) = match rng.gen_range(0..4) {
        0 => {
            let (a, b) = (rng.gen_range(2..60), rng.gen_range(2..40));
            (format!("{a} + {b}"), a + b)
        }
        1 => {
            let (b, rest) = (rng.gen_range(2..40), rng.gen_range(1..40));
            (format!("{} - {b}", b + rest), rest)
        }
        2 => {
            let (a, b) = (rng.gen_range(2..13), rng.gen_range(2..10));
            (format!("{a} * {b}"), a * b)
        }
        _ => {
            let (b, quotient) = (rng.gen_range(2..10), rng.gen_range(2..13));
            (format!("{} / {b}", b * quotient), quotient)
        }
    };
    (format!("Compute {asked}."), AbilityCheck::LastNumber(answer))
}
