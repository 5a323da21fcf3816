//! Limits of requests and tokens a minute.

use std::time::{Duration, Instant};

/// Seconds of the rate that may be used at once.
const BURST: f64 = 1.0;

/// An allowance that refills steadily. It may go below zero; then the caller waits until it is
/// refilled.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    /// Refill a second.
    rate: f64,
    level: f64,
    filled: Instant,
}

impl Bucket {
    fn new(per_minute: f64, now: Instant) -> Self {
        let rate = per_minute / 60.0;
        Self { rate, level: rate * BURST, filled: now }
    }

    /// Takes `amount` and returns how long to wait for it. The first amount needs no wait.
    fn take(&mut self, amount: f64, now: Instant) -> Duration {
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.level = (self.level + passed * self.rate).min(self.rate * BURST);
        self.filled = self.filled.max(now);
        let missing = -self.level;
        self.level -= amount;
        Duration::try_from_secs_f64(missing.max(0.0) / self.rate).unwrap_or(Duration::MAX)
    }
}

/// Limits of one run, all its threads together.
#[derive(Debug, Clone)]
pub(super) struct Limiter {
    requests: Option<Bucket>,
    tokens: Option<Bucket>,
    /// No request starts before this time, because the endpoint asked for it.
    paused: Option<Instant>,
}

impl Limiter {
    pub(super) fn new(requests: Option<f64>, tokens: Option<f64>, now: Instant) -> Self {
        let bucket = |rate: Option<f64>| rate.map(|rate| Bucket::new(rate, now));
        Self { requests: bucket(requests), tokens: bucket(tokens), paused: None }
    }

    /// Takes a request of `tokens` tokens and returns how long to wait before it starts.
    pub(super) fn take(&mut self, tokens: u64, now: Instant) -> Duration {
        let of = |bucket: &mut Option<Bucket>, amount| {
            bucket.as_mut().map_or(Duration::ZERO, |bucket| bucket.take(amount, now))
        };
        let wait = of(&mut self.requests, 1.0).max(of(&mut self.tokens, tokens as f64));
        let paused = self.paused.map_or(Duration::ZERO, |end| end.saturating_duration_since(now));
        wait.max(paused)
    }

    /// Corrects the allowance after a request that took more or fewer tokens than expected.
    pub(super) fn settle(&mut self, taken: u64, used: u64) {
        if let Some(bucket) = &mut self.tokens {
            bucket.level += taken as f64 - used as f64;
        }
    }

    /// Holds back every request for this time.
    pub(super) fn pause(&mut self, wait: Duration, now: Instant) {
        let end = now.checked_add(wait);
        self.paused = self.paused.max(end);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn requests_come_a_second_apart_at_sixty_a_minute() {
        let now = Instant::now();
        let mut limiter = Limiter::new(Some(60.0), None, now);
        let waits: Vec<_> = (0..4).map(|_| limiter.take(9, now).as_secs_f64().round()).collect();
        assert_eq!(waits, [0.0, 0.0, 1.0, 2.0]);
    }

    #[test]
    fn tokens_that_were_not_used_are_given_back() {
        let now = Instant::now();
        let mut limiter = Limiter::new(None, Some(600.0), now); // 10 a second
        assert_eq!(limiter.take(110, now), Duration::ZERO);
        limiter.settle(110, 30);
        assert!((limiter.take(1, now).as_secs_f64() - 2.0).abs() < 0.5); // 10 - 30 tokens
    }

    #[test]
    fn a_pause_delays_all_requests_and_a_shorter_one_does_not_end_it() {
        let now = Instant::now();
        let mut limiter = Limiter::new(None, None, now);
        limiter.pause(Duration::from_secs(9), now);
        limiter.pause(Duration::from_secs(3), now);
        assert_eq!(limiter.take(1, now), Duration::from_secs(9));
        assert_eq!(limiter.take(1, now + Duration::from_secs(10)), Duration::ZERO);
    }

    proptest! {
        /// In any stretch of time at most its share of the rate, a burst and one request start.
        #[test]
        fn the_rate_holds_over_every_stretch(
            steps in proptest::collection::vec((0u64..3000, 1u64..50), 1..60),
        ) {
            let (start, rate) = (Instant::now(), 600.0); // 10 tokens a second
            let mut limiter = Limiter::new(None, Some(rate), start);
            let mut now = start;
            let mut starts = Vec::new();
            for (gap, tokens) in steps {
                now += Duration::from_millis(gap);
                starts.push((now + limiter.take(tokens, now), tokens));
            }
            starts.sort_unstable();
            for (i, (from, _)) in starts.iter().enumerate() {
                let mut sum = 0;
                for (to, tokens) in &starts[i..] {
                    let allowed = (to.duration_since(*from).as_secs_f64() + BURST) * rate / 60.0;
                    // What starts at the end of the stretch is not yet used up.
                    prop_assert!((sum as f64) <= allowed + 50.0, "{sum} in {allowed}");
                    sum += tokens;
                }
            }
        }
    }
}
