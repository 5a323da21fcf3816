//! The money that may still be spent.

use std::sync::{Condvar, Mutex, PoisonError};

/// A sum that several threads spend from. Before it starts, a request reserves the most that it can
/// cost, so that the limit holds for any answer.
#[derive(Debug)]
pub(super) struct Budget {
    limit: Option<f64>,
    sums: Mutex<Sums>,
    changed: Condvar,
}

#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    spent: f64,
    reserved: f64,
    /// Requests under way.
    open: usize,
}

impl Budget {
    /// A budget of which `spent` is already spent.
    pub(super) fn new(limit: Option<f64>, spent: f64) -> Self {
        let sums = Sums { spent, ..Sums::default() };
        Self { limit, sums: Mutex::new(sums), changed: Condvar::new() }
    }

    /// Reserves `most`. If there is not enough now, it waits for the requests under way to return
    /// what they do not need. Returns `false` if there will never be enough.
    pub(super) fn reserve(&self, most: f64) -> bool {
        let mut sums = self.lock();
        loop {
            let fits = self.limit.is_none_or(|limit| sums.spent + sums.reserved + most <= limit);
            if fits {
                sums.reserved += most;
                sums.open += 1;
                return true;
            }
            if sums.open == 0 {
                return false;
            }
            sums = self.changed.wait(sums).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Replaces a reservation by what was spent.
    pub(super) fn settle(&self, reserved: f64, spent: f64) {
        let mut sums = self.lock();
        sums.open = sums.open.saturating_sub(1);
        // Rounding must not leave a remainder that belongs to no request.
        sums.reserved = if sums.open == 0 { 0.0 } else { sums.reserved - reserved };
        sums.spent += spent;
        drop(sums);
        self.changed.notify_all();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Sums> {
        self.sums.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unspent_reservations_can_be_reserved_again() {
        let budget = Budget::new(Some(10.0), 1.0);
        assert!(budget.reserve(8.0));
        budget.settle(8.0, 2.0);
        assert!(budget.reserve(7.0));
        budget.settle(7.0, 7.0);
        assert!(!budget.reserve(0.5));
        assert!(Budget::new(None, 1e9).reserve(1e9));
    }

    #[test]
    fn a_request_waits_for_what_others_leave() {
        let budget = Budget::new(Some(10.0), 0.0);
        assert!(budget.reserve(9.0));
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| budget.reserve(5.0));
            budget.settle(9.0, 1.0);
            assert!(waiting.join().unwrap());
        });
    }
}
