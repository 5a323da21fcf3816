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
/// [`DataError::Io`]; [`DataError::Row`] for the first problem, of a line, of `check` or of
/// `take`, that `policy` calls an error; [`DataError::AllSkipped`] where no line is left.
pub fn read<R: DeserializeOwned, T: Send>(
    path: &Path,
    policy: &RowPolicy,
    skips: &mut Skips,
    check: impl Fn(R) -> Result<T, Problem> + Sync,
    mut take: impl FnMut(T) -> Result<(), Problem> + Send,
) -> Result<(), DataError> {
    let parse_line = |line: &[u8]| -> Result<T, Problem> {
        let row = serde_json::from_slice(line).map_err(|error| {
            Problem::new(ProblemKind::Malformed, "", &error.to_string(), "one object a line")
        })?;
        check(row)
    };
    let parse = |lines: Lines<'_>| -> Vec<(u64, Result<T, Problem>)> {
        lines
            .iter(policy.max_line)
            .map(|(number, line)| match line {
                Ok(line) => (number, parse_line(line)),
                Err(too_long) => (number, Err(too_long.into())),
            })
            .collect()
    };
    let mut left = 0;
    lines::read(path, policy.max_line, parse, |first_line, block| {
        for (line, row) in block {
            match row.and_then(&mut take) {
                Ok(()) => left += 1,
                Err(problem) => skips.add(problem.at(first_line + line), policy)?,
            }
        }
        Ok(())
    })?;
    skips.left_some(left)
}
