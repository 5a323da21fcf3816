//! Questions of several threads, answered together.

use std::collections::{HashMap, VecDeque};
use std::num::NonZeroUsize;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a batch that is not full waits for one more question.
const QUIET: Duration = Duration::from_millis(200);

/// Collects the questions that several threads ask at the same time, and has them answered as one batch by one of
/// these threads.
#[derive(Debug)]
pub(super) struct Together<Q, A> {
    /// Questions of a batch, at most.
    most: usize,
    state: Mutex<State<Q, A>>,
    joined: Condvar,
    /// Held by the thread that answers.
    turn: Mutex<()>,
}

#[derive(Debug)]
struct State<Q, A> {
    /// The number of the next question.
    next: u64,
    waiting: VecDeque<(u64, Q)>,
    answers: HashMap<u64, A>,
}

impl<Q, A> Together<Q, A> {
    pub(super) fn new(most: NonZeroUsize) -> Self {
        let state = State { next: 0, waiting: VecDeque::new(), answers: HashMap::new() };
        let (state, joined, turn) = (Mutex::new(state), Condvar::new(), Mutex::new(()));
        Self { most: most.get(), state, joined, turn }
    }

    /// The answer to a question; `None` if the thread that had to answer it panicked, or `answer` returned too few.
    ///
    /// `answer` gets questions in the order in which they were asked, each `alike` the first of them, and returns
    /// the answers in this order. Only one thread is in `answer` at a time.
    pub(super) fn ask(
        &self,
        question: Q,
        alike: impl Fn(&Q, &Q) -> bool,
        answer: impl Fn(&[Q]) -> Vec<A>,
    ) -> Option<A> {
        let number = {
            let mut state = lock(&self.state);
            let number = state.next;
            state.next += 1;
            state.waiting.push_back((number, question));
            number
        };
        self.joined.notify_all();
        loop {
            let _turn = lock(&self.turn);
            let mut state = lock(&self.state);
            if let Some(answer) = state.answers.remove(&number) {
                return Some(answer);
            }
            if !state.waiting.iter().any(|(waiting, _)| *waiting == number) {
                return None;
            }
            let (numbers, questions) = self.gathered(state).batch(self.most, &alike);
            let answers = answer(&questions);
            lock(&self.state).answers.extend(numbers.into_iter().zip(answers));
        }
    }

    /// The state as soon as a batch is full, or nobody has joined for a while.
    fn gathered<'s>(&self, mut state: MutexGuard<'s, State<Q, A>>) -> MutexGuard<'s, State<Q, A>> {
        while state.waiting.len() < self.most {
            let known = state.waiting.len();
            let waited = self.joined.wait_timeout(state, QUIET);
            let (after, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            state = after;
            if timeout.timed_out() && state.waiting.len() == known {
                break;
            }
        }
        state
    }
}

impl<Q, A> State<Q, A> {
    /// Takes the questions of the next batch.
    fn batch(&mut self, most: usize, alike: &impl Fn(&Q, &Q) -> bool) -> (Vec<u64>, Vec<Q>) {
        let (mut numbers, mut questions) = (Vec::new(), Vec::new());
        while questions.len() < most
            && let Some((number, question)) = self.waiting.pop_front()
        {
            if questions.first().is_some_and(|first| !alike(first, &question)) {
                self.waiting.push_front((number, question));
                break;
            }
            numbers.push(number);
            questions.push(question);
        }
        (numbers, questions)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thread_gets_its_own_answer_and_batches_hold_what_is_alike() {
        let together = Together::new(NonZeroUsize::new(4).unwrap());
        let batches = Mutex::new(Vec::new());
        let ask = |question: u32| {
            together.ask(
                question,
                |one, other| one % 2 == other % 2,
                |questions: &[u32]| {
                    batches.lock().unwrap().push(questions.to_vec());
                    questions.iter().map(|question| question + 1000).collect()
                },
            )
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..20).map(|it| scope.spawn(move || ask(it))).collect();
            for (question, thread) in (0..).zip(threads) {
                assert_eq!(thread.join().unwrap(), Some(question + 1000));
            }
        });
        let batches = batches.into_inner().unwrap();
        assert!(batches.iter().all(|batch| (1..=4).contains(&batch.len())), "{batches:?}");
        assert!(batches.iter().all(|batch| batch.iter().all(|it| it % 2 == batch[0] % 2)));
        let mut all = batches.concat();
        all.sort_unstable();
        assert_eq!(all, (0..20).collect::<Vec<_>>());
    }

    #[test]
    fn a_question_without_an_answer_is_told_and_the_next_is_asked() {
        let together = Together::new(NonZeroUsize::MIN);
        let ask = |answers: Vec<u8>| together.ask((), |(), ()| true, move |_| answers.clone());
        assert_eq!(ask(Vec::new()), None);
        assert_eq!(ask(vec![7]), Some(7));
    }
}
