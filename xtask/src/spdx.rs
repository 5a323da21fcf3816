//! Licence expressions, as manifests write them.

use anyhow::{Context, Result, bail};

/// Whether one of the licences that an SPDX expression offers is allowed, all of them where it joins them.
///
/// `/`, which old manifests have for `OR`, is read so.
///
/// # Errors
/// For a text that is no such expression.
pub(crate) fn allows(expression: &str, allowed: &[String]) -> Result<bool> {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let mut words = spaced.split_whitespace().peekable();
    let found = any(&mut words, allowed)?;
    match words.next() {
        Some(word) => bail!("`{word}` stands where an expression should end"),
        None => Ok(found),
    }
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

/// `A OR B OR …`, whose parts bind looser than `AND`.
fn any(words: &mut Words<'_>, allowed: &[String]) -> Result<bool> {
    let mut found = all(words, allowed)?;
    while words.next_if_eq(&"OR").is_some() {
        found |= all(words, allowed)?;
    }
    Ok(found)
}

/// `A AND B AND …`.
fn all(words: &mut Words<'_>, allowed: &[String]) -> Result<bool> {
    let mut found = one(words, allowed)?;
    while words.next_if_eq(&"AND").is_some() {
        found &= one(words, allowed)?;
    }
    Ok(found)
}

/// A licence, one `WITH` an exception, or an expression in parentheses.
fn one(words: &mut Words<'_>, allowed: &[String]) -> Result<bool> {
    let word = words.next().context("a licence is missing")?;
    if word == "(" {
        let found = any(words, allowed)?;
        words.next_if_eq(&")").context("a parenthesis is not closed")?;
        return Ok(found);
    }
    let mut licence = word.to_owned();
    if words.next_if_eq(&"WITH").is_some() {
        let exception = words.next().context("an exception is missing")?;
        licence = format!("{licence} WITH {exception}");
    }
    Ok(allowed.contains(&licence))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alternatives_need_one_allowed_licence_and_joined_ones_all() {
        let allowed = ["MIT", "Apache-2.0", "ISC"].map(str::to_owned);
        for (expression, expected) in [
            ("MIT", true),
            ("GPL-3.0-only", false),
            ("GPL-3.0-only OR MIT", true),
            ("Unlicense/MIT", true),
            ("Apache-2.0 AND ISC", true),
            ("Apache-2.0 AND Unicode-3.0", false),
            ("(MIT OR Apache-2.0) AND Unicode-3.0", false),
            ("(MIT OR GPL-3.0-only) AND ISC", true),
            // `AND` binds closer.
            ("MIT OR GPL-3.0-only AND GPL-2.0-only", true),
            ("Apache-2.0 WITH LLVM-exception", false),
            ("Apache-2.0 WITH LLVM-exception OR MIT", true),
        ] {
            assert_eq!(allows(expression, &allowed).unwrap(), expected, "{expression}");
        }
        for broken in ["", "(MIT", "MIT OR", "MIT ISC", "MIT WITH"] {
            assert!(allows(broken, &allowed).is_err(), "{broken}");
        }
    }
}
