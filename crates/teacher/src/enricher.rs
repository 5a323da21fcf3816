//! The run of requests: several at once, and each text passes through its stages.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sidereal_data::Dataset;
use sidereal_prompts::{Enrichment, Enrichments, Message};
use sidereal_sid::Catalog;

use crate::budget::Budget;
use crate::cache::{Claim, RequestKey, Ticket};
use crate::check::Checks;
use crate::job::Known;
use crate::limiter::Limiter;
use crate::progress::Reason;
use crate::{
    Answer, AnswerCache, AskError, AskErrorKind, EnrichConfig, Enriched, Failed, Job, Progress,
    Request, RequestStage, Stopped, Subject, Teacher, TeacherError, TeacherPrompts, Usage,
};

/// Number of jobs in a row without an answer after which a run ends, at least.
const MIN_UNANSWERED: usize = 3;
/// Tokens of a message besides those of its text, at most.
const MESSAGE_TOKENS: u64 = 16;
/// Bytes of a token, roughly.
const TOKEN_BYTES: u64 = 4;

/// Asks a teacher for texts about one dataset.
#[derive(Debug)]
pub struct Enricher<'a> {
    known: Known<'a>,
    prompts: TeacherPrompts,
    config: EnrichConfig,
    dataset_hash: String,
}

impl<'a> Enricher<'a> {
    /// An enricher of this dataset, whose items `catalog` names.
    ///
    /// # Errors
    /// [`TeacherError::CatalogSize`] for a catalogue of other items; [`TeacherError::Config`].
    pub fn new(
        dataset: &'a Dataset,
        catalog: &'a Catalog,
        config: EnrichConfig,
    ) -> Result<Self, TeacherError> {
        if catalog.num_items() != dataset.num_items() {
            let (catalog, dataset) = (catalog.num_items(), dataset.num_items());
            return Err(TeacherError::CatalogSize { catalog, dataset });
        }
        Self::over(Known { dataset, catalog: Some(catalog), reviews: &[] }, config)
    }

    /// An enricher of a dataset whose items have no Semantic IDs yet: for texts of the kind
    /// [`ItemDescription`](sidereal_prompts::EnrichmentKind::ItemDescription), from which Semantic IDs
    /// can be made.
    ///
    /// # Errors
    /// [`TeacherError::Config`]. A job of another kind ends the run with
    /// [`TeacherError::NoCatalog`].
    pub fn without_catalog(
        dataset: &'a Dataset,
        config: EnrichConfig,
    ) -> Result<Self, TeacherError> {
        Self::over(Known { dataset, catalog: None, reviews: &[] }, config)
    }

    fn over(known: Known<'a>, config: EnrichConfig) -> Result<Self, TeacherError> {
        let config = config.checked()?;
        let prompts = TeacherPrompts::builtin(config.words)?;
        Ok(Self { known, prompts, config, dataset_hash: known.dataset.hash() })
    }

    /// The same with what users wrote of each item, `[N]`, the best first; only descriptions of items
    /// are made of it. Reviews of held-out events would reveal them, see
    /// [`read_review_texts`](sidereal_data::read::amazon::read_review_texts).
    ///
    /// # Errors
    /// [`TeacherError::ReviewCount`] for another number of items.
    pub fn with_reviews(mut self, reviews: &'a [Vec<String>]) -> Result<Self, TeacherError> {
        let (found, dataset) = (reviews.len(), self.known.dataset.num_items());
        if found != dataset {
            return Err(TeacherError::ReviewCount { reviews: found, dataset });
        }
        self.known.reviews = reviews;
        Ok(self)
    }

    /// Gets the text of every job, from the cache if it is there, and reports after every answer
    /// and every job.
    ///
    /// Texts that the teacher cannot get right, or whose requests fail for good, are listed. If a
    /// run ends early, because it was killed or [`Stopped`], it can be repeated with the same
    /// cache. Then only the missing requests are sent. Two equal requests are sent once, if there
    /// is a cache.
    ///
    /// # Errors
    /// [`TeacherError::ItemRange`] for a job of another dataset, [`TeacherError::Template`],
    /// and [`TeacherError::Io`] of the cache: an answer that cannot be kept ends the run, after the
    /// requests under way.
    pub fn run(
        &self,
        teacher: &dyn Teacher,
        cache: Option<&AnswerCache>,
        jobs: &[Job<'_>],
        observe: &mut (dyn FnMut(&Progress) + Send),
    ) -> Result<Enriched, TeacherError> {
        let config = &self.config;
        let spent = cache.map_or(Usage::default(), |cache| cache.usage(teacher.name()));
        let (requests, tokens) = (config.requests_per_minute, config.tokens_per_minute);
        let run = Run {
            enricher: self,
            teacher,
            cache,
            budget: Budget::new(config.max_cost, config.prices.cost(spent)),
            limiter: Mutex::new(Limiter::new(requests, tokens, Instant::now())),
            state: Mutex::new(State {
                next: 0,
                outcomes: jobs.iter().map(|_| None).collect(),
                progress: Progress { jobs: jobs.len(), ..Progress::default() },
                unanswered: 0,
                halt: None,
                observe,
            }),
            halted: Condvar::new(),
        };
        std::thread::scope(|scope| {
            for _ in 0..config.concurrency.min(jobs.len()) {
                scope.spawn(|| run.work(jobs));
            }
        });
        let state = run.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        let stopped = match state.halt {
            Some(Halt::Error(error)) => return Err(error),
            Some(Halt::Stopped(stopped)) => Some(stopped),
            None => None,
        };
        let (mut enrichments, mut failed) = (Enrichments::default(), Vec::new());
        for outcome in state.outcomes.into_iter().flatten() {
            match outcome {
                // If a job is there twice, the texts are the same, or one is as good as the other.
                Ok(text) => {
                    let path = std::path::Path::new("the teacher's texts");
                    enrichments
                        .insert(text, true)
                        .map_err(|problem| TeacherError::Row { path: path.to_owned(), problem })?;
                }
                Err(job) => failed.push(job),
            }
        }
        Ok(Enriched { enrichments, failed, progress: state.progress, stopped })
    }
}

/// Why a run ends before its last job.
#[derive(Debug)]
enum Halt {
    Stopped(Stopped),
    Error(TeacherError),
}

impl From<TeacherError> for Halt {
    fn from(error: TeacherError) -> Self {
        Self::Error(error)
    }
}

/// Why a job ends without an outcome: the run ends, because of this job or another one.
type Left = Option<Halt>;

struct State<'r> {
    /// The job that comes next.
    next: usize,
    outcomes: Vec<Option<Result<Enrichment, Failed>>>,
    progress: Progress,
    /// Jobs in a row that got no answer.
    unanswered: usize,
    halt: Option<Halt>,
    observe: &'r mut (dyn FnMut(&Progress) + Send),
}

struct Run<'r> {
    enricher: &'r Enricher<'r>,
    teacher: &'r dyn Teacher,
    cache: Option<&'r AnswerCache>,
    budget: Budget,
    limiter: Mutex<Limiter>,
    state: Mutex<State<'r>>,
    halted: Condvar,
}

impl<'r> Run<'r> {
    /// Takes jobs until there is none, or the run ends.
    fn work(&self, jobs: &[Job<'_>]) {
        loop {
            let mut state = self.lock();
            let number = state.next;
            let (Some(job), None) = (jobs.get(number), &state.halt) else { return };
            state.next += 1;
            drop(state);
            let outcome = self.text(job);
            let mut state = self.lock();
            match outcome {
                Ok(outcome) => {
                    match &outcome {
                        Ok(_) => state.progress.written += 1,
                        Err(_) => state.progress.failed += 1,
                    }
                    if let Err(Failed { reason: Reason::Unanswered(error), .. }) = &outcome {
                        state.unanswered += usize::from(error.kind.is_transient());
                        let enough = self.enricher.config.concurrency.max(MIN_UNANSWERED);
                        if state.unanswered >= enough && state.halt.is_none() {
                            state.halt = Some(Halt::Stopped(Stopped::Unreachable(error.clone())));
                        }
                    }
                    if let Some(place) = state.outcomes.get_mut(number) {
                        *place = Some(outcome);
                    }
                    state.report();
                }
                Err(Some(halt)) => {
                    // An error is more important.
                    if !matches!(state.halt, Some(Halt::Error(_))) {
                        state.halt = Some(halt);
                    }
                }
                Err(None) => {}
            }
            if state.halt.is_some() {
                self.halted.notify_all();
            }
        }
    }

    /// The text of a job, through all its stages.
    fn text(&self, job: &Job<'_>) -> Result<Result<Enrichment, Failed>, Left> {
        let Enricher { known, prompts, config, dataset_hash } = self.enricher;
        let subject = job.subject(known).map_err(Halt::from)?;
        let (id, kind) = (job.id(), job.kind());
        if matches!(&subject, Subject::Event { history, .. } if history.is_empty()) {
            return Ok(Err(Failed { id, kind, stage: None, reason: Reason::NothingShown }));
        }
        let prompt_hash = prompts.hash(kind);
        let checks = Checks { catalog: known.catalog, words: config.words };
        let mut text = String::new();
        for stage in RequestStage::of(kind).iter().copied() {
            let failed = |reason| Ok(Err(Failed { id, kind, stage: Some(stage), reason }));
            let mut messages = prompts.messages(stage, &subject, &text).map_err(Halt::from)?;
            let mut corrections = 0;
            text = loop {
                let answer = match self.answer(stage, &subject, &messages)? {
                    Ok(answer) => answer,
                    Err(error) => return failed(Reason::Unanswered(error)),
                };
                let rejection = match checks.text(stage, &subject, &answer) {
                    Ok(text) => break text,
                    Err(rejection) => rejection,
                };
                self.count(|progress| progress.rejected += 1);
                if corrections == config.corrections {
                    return failed(Reason::Rejected(rejection));
                }
                corrections += 1;
                let again = prompts.correction(&answer.text, &rejection.to_string());
                messages.extend(again.map_err(Halt::from)?);
            };
        }
        Ok(Ok(Enrichment {
            id,
            kind,
            text,
            teacher: self.teacher.name().to_owned(),
            prompt_hash,
            dataset: Some(dataset_hash.clone()),
        }))
    }

    /// The answer to a request, from the cache or the teacher.
    fn answer(
        &self,
        stage: RequestStage,
        subject: &Subject<'_>,
        messages: &[Message],
    ) -> Result<Result<Answer, AskError>, Left> {
        let Enricher { prompts, config: EnrichConfig { sampling, .. }, .. } = self.enricher;
        let prompt_hash = &prompts.hash(stage.kind());
        let request = Request { stage, subject, messages, sampling };
        let key = RequestKey::new(self.teacher.name(), messages, sampling, prompt_hash);
        let ticket =
            match self.cache.map(|cache| cache.claim(key)).transpose().map_err(Halt::from)? {
                Some(Claim::Known(answer)) => {
                    self.count(|progress| progress.cached += 1);
                    return Ok(Ok(answer));
                }
                Some(Claim::Ours(ticket)) => Some(ticket),
                None => None,
            };
        let answer = self.ask(&request, key, ticket.as_ref())?;
        if let (Ok(answer), Some(ticket)) = (&answer, ticket) {
            ticket.keep(self.teacher.name(), answer).map_err(Halt::from)?;
        }
        Ok(answer)
    }

    /// Asks until there is an answer, a permanent error, or no attempt left. The cache records what
    /// attempts without an answer may have cost.
    fn ask(
        &self,
        request: &Request<'_>,
        key: RequestKey,
        ticket: Option<&Ticket<'_>>,
    ) -> Result<Result<Answer, AskError>, Left> {
        let config = &self.enricher.config;
        let most = most_tokens(request);
        let most_cost = config.prices.cost(most);
        let likely = most.prompt_tokens / TOKEN_BYTES + most.completion_tokens;
        let mut rng = ChaCha8Rng::seed_from_u64(config.seed ^ key.number());
        let mut attempt = 0;
        loop {
            if !self.budget.reserve(most_cost) {
                return Err(Some(Halt::Stopped(Stopped::SpendingLimit)));
            }
            let wait = lock(&self.limiter).take(likely, Instant::now());
            if !self.sleep(wait) {
                self.budget.settle(most_cost, 0.0);
                return Err(None);
            }
            let asked = self.teacher.ask(request);
            attempt += 1;
            let used = match &asked {
                Ok(answer) => answer.usage,
                Err(error) if error.may_have_cost => most,
                Err(_) => Usage::default(),
            };
            let cost = config.prices.cost(used);
            self.budget.settle(most_cost, cost);
            lock(&self.limiter).settle(likely, used.prompt_tokens + used.completion_tokens);
            let mut state = self.lock();
            state.progress.requests += 1;
            state.progress.errors += u64::from(asked.is_err());
            state.progress.usage += used;
            state.progress.cost += cost;
            if asked.is_ok() {
                state.unanswered = 0;
            }
            state.report();
            drop(state);
            let error = match asked {
                Ok(answer) => return Ok(Ok(answer)),
                Err(error) => error,
            };
            if let (true, Some(ticket)) = (error.may_have_cost, ticket) {
                ticket.lost(self.teacher.name(), used).map_err(Halt::from)?;
            }
            if error.kind == AskErrorKind::Denied {
                return Err(Some(Halt::Stopped(Stopped::Denied(error))));
            }
            if !error.kind.is_transient() || attempt >= config.attempts {
                return Ok(Err(error));
            }
            let wait =
                backoff(config, attempt, &mut rng).max(error.retry_after.unwrap_or_default());
            let wait = wait.min(Duration::from_secs_f64(config.longest_wait));
            if error.kind == AskErrorKind::Busy || error.retry_after.is_some() {
                // The other threads would only get the same reply.
                lock(&self.limiter).pause(wait, Instant::now());
            }
            if !self.sleep(wait) {
                return Err(None);
            }
        }
    }

    /// Waits; `false` if the run ended meanwhile.
    fn sleep(&self, wait: Duration) -> bool {
        let running = |state: &mut State<'_>| state.halt.is_none();
        let waited = self.halted.wait_timeout_while(self.lock(), wait, running);
        waited.unwrap_or_else(PoisonError::into_inner).0.halt.is_none()
    }

    fn count(&self, change: impl FnOnce(&mut Progress)) {
        let mut state = self.lock();
        change(&mut state.progress);
        state.report();
    }

    fn lock(&self) -> MutexGuard<'_, State<'r>> {
        lock(&self.state)
    }
}

impl State<'_> {
    fn report(&mut self) {
        (self.observe)(&self.progress);
    }
}

/// The largest number of tokens that a request can take: no token is shorter than a byte.
fn most_tokens(request: &Request<'_>) -> Usage {
    let tokens = |message: &Message| message.content.len() as u64 + MESSAGE_TOKENS;
    Usage {
        prompt_tokens: request.messages.iter().map(tokens).sum(),
        completion_tokens: u64::from(request.sampling.max_tokens),
    }
}

/// ```text
/// u · min(first · 2^(attempt - 1), longest),  u uniform in [1/2, 1)
/// ```
fn backoff(config: &EnrichConfig, attempt: u32, rng: &mut impl Rng) -> Duration {
    let doubled = config.first_wait * f64::from(attempt.saturating_sub(1).min(64)).exp2();
    Duration::from_secs_f64(doubled.min(config.longest_wait) * rng.gen_range(0.5..1.0))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
