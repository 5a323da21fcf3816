//! Answers by their requests. Each is paid for once and kept, whether it is accepted or not.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use sidereal_prompts::Message;

use crate::{Answer, Sampling, TeacherError, Usage};

/// Longest line in bytes.
const MAX_LINE: u64 = 128 << 20;

/// When a kept answer is on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Durability {
    /// Before its text is used: it survives a failure of the machine.
    #[default]
    EachAnswer,
    /// When the operating system decides: it survives the end of the process, however the process
    /// ends.
    Buffered,
}

/// What identifies a request, wherever it is sent: BLAKE3 of teacher, messages, settings and
/// prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct RequestKey(blake3::Hash);

impl RequestKey {
    pub(super) fn new(
        teacher: &str,
        messages: &[Message],
        sampling: &Sampling,
        prompt_hash: &str,
    ) -> Self {
        let mut hasher = blake3::Hasher::new();
        // Every text comes with its length, so that no two requests give the same bytes.
        let mut text = |text: &str| {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        };
        text(teacher);
        text(prompt_hash);
        text(&format!("{} {}", sampling.temperature, sampling.max_tokens));
        for Message { role, content } in messages {
            text(&format!("{role:?}"));
            text(content);
        }
        Self(hasher.finalize())
    }

    /// A number that depends only on the request.
    pub(super) fn number(self) -> u64 {
        let bytes = self.0.as_bytes().iter().take(8);
        bytes.fold(0, |number, byte| (number << 8) | u64::from(*byte))
    }
}

/// A line of the file.
#[derive(Serialize, Deserialize)]
struct Line {
    /// [`RequestKey`] in hexadecimal.
    key: String,
    teacher: String,
    #[serde(flatten)]
    outcome: Outcome,
}

/// The result of a request.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Answer(Answer),
    /// No answer, and what the attempt may still have cost.
    Lost(Usage),
}

impl Outcome {
    const fn usage(&self) -> Usage {
        match self {
            Self::Answer(answer) => answer.usage,
            Self::Lost(usage) => *usage,
        }
    }
}

/// A file of answers, to which one run at a time appends. Whenever an answer is read, it is checked
/// again.
///
/// A process that is killed leaves at most the beginning of a last line, which the next process
/// removes. What its requests under way may have cost is then not recorded. Neither addresses nor
/// keys of endpoints are in it. Memory is about 100 bytes an answer.
///
/// ```
/// use sidereal_teacher::{AnswerCache, Durability};
///
/// let dir = tempfile::tempdir()?;
/// let path = dir.path().join("answers.jsonl");
/// let cache = AnswerCache::open(&path, Durability::EachAnswer)?;
/// assert!(cache.is_empty());
/// assert!(AnswerCache::open(&path, Durability::EachAnswer).is_err()); // in use
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct AnswerCache {
    path: PathBuf,
    durability: Durability,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    file: File,
    /// Length of the file, at the end of a line.
    end: u64,
    /// The place of each answer's line.
    lines: HashMap<RequestKey, (u64, usize)>,
    /// Requests that some thread is about to send.
    claimed: HashSet<RequestKey>,
    usage: BTreeMap<String, Usage>,
}

/// What the cache knows about a request.
#[derive(Debug)]
pub(super) enum Claim<'a> {
    /// It was answered.
    Known(Answer),
    /// No other thread sends it until the ticket is dropped.
    Ours(Ticket<'a>),
}

/// The right to send a request.
#[derive(Debug)]
pub(super) struct Ticket<'a> {
    cache: &'a AnswerCache,
    key: RequestKey,
}

impl AnswerCache {
    /// Opens a file of answers, or begins one, and locks it as long as the cache lives.
    ///
    /// # Errors
    /// [`TeacherError::CacheInUse`], [`TeacherError::Io`], and [`TeacherError::CacheLine`] for a
    /// whole line that is not an answer.
    pub fn open(path: &Path, durability: Durability) -> Result<Self, TeacherError> {
        let failed = |source| TeacherError::io(path, source);
        let mut options = OpenOptions::new();
        let file = options.create(true).read(true).append(true).open(path).map_err(failed)?;
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => TeacherError::CacheInUse { path: path.to_owned() },
            TryLockError::Error(source) => failed(source),
        })?;
        let mut state = State {
            file: file.try_clone().map_err(failed)?,
            end: 0,
            lines: HashMap::new(),
            claimed: HashSet::new(),
            usage: BTreeMap::new(),
        };
        let (mut reader, mut line, mut number) = (BufReader::new(file), Vec::new(), 0);
        loop {
            line.clear();
            number += 1;
            let read = reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut line);
            let len = read.map_err(failed)?;
            if len == 0 {
                break;
            }
            let whole = line.ends_with(b"\n");
            match state.index(&line, len) {
                Ok(()) if whole => {}
                // Cut between the answer and the end of its line.
                Ok(()) => {
                    state.file.write_all(b"\n").map_err(failed)?;
                    state.end += 1;
                }
                Err(_) if !whole && (len as u64) < MAX_LINE => {
                    state.file.set_len(state.end).map_err(failed)?;
                }
                Err(source) => {
                    return Err(TeacherError::CacheLine {
                        path: path.to_owned(),
                        line: number,
                        source,
                    });
                }
            }
        }
        let (state, changed) = (Mutex::new(state), Condvar::new());
        Ok(Self { path: path.to_owned(), durability, state, changed })
    }

    /// Number of answers.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().lines.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Tokens that the answers of one teacher took, and the most that broken-off answers may have
    /// taken.
    #[must_use]
    pub fn usage(&self, teacher: &str) -> Usage {
        self.lock().usage.get(teacher).copied().unwrap_or_default()
    }

    /// The answer to a request, or the right to send it; waits if another thread has that right.
    pub(super) fn claim(&self, key: RequestKey) -> Result<Claim<'_>, TeacherError> {
        let mut state = self.lock();
        loop {
            if let Some(&(start, len)) = state.lines.get(&key) {
                let read = state.read(start, len);
                return read
                    .map(Claim::Known)
                    .map_err(|source| TeacherError::io(&self.path, source));
            }
            if state.claimed.insert(key) {
                return Ok(Claim::Ours(Ticket { cache: self, key }));
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket<'_> {
    /// Keeps the answer to the request.
    pub(super) fn keep(self, teacher: &str, answer: &Answer) -> Result<(), TeacherError> {
        self.append(teacher, Outcome::Answer(answer.clone()))
    }

    /// Keeps what an attempt without an answer may have cost.
    pub(super) fn lost(&self, teacher: &str, usage: Usage) -> Result<(), TeacherError> {
        self.append(teacher, Outcome::Lost(usage))
    }

    fn append(&self, teacher: &str, outcome: Outcome) -> Result<(), TeacherError> {
        let key = self.key.0.to_hex().to_string();
        let line = Line { key, teacher: teacher.to_owned(), outcome };
        let mut state = self.cache.lock();
        let write = || -> io::Result<()> {
            let mut text = serde_json::to_vec(&line)?;
            text.push(b'\n');
            // In one write, so that only a failure of the machine can cut it.
            if let Err(error) = state.file.write_all(&text) {
                let _ = state.file.set_len(state.end); // best effort: the write's error is the news
                return Err(error);
            }
            if self.cache.durability == Durability::EachAnswer {
                state.file.sync_data()?;
            }
            state.take(self.key, line, text.len());
            Ok(())
        };
        let written = write();
        drop(state);
        written.map_err(|source| TeacherError::io(&self.cache.path, source))
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.cache.lock().claimed.remove(&self.key);
        self.cache.changed.notify_all();
    }
}

impl State {
    /// Indexes the line that begins after the lines known so far.
    fn index(&mut self, line: &[u8], len: usize) -> Result<(), serde_json::Error> {
        let line: Line = serde_json::from_slice(line)?;
        let key = blake3::Hash::from_hex(&line.key).map_err(serde::de::Error::custom)?;
        self.take(RequestKey(key), line, len);
        Ok(())
    }

    /// Counts a line of `len` bytes at the end of the file.
    fn take(&mut self, key: RequestKey, line: Line, len: usize) {
        *self.usage.entry(line.teacher).or_default() += line.outcome.usage();
        if matches!(line.outcome, Outcome::Answer(_)) {
            self.lines.insert(key, (self.end, len));
        }
        self.end += len as u64;
    }

    fn read(&mut self, start: u64, len: usize) -> io::Result<Answer> {
        let mut line = vec![0; len];
        self.file.seek(SeekFrom::Start(start))?; // writes append, wherever this is
        self.file.read_exact(&mut line)?;
        match serde_json::from_slice::<Line>(&line)?.outcome {
            Outcome::Answer(answer) => Ok(answer),
            Outcome::Lost(_) => Err(io::ErrorKind::InvalidData.into()), // another wrote meanwhile
        }
    }
}

#[cfg(test)]
mod tests {
    use sidereal_prompts::Role;

    use super::*;
    use crate::Finish;

    fn key(content: &str) -> RequestKey {
        let messages = [Message { role: Role::User, content: content.to_owned() }];
        let sampling = Sampling { temperature: 0.5, max_tokens: 9 };
        RequestKey::new("m", &messages, &sampling, "5f")
    }

    fn answer(text: &str) -> Answer {
        let usage = Usage { prompt_tokens: 3, completion_tokens: 2 };
        Answer { text: text.to_owned(), finish: Finish::Complete, usage }
    }

    fn ask(cache: &AnswerCache, content: &str) -> Option<String> {
        match cache.claim(key(content)).unwrap() {
            Claim::Known(answer) => Some(answer.text),
            Claim::Ours(ticket) => {
                ticket.keep("m", &answer(&format!("re {content}"))).unwrap();
                None
            }
        }
    }

    #[test]
    fn the_cache_returns_whole_answers_and_drops_a_cut_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("answers.jsonl");
        let open = || AnswerCache::open(&path, Durability::Buffered);
        let cache = open().unwrap();
        assert_eq!([ask(&cache, "a"), ask(&cache, "b\n")], [None, None]);
        drop(cache);
        let whole = std::fs::read(&path).unwrap();
        let first = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        for cut in first..=whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let cache = open().unwrap();
            let kept = usize::from(cut + 1 >= whole.len()); // the end of the line is no loss
            assert_eq!(cache.len(), 1 + kept, "cut at {cut}");
            assert_eq!(ask(&cache, "a").as_deref(), Some("re a"));
            assert_eq!(ask(&cache, "b\n").is_some(), kept == 1, "cut at {cut}");
            drop(cache);
            let cache = open().unwrap();
            assert_eq!(ask(&cache, "b\n").as_deref(), Some("re b\n"), "cut at {cut}");
            assert_eq!(cache.usage("m").prompt_tokens, 6);
        }
    }

    #[test]
    fn a_lost_answer_stays_paid_and_unanswered() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("answers.jsonl");
        let open = || AnswerCache::open(&path, Durability::Buffered).unwrap();
        let cache = open();
        let Claim::Ours(ticket) = cache.claim(key("a")).unwrap() else { panic!("not asked yet") };
        ticket.lost("m", Usage { prompt_tokens: 7, completion_tokens: 9 }).unwrap();
        drop(ticket);
        drop(cache);
        let cache = open();
        assert_eq!((cache.len(), cache.usage("m").prompt_tokens), (0, 7));
        assert_eq!(ask(&cache, "a"), None);
        drop(cache);
        let cache = open();
        assert_eq!(ask(&cache, "a").as_deref(), Some("re a"));
        assert_eq!(cache.usage("m"), Usage { prompt_tokens: 10, completion_tokens: 11 });
    }

    #[test]
    fn a_whole_line_that_is_no_answer_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("answers.jsonl");
        std::fs::write(&path, "{}\n").unwrap();
        let error = AnswerCache::open(&path, Durability::Buffered).unwrap_err();
        assert!(error.to_string().contains("answers.jsonl`, line 1"), "{error}");
    }

    #[test]
    fn one_request_is_sent_once_by_however_many_threads() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("answers.jsonl");
        let cache = AnswerCache::open(&path, Durability::Buffered).unwrap();
        let sent = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| ask(&cache, "a"))).collect();
            let texts = threads.into_iter().map(|thread| thread.join().unwrap());
            texts.filter(Option::is_none).count()
        });
        assert_eq!((sent, cache.len()), (1, 1));
    }

    #[test]
    fn a_right_that_is_not_used_passes_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("answers.jsonl");
        let cache = AnswerCache::open(&path, Durability::Buffered).unwrap();
        drop(cache.claim(key("a")).unwrap());
        assert_eq!(ask(&cache, "a"), None);
    }

    #[test]
    fn whatever_changes_an_answer_changes_the_key() {
        let messages = |content: &str| [Message { role: Role::User, content: content.to_owned() }];
        let sampling = Sampling { temperature: 0.5, max_tokens: 9 };
        let of = |teacher, content, sampling: &Sampling, hash| {
            RequestKey::new(teacher, &messages(content), sampling, hash)
        };
        let one = of("m", "a", &sampling, "5f");
        assert_eq!(one, of("m", "a", &sampling, "5f"));
        let warmer = Sampling { temperature: 0.6, ..sampling.clone() };
        for other in [
            of("n", "a", &sampling, "5f"),
            of("m", "b", &sampling, "5f"),
            of("m", "a", &warmer, "5f"),
            of("m", "a", &sampling, "5e"),
        ] {
            assert_ne!(one, other);
        }
    }
}
