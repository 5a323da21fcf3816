//! A teacher behind an endpoint that misbehaves: nothing is lost, nothing is paid for twice.
#![allow(clippy::unwrap_used, reason = "a test's panic is its report")]

mod server;

use std::num::NonZeroUsize;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use server::{Reply, Server};
use sidereal_data::{Dataset, HeldOut, Item, ItemId, SampleId, User, leave_one_out};
use sidereal_prompts::EnrichmentKind;
use sidereal_sid::{Catalog, SemanticId, SidSpec};
use sidereal_teacher::{
    AnswerCache, AskErrorKind, Durability, EndpointConfig, EnrichConfig, Enriched, Enricher, Job,
    OpenAiTeacher, Prices, Reason, Rejection, Stopped,
};

const ITEMS: u16 = 20;

/// Items `<a_i><b_0>`, one user who chose all of them.
fn world() -> (Dataset, Catalog) {
    let items = (0..ITEMS).map(|i| Item::new(format!("k{i}"), format!("Useful thing number {i}")));
    let events = (0..u32::from(ITEMS)).map(ItemId).collect();
    let dataset = Dataset::new(items.collect(), vec![User::new("ann", events)]).unwrap();
    let sids = (0..ITEMS).map(|i| SemanticId::from([i, 0])).collect();
    (dataset, Catalog::new(SidSpec::new(vec![usize::from(ITEMS), 1], 0).unwrap(), sids).unwrap())
}

fn quick() -> EnrichConfig {
    let mut config = EnrichConfig::new(7);
    (config.first_wait, config.longest_wait) = (0.001, 0.002);
    config.words = (5, 100);
    config.attempts = 8;
    config.concurrency = 3;
    config
}

/// Paragraphs about all items.
fn paragraphs(url: &str, stream: bool, cache: &Path, config: EnrichConfig) -> Enriched {
    let (dataset, catalog) = world();
    let mut endpoint = EndpointConfig::new(url, "big-model");
    endpoint.stream = stream;
    endpoint.timeout = 20.0;
    let teacher = OpenAiTeacher::new(endpoint).unwrap();
    let cache = AnswerCache::open(cache, Durability::EachAnswer).unwrap();
    let jobs: Vec<_> = Job::items(EnrichmentKind::ItemParagraph, &dataset).collect();
    let enricher = Enricher::new(&dataset, &catalog, config).unwrap();
    enricher.run(&teacher, Some(&cache), &jobs, &mut |_| {}).unwrap()
}

fn last(request: &Value) -> &str {
    let messages = request["messages"].as_array().unwrap();
    messages.last().unwrap()["content"].as_str().unwrap()
}

/// The code that the prompt asks to be called by; `None` while the item is analysed.
fn code(request: &Value) -> Option<&str> {
    let asked = request["messages"][1]["content"].as_str().unwrap();
    asked.strip_prefix("A product has the code ").map(|rest| rest.split_once(". ").unwrap().0)
}

/// What a good teacher says.
fn good(request: &Value) -> String {
    let code = code(request).unwrap_or("It");
    format!("{code} is of use to many on many days of the year.")
}

fn assert_all_are_written(found: &Enriched) {
    assert_eq!((found.failed.len(), &found.stopped), (0, &None), "{:?}", found.failed);
    assert_eq!(found.enrichments.len(), usize::from(ITEMS));
    for i in 0..ITEMS {
        let id = SampleId::Item(ItemId(u32::from(i)));
        let text = found.enrichments.text(EnrichmentKind::ItemParagraph, id).unwrap();
        assert!(text.starts_with(&format!("<a_{i}><b_0> is of use")), "{text}");
    }
}

#[test]
fn every_kind_of_failure_is_repeated_and_each_answer_paid_for_once() {
    for stream in [false, true] {
        let server = Server::start(|request, before| match before {
            0 => Reply::Status(429, Some("0")),
            1 => Reply::Status(429, None),
            2 => Reply::Status(500, None),
            3 => Reply::Malformed,
            4 => Reply::Cut(good(request)),
            5 => Reply::Drop,
            _ => Reply::Text(good(request)),
        });
        let dir = tempfile::tempdir().unwrap();
        let cache = dir.path().join("answers.jsonl");
        let found = paragraphs(&server.url, stream, &cache, quick());
        assert_all_are_written(&found);
        let requests = 2 * usize::from(ITEMS); // two stages
        server.seen(|seen| {
            assert_eq!(seen.requests, 7 * requests);
            assert_eq!(seen.paid.len(), requests);
            assert!(seen.paid.values().all(|times| *times == 1));
            assert!(seen.most_open <= 3, "{}", seen.most_open);
        });
        assert_eq!(found.progress.requests, 7 * requests as u64);
        assert_eq!(found.progress.errors, 6 * requests as u64);
        // Again: all from the cache, the same texts.
        let again = paragraphs(&server.url, stream, &cache, quick());
        assert_eq!(again.enrichments, found.enrichments);
        assert_eq!((again.progress.requests, again.progress.cached), (0, requests as u64));
    }
}

#[test]
fn a_request_that_fails_to_the_end_is_listed_and_the_others_go_on() {
    let server = Server::start(|request, _| {
        if last(request).contains("thing number 7\n") {
            Reply::Status(503, None)
        } else {
            Reply::Text(good(request))
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let found = paragraphs(&server.url, false, &dir.path().join("a.jsonl"), quick());
    assert_eq!(found.enrichments.len(), usize::from(ITEMS) - 1);
    let [failed] = found.failed.as_slice() else { panic!("{:?}", found.failed) };
    assert_eq!(failed.id, SampleId::Item(ItemId(7)));
    let Reason::Unanswered(error) = &failed.reason else { panic!("{failed:?}") };
    assert_eq!(error.kind, AskErrorKind::Server);
    assert_eq!(server.seen(|seen| seen.bodies.values().copied().max()), Some(8));
}

#[test]
fn an_answer_that_does_not_come_in_time_is_asked_for_again() {
    let server = Server::start(|request, before| match before {
        0 if code(request) == Some("<a_3><b_0>") => Reply::Stall,
        _ => Reply::Text(good(request)),
    });
    let (dataset, catalog) = world();
    let mut endpoint = EndpointConfig::new(&server.url, "m");
    endpoint.timeout = 0.5;
    let teacher = OpenAiTeacher::new(endpoint).unwrap();
    let enricher = Enricher::new(&dataset, &catalog, quick()).unwrap();
    let found = enricher.run(&teacher, None, &[Job::item(ItemId(3))], &mut |_| {}).unwrap();
    assert_eq!((found.enrichments.len(), found.failed.len()), (1, 0));
    // The one that stalled may have cost as much as it can.
    assert!(found.progress.usage.completion_tokens >= 1024);
    server.release();
}

#[test]
fn advice_on_when_to_come_back_is_read() {
    let server = Server::start(|_, _| Reply::Status(429, Some("17")));
    let (dataset, catalog) = world();
    let teacher = OpenAiTeacher::new(EndpointConfig::new(&server.url, "m")).unwrap();
    let mut config = quick();
    config.attempts = 1;
    let enricher = Enricher::new(&dataset, &catalog, config).unwrap();
    let found = enricher.run(&teacher, None, &[Job::item(ItemId(3))], &mut |_| {}).unwrap();
    let Reason::Unanswered(error) = &found.failed[0].reason else { panic!("{found:?}") };
    assert_eq!(
        (error.kind, error.retry_after),
        (AskErrorKind::Busy, Some(Duration::from_secs(17)))
    );
}

#[test]
fn rejected_answers_are_asked_for_again_with_the_reason_and_kept() {
    let server = Server::start(|request, _| {
        let Some(code) = code(request) else { return Reply::Text(good(request)) };
        let number = code.trim_start_matches("<a_").split_once('>').unwrap().0;
        let asked = last(request);
        Reply::Text(if asked.contains("is the code of no product") {
            format!("{code}, a useful thing number {number}, is of use.")
        } else if asked.contains("by its title") && number != "5" {
            good(request)
        } else {
            format!("{code} is much like <a_{number}><b_1> in use.")
        })
    });
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("answers.jsonl");
    let found = paragraphs(&server.url, false, &cache, quick());
    assert_eq!(found.enrichments.len(), usize::from(ITEMS) - 1);
    let [failed] = found.failed.as_slice() else { panic!("{:?}", found.failed) };
    assert_eq!(failed.id, SampleId::Item(ItemId(5)));
    let illegal = Rejection::UnknownSid { text: "<a_5><b_1>".to_owned() };
    assert_eq!(failed.reason, Reason::Rejected(illegal));
    let rejected = 2 * u64::from(ITEMS) + 1;
    assert_eq!(found.progress.rejected, rejected);
    // Rejected answers are in the cache, too: nothing is sent again, the outcome is the same.
    let again = paragraphs(&server.url, false, &cache, quick());
    assert_eq!((again.progress.requests, again.progress.rejected), (0, rejected));
    assert_eq!((again.enrichments, again.failed), (found.enrichments, found.failed));
}

#[test]
fn a_wrong_key_ends_the_run_and_is_never_printed() {
    // The server repeats what it was sent, the key too.
    let server = Server::start(|_, _| Reply::Status(401, None));
    // A variable that is there when tests run.
    let key = std::env::var("CARGO_MANIFEST_DIR").unwrap();
    let (dataset, catalog) = world();
    let mut endpoint = EndpointConfig::new(&server.url, "m");
    endpoint.key_variable = Some("CARGO_MANIFEST_DIR".to_owned());
    let teacher = OpenAiTeacher::new(endpoint).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("answers.jsonl");
    let cache = AnswerCache::open(&path, Durability::EachAnswer).unwrap();
    let jobs: Vec<_> = Job::items(EnrichmentKind::ItemParagraph, &dataset).collect();
    let enricher = Enricher::new(&dataset, &catalog, quick()).unwrap();
    let found = enricher.run(&teacher, Some(&cache), &jobs, &mut |_| {}).unwrap();
    let Some(Stopped::Denied(error)) = &found.stopped else { panic!("{found:?}") };
    assert!(server.seen(|seen| seen.headers.contains(&format!("Bearer {key}"))));
    assert!(error.message.contains("Bearer [key]"), "{error}");
    assert!(!format!("{found:?} {teacher:?} {error}").contains(&key));
    assert!(!std::fs::read_to_string(&path).unwrap().contains(&key));
    assert!(server.seen(|seen| seen.requests) <= 3, "at most those under way");
}

#[test]
fn an_unreachable_endpoint_ends_the_run() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = quick();
    config.attempts = 2;
    // Port 9 discards, where anything listens at all.
    let found = paragraphs("http://127.0.0.1:9/v1", false, &dir.path().join("a"), config);
    assert!(matches!(found.stopped, Some(Stopped::Unreachable(_))), "{found:?}");
    assert!(found.progress.failed < usize::from(ITEMS));
}

#[test]
fn spending_ends_before_the_limit_and_a_higher_one_pays_for_the_rest_only() {
    let server = Server::start(|request, _| Reply::Text(good(request)));
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("answers.jsonl");
    let limited = |max_cost| {
        let mut config = quick();
        config.sampling.max_tokens = 100;
        // An answer costs 100 · 10 + 50 · 40 = 3,000 millionths.
        config.prices = Prices { prompt: 10.0, completion: 40.0 };
        config.max_cost = Some(max_cost);
        paragraphs(&server.url, false, &cache, config)
    };
    let first = limited(0.06);
    assert_eq!(first.stopped, Some(Stopped::SpendingLimit));
    let paid = server.seen(|seen| seen.paid.len());
    assert!((1..=20).contains(&paid), "{paid} answers of 0.003");
    assert!((first.progress.cost - 0.003 * paid as f64).abs() < 1e-9);
    // What the cache has cost counts.
    let second = limited(0.06);
    assert_eq!(second.stopped, Some(Stopped::SpendingLimit));
    assert_eq!((second.progress.requests, server.seen(|seen| seen.paid.len())), (0, paid));
    let third = limited(1.0);
    assert_all_are_written(&third);
    server.seen(|seen| {
        assert_eq!(seen.paid.len(), 40);
        assert!(seen.paid.values().all(|times| *times == 1));
    });
}

#[test]
fn the_possible_cost_of_failed_answers_counts_in_the_next_run() {
    let server = Server::start(|request, _| Reply::Cut(good(request)));
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("answers.jsonl");
    let run = || {
        let mut config = quick();
        config.sampling.max_tokens = 100;
        config.prices = Prices { prompt: 10.0, completion: 40.0 };
        config.max_cost = Some(0.06);
        paragraphs(&server.url, true, &cache, config)
    };
    let first = run();
    assert_eq!(first.stopped, Some(Stopped::SpendingLimit));
    assert!(first.progress.requests > 0);
    let second = run();
    assert_eq!((second.stopped, second.progress.requests), (Some(Stopped::SpendingLimit), 0));
}

#[test]
fn equal_requests_are_sent_once() {
    let server = Server::start(|request, _| Reply::Text(good(request)));
    let (dataset, catalog) = world();
    let teacher = OpenAiTeacher::new(EndpointConfig::new(&server.url, "m")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let cache = AnswerCache::open(&dir.path().join("a"), Durability::Buffered).unwrap();
    let enricher = Enricher::new(&dataset, &catalog, quick()).unwrap();
    let jobs = [Job::item(ItemId(3)); 9];
    let found = enricher.run(&teacher, Some(&cache), &jobs, &mut |_| {}).unwrap();
    assert_eq!((found.progress.written, found.enrichments.len()), (9, 1));
    assert_eq!(server.seen(|seen| seen.requests), 2);
}

#[test]
fn requests_about_events_never_hold_a_held_out_item_of_validation_or_test() {
    let server =
        Server::start(|_, _| Reply::Text("Likes what is of use to many people.".to_owned()));
    let (dataset, catalog) = world();
    let split = leave_one_out(&dataset, NonZeroUsize::MAX).unwrap();
    let teacher = OpenAiTeacher::new(EndpointConfig::new(&server.url, "m")).unwrap();
    let enricher = Enricher::new(&dataset, &catalog, quick()).unwrap();
    let jobs: Vec<_> = Job::events(EnrichmentKind::UserNarrative, &split.train).collect();
    let found = enricher.run(&teacher, None, &jobs, &mut |_| {}).unwrap();
    assert_eq!(found.enrichments.len(), split.train.num_samples());
    let held: Vec<_> =
        split.valid.samples().chain(split.test.samples()).map(|s| s.target).collect();
    assert_eq!(held.len(), 2);
    server.seen(|seen| {
        for item in held {
            let title = &dataset.item(item).unwrap().title;
            assert!(!seen.bodies.keys().any(|body| body.contains(title)));
        }
    });
}

/// What the run that is killed reads.
const URL: &str = "SIDEREAL_TEST_TEACHER_URL";
const CACHE: &str = "SIDEREAL_TEST_TEACHER_CACHE";

#[test]
#[ignore = "a part of the test below, which starts it as a process of its own"]
fn the_run_that_is_killed() {
    let (url, cache) = (std::env::var(URL).unwrap(), std::env::var(CACHE).unwrap());
    paragraphs(&url, false, Path::new(&cache), quick());
}

#[test]
fn after_kill_9_exactly_the_missing_requests_are_sent() {
    const ANSWERED: usize = 13;
    let server = Server::start({
        let answered = std::sync::atomic::AtomicUsize::new(0);
        move |request, _| {
            let number = answered.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            // The three that come next are under way when the end comes.
            let stalls = (ANSWERED..ANSWERED + 3).contains(&number);
            if stalls { Reply::Stall } else { Reply::Text(good(request)) }
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("answers.jsonl");
    let mut run = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_run_that_is_killed", "--ignored", "--nocapture"])
        .env(URL, &server.url)
        .env(CACHE, &cache)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    server.wait_for_stalled(3);
    let busy = AnswerCache::open(&cache, Durability::Buffered);
    assert!(busy.is_err(), "a second run must not pay for the same: {busy:?}");
    run.kill().unwrap(); // SIGKILL
    run.wait().unwrap();
    server.release();
    let before = server.seen(|seen| (seen.requests, seen.paid.clone()));
    assert_eq!((before.0, before.1.len()), (ANSWERED + 3, ANSWERED));

    let found = paragraphs(&server.url, false, &cache, quick());
    assert_all_are_written(&found);
    let missing = 2 * usize::from(ITEMS) - ANSWERED;
    assert_eq!(found.progress.requests, missing as u64);
    server.seen(|seen| {
        assert_eq!(seen.requests, ANSWERED + 3 + missing);
        assert_eq!(seen.paid.len(), 2 * usize::from(ITEMS));
        assert!(seen.paid.values().all(|times| *times == 1), "nothing was paid for twice");
    });
}
