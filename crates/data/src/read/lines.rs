//! Lines of a file, parsed by all cores and passed on in order.

use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use memchr::{memchr, memchr_iter, memrchr};

use super::problem::{Problem, ProblemKind};
use super::source;
use crate::DataError;

/// Set by cargo-fuzz, whose inputs are short. They must still span several blocks, and starting
/// threads would take longer than the work itself.
#[allow(unexpected_cfgs, reason = "cargo-fuzz sets it")]
const FUZZING: bool = cfg!(fuzzing);
/// Bytes that a thread takes at once.
const BLOCK: usize = if FUZZING { 1 << 7 } else { 1 << 20 };
/// With more threads than this, the others only wait for the thread that takes the results.
const MAX_THREADS: usize = if FUZZING { 1 } else { 16 };
/// The bytes that some editors write before the first character of a file.
pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Whole lines of a file, or a single one that is too long to be held.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lines<'a> {
    text: &'a [u8],
    too_long: bool,
}

/// A line that is longer than the limit.
#[derive(Debug, Clone, Copy)]
pub(super) struct TooLong;

impl From<TooLong> for Problem {
    fn from(_: TooLong) -> Self {
        Self::new(ProblemKind::TooLong, "", "a longer line", "a shorter line")
    }
}

impl<'a> Lines<'a> {
    /// Every line that is not blank, without its end, and its number, from 0 within the block.
    pub(super) fn iter(
        self,
        max_line: usize,
    ) -> impl Iterator<Item = (u64, Result<&'a [u8], TooLong>)> {
        let mut rest = self.text;
        let mut long = self.too_long;
        (0..)
            .map_while(move |number| {
                if std::mem::take(&mut long) {
                    return Some((number, Err(TooLong)));
                }
                if rest.is_empty() {
                    return None;
                }
                let end = memchr(b'\n', rest).unwrap_or(rest.len());
                let line = rest.get(..end)?;
                rest = rest.get(end + 1..).unwrap_or_default();
                let line = line.strip_suffix(b"\r").unwrap_or(line);
                Some((number, if line.len() > max_line { Err(TooLong) } else { Ok(line) }))
            })
            .filter(|(_, line)| !matches!(line, Ok(line) if line.is_empty()))
    }

    fn count(self) -> u64 {
        let ends = memchr_iter(b'\n', self.text).count() as u64;
        let open = self.text.last().is_some_and(|last| *last != b'\n');
        ends + u64::from(open) + u64::from(self.too_long)
    }
}

/// Parses the lines of a file, block by block, and hands each block's result to `take`, in order,
/// with the number of the block's first line, from 1.
///
/// Memory is a few blocks, or lines up to `max_line`, a thread. `parse` runs on all cores, `take`
/// on one at a time.
///
/// # Errors
/// [`DataError::Io`], and the first error of `take`.
pub(super) fn read<R: Send>(
    path: &Path,
    max_line: usize,
    parse: impl Fn(Lines<'_>) -> R + Sync,
    take: impl FnMut(u64, R) -> Result<(), DataError> + Send,
) -> Result<(), DataError> {
    let feed = Mutex::new(Feed::new(source::open(path)?, max_line));
    let turns = Turns {
        state: Mutex::new(State { next: 0, line: 1, outcome: None, take }),
        changed: Condvar::new(),
    };
    let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get).min(MAX_THREADS);
    if threads == 1 {
        work(&feed, &turns, path, &parse);
    } else {
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| work(&feed, &turns, path, &parse));
            }
        });
    }
    let state = turns.state.into_inner().unwrap_or_else(PoisonError::into_inner);
    state.outcome.unwrap_or(Ok(()))
}

fn work<R, T: FnMut(u64, R) -> Result<(), DataError>>(
    feed: &Mutex<Feed>,
    turns: &Turns<T>,
    path: &Path,
    parse: &(impl Fn(Lines<'_>) -> R + Sync),
) {
    let unwinding = Unwinding(turns);
    let mut block = Vec::new();
    loop {
        let (number, read) = lock(feed).next(&mut block);
        let parsed = match read {
            Ok(Piece::End) => break,
            Ok(piece) => {
                let lines = Lines { text: &block, too_long: matches!(piece, Piece::TooLong) };
                Ok((parse(lines), lines.count()))
            }
            Err(source) => Err(DataError::io(path, source)),
        };
        let mut state = lock(&turns.state);
        while state.next != number && state.outcome.is_none() {
            state = turns.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.outcome.is_some() {
            break;
        }
        let first_line = state.line;
        match parsed.and_then(|(result, lines)| (state.take)(first_line, result).map(|()| lines)) {
            Ok(lines) => {
                state.line += lines;
                state.next += 1;
            }
            Err(error) => state.outcome = Some(Err(error)),
        }
        drop(state);
        turns.changed.notify_all();
    }
    std::mem::forget(unwinding);
}

/// Whose turn it is to hand a result over.
struct Turns<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    /// Block whose result comes next.
    next: u64,
    /// Its first line.
    line: u64,
    /// An end before the end of the file.
    outcome: Option<Result<(), DataError>>,
    take: T,
}

/// Releases the waiting threads if this one panics. Otherwise its turn would never end, and theirs
/// would never come.
struct Unwinding<'a, T>(&'a Turns<T>);

impl<T> Drop for Unwinding<'_, T> {
    fn drop(&mut self) {
        lock(&self.0.state).outcome.get_or_insert(Ok(())); // the panic itself is passed on
        self.0.changed.notify_all();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

enum Piece {
    Lines,
    TooLong,
    End,
}

/// Cuts a stream into blocks of whole lines.
struct Feed {
    input: Box<dyn Read + Send>,
    /// The beginning of the next block.
    carry: Vec<u8>,
    max_line: usize,
    next: u64,
}

impl Feed {
    fn new(input: Box<dyn Read + Send>, max_line: usize) -> Self {
        Self { input, carry: Vec::new(), max_line, next: 0 }
    }

    /// The next block's number and what it is.
    fn next(&mut self, block: &mut Vec<u8>) -> (u64, io::Result<Piece>) {
        let number = self.next;
        self.next += 1;
        let piece = self.fill(block);
        if number == 0 && block.starts_with(BYTE_ORDER_MARK) {
            block.drain(..BYTE_ORDER_MARK.len());
        }
        (number, piece)
    }

    fn fill(&mut self, block: &mut Vec<u8>) -> io::Result<Piece> {
        block.clear();
        block.append(&mut self.carry);
        loop {
            let start = block.len();
            block.reserve(BLOCK);
            if self.input.by_ref().take(BLOCK as u64).read_to_end(block)? == 0 {
                return Ok(if block.is_empty() { Piece::End } else { Piece::Lines });
            }
            if let Some(end) = memrchr(b'\n', &block[start..]) {
                self.carry.extend_from_slice(&block[start + end + 1..]);
                block.truncate(start + end + 1);
                return Ok(Piece::Lines);
            }
            if block.len() > self.max_line {
                block.clear();
                self.skip_line(block)?;
                return Ok(Piece::TooLong);
            }
        }
    }

    /// Reads to the end of the line; what follows it is kept. `buffer` is empty before and after.
    fn skip_line(&mut self, buffer: &mut Vec<u8>) -> io::Result<()> {
        loop {
            buffer.clear();
            if self.input.by_ref().take(BLOCK as u64).read_to_end(buffer)? == 0 {
                return Ok(());
            }
            if let Some(end) = memchr(b'\n', buffer) {
                self.carry.extend_from_slice(&buffer[end + 1..]);
                buffer.clear();
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    type Line = (u64, Option<String>);

    fn all(text: &[u8], max_line: usize) -> Result<Vec<Line>, DataError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        std::fs::write(&path, text).unwrap();
        let mut lines = Vec::new();
        let parse = |block: Lines<'_>| -> Vec<Line> {
            let text = |line: &[u8]| String::from_utf8(line.to_vec()).unwrap();
            block.iter(max_line).map(|(n, line)| (n, line.ok().map(text))).collect()
        };
        read(&path, max_line, parse, |first, block| {
            lines.extend(block.into_iter().map(|(n, line)| (first + n, line)));
            Ok(())
        })?;
        Ok(lines)
    }

    #[test]
    fn many_blocks_come_in_order_with_their_line_numbers() {
        let mut text = String::new();
        for n in 1..=900_000 {
            writeln!(text, "{}", if n % 3 == 0 { String::new() } else { n.to_string() }).unwrap();
        }
        assert!(text.len() > 2 * BLOCK);
        let lines = all(text.as_bytes(), 100).unwrap();
        assert_eq!(lines.len(), 900_000 - 900_000 / 3);
        assert!(lines.iter().all(|(n, line)| line.as_deref() == Some(n.to_string().as_str())));
        assert!(lines.is_sorted());
    }

    #[test]
    fn a_long_line_is_passed_over_wherever_it_lies() {
        let long = "x".repeat(3 * BLOCK);
        for (text, expected) in [
            (format!("a\n{long}\nb\n"), vec![(1, Some("a")), (2, None), (3, Some("b"))]),
            (format!("{long}\nb"), vec![(1, None), (2, Some("b"))]),
            (format!("a\n{long}"), vec![(1, Some("a")), (2, None)]),
            ("ab\nabc\nd".to_owned(), vec![(1, Some("ab")), (2, None), (3, Some("d"))]),
        ] {
            let expected: Vec<Line> =
                expected.into_iter().map(|(n, line)| (n, line.map(str::to_owned))).collect();
            assert!(all(text.as_bytes(), 2).unwrap() == expected);
        }
    }

    #[test]
    fn line_ends_and_marks_are_no_part_of_a_line() {
        let lines = all(b"\xef\xbb\xbfa\r\n\r\nb", 9).unwrap();
        assert_eq!(lines, [(1, Some("a".to_owned())), (3, Some("b".to_owned()))]);
        assert!(all(b"", 9).unwrap().is_empty());
    }

    #[test]
    fn the_first_error_in_file_order_is_the_one_reported() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        std::fs::write(&path, "line\n".repeat(BLOCK)).unwrap();
        for _ in 0..20 {
            let error = read(
                &path,
                9,
                |_: Lines<'_>| (),
                |first, ()| match first {
                    1 => Ok(()),
                    _ => Err(DataError::EmptyDataset {
                        items: usize::try_from(first).unwrap(),
                        users: 0,
                    }),
                },
            );
            let Err(DataError::EmptyDataset { items, .. }) = error else { panic!("{error:?}") };
            assert_eq!(items, 1 + BLOCK / 5);
        }
    }

    #[test]
    fn a_panic_in_a_thread_stops_the_others() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        std::fs::write(&path, "line\n".repeat(BLOCK)).unwrap();
        let parse = |lines: Lines<'_>| assert!(lines.count() == 0, "on purpose");
        let read = || read(&path, 9, parse, |_, ()| Ok(()));
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(read)).is_err());
    }
}
