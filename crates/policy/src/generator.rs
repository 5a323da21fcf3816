//! libtorch's generator of random numbers, held by one thread at a time.

use std::sync::{Mutex, MutexGuard, PoisonError};

static HELD: Mutex<()> = Mutex::new(());

/// libtorch's generator, seeded and held: what is drawn from it until this is dropped depends on the seed alone.
///
/// libtorch has one generator for all threads of a process. Two trainings in one process, such as two tests, would
/// draw from each other's seed in the middle of a step. Whoever draws by dropout or fills weights holds this for as
/// long as it draws; a second thread waits. Nothing that holds it may ask for it again.
#[derive(Debug)]
#[must_use = "the generator is only held while this lives"]
pub struct SeededGenerator {
    _held: MutexGuard<'static, ()>,
}

impl SeededGenerator {
    /// Waits for the generator and seeds it.
    pub fn new(seed: i64) -> Self {
        // A thread that panicked leaves a state, which this seed replaces.
        let held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
        tch::manual_seed(seed);
        Self { _held: held }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use tch::{Device, Kind, Tensor};

    use super::*;

    /// Many draws, one after the other.
    fn drawn(seed: i64) -> Vec<f64> {
        let _generator = SeededGenerator::new(seed);
        let draws = (0..200).map(|_| Tensor::randn([3], (Kind::Double, Device::Cpu)));
        draws.flat_map(|draw| Vec::<f64>::try_from(draw).unwrap()).collect()
    }

    #[test]
    fn threads_draw_what_they_draw_alone() {
        let alone: Vec<Vec<f64>> = (0..4).map(drawn).collect();
        let together: Vec<Vec<f64>> = thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|seed| scope.spawn(move || drawn(seed))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(alone, together);
    }
}
