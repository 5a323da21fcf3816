//! Files of one JSON object a line, under a row policy.

use std::path::Path;

use serde::de::DeserializeOwned;

use super::lines::{self, Lines};
use super::policy::{RowPolicy, Skips};
use super::problem::{Problem, ProblemKind};
use crate::DataError;

/// Parses every line on all cores, checks it there, and hands the good ones to `take` in file
/// order. Memory is a few blocks of lines a thread and what `take` keeps.
///
/// # Errors
/// [`DataError::Io`]; [`DataError::Row`] for the first problem, of a line, of `check` or of `take`,
/// that `policy` calls an error; [`DataError::AllSkipped`] if no line is left.
pub fn read<R: DeserializeOwned, T: Send>(
    path: &Path,
    policy: &RowPolicy,
    skips: &mut Skips,
    check: impl Fn(R) -> Result<T, Problem> + Sync,
    mut take: impl FnMut(T) -> Result<(), Problem> + Send,
) -> Result<(), DataError> {
    let mut left = 0;
    rows(path, policy.max_line, check, |line, row| match row.and_then(&mut take) {
        Ok(()) => {
            left += 1;
            Ok(())
        }
        Err(problem) => skips.add(problem.at(line), policy),
    })?;
    skips.left_some(left)
}

/// Parses every line on all cores, checks it there, and hands each to `take` in file order, with its
/// number, from 1.
///
/// # Errors
/// [`DataError::Io`], and the first error of `take`.
pub(super) fn rows<R: DeserializeOwned, T: Send>(
    path: &Path,
    max_line: usize,
    check: impl Fn(R) -> Result<T, Problem> + Sync,
    mut take: impl FnMut(u64, Result<T, Problem>) -> Result<(), DataError> + Send,
) -> Result<(), DataError> {
    let parse_line = |line: &[u8]| -> Result<T, Problem> {
        let row = serde_json::from_slice(line).map_err(|error| {
            Problem::new(ProblemKind::Malformed, "", &error.to_string(), "one object a line")
        })?;
        check(row)
    };
    let parse = |lines: Lines<'_>| -> Vec<(u64, Result<T, Problem>)> {
        lines
            .iter(max_line)
            .map(|(number, line)| match line {
                Ok(line) => (number, parse_line(line)),
                Err(too_long) => (number, Err(too_long.into())),
            })
            .collect()
    };
    lines::read(path, max_line, parse, |first_line, block| {
        block.into_iter().try_for_each(|(line, row)| take(first_line + line, row))
    })
}
