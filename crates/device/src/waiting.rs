//! Threads of libtorch on a machine that others use too.

/// Rounds of a waiting thread before it gives up its core.
///
/// The default of libgomp is 300,000 or more, which takes about a millisecond. Between two
/// operations of a small model a thread waits a few microseconds, and these rounds are enough for
/// that. On a machine that others use, a thread that waits longer takes the core from the thread
/// that it waits for.
const ROUNDS: &str = "1000";

/// Settings of libgomp that say how its threads wait. If the user has set one, it is not changed.
const WAITING: [&str; 2] = ["GOMP_SPINCOUNT", "OMP_WAIT_POLICY"];

/// The setting that says how many threads there are.
const THREADS: &str = "OMP_NUM_THREADS";

/// Set for the program that was started again, so that it is not started a third time.
const SETTLED: &str = "SIDEREAL_SHARES_CORES";

/// How long the use of the processor is watched.
#[cfg(target_os = "linux")]
const WATCHED: std::time::Duration = std::time::Duration::from_millis(200);

/// Adapts the threads of libtorch to a machine that others use too. Returns whether the program
/// runs with these settings.
///
/// - There are as many threads as cores that are not busy at the start, at least one: operations of
///   a small model wait for their slowest thread, so a thread without a core of its own costs more
///   than it gains. `OMP_NUM_THREADS` in the environment has precedence.
/// - A waiting thread soon gives up its core. `GOMP_SPINCOUNT` or `OMP_WAIT_POLICY` in the
///   environment has precedence.
///
/// libgomp reads these settings while the program is loaded, before `main`. So this function sets
/// them and starts the program once more in its place, with the same arguments, process and files.
/// Call it first in `main`. With another number of threads, sums are rounded differently, so the
/// manifest of a run records the number. On systems other than Linux nothing happens, and the
/// result is `false`.
///
/// `docs/benchmarks.md` shows the effect beside a busy process and on an idle machine.
#[must_use = "`false` says that nothing was changed"]
pub fn share_cores() -> bool {
    if std::env::var_os(SETTLED).is_some() {
        return true;
    }
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::process::CommandExt as _;
        let mut args = std::env::args_os();
        let Ok(program) = std::env::current_exe() else { return false };
        let mut again = std::process::Command::new(program);
        if let Some(name) = args.next() {
            again.arg0(name);
        }
        again.args(args).env(SETTLED, "1");
        if WAITING.iter().all(|name| std::env::var_os(name).is_none()) {
            again.env(WAITING[0], ROUNDS);
        }
        if std::env::var_os(THREADS).is_none()
            && let Some(threads) = free_cores()
        {
            again.env(THREADS, threads.to_string());
        }
        // Returns only where the program could not be started again; it then goes on as it is.
        let _error = again.exec();
    }
    false
}

/// Cores that nobody uses while this process sleeps, at least one; `None` if the system does not
/// say.
#[cfg(target_os = "linux")]
fn free_cores() -> Option<usize> {
    let cores = std::thread::available_parallelism().ok()?.get();
    let read = || std::fs::read_to_string("/proc/stat").ok();
    let before = read()?;
    std::thread::sleep(WATCHED);
    free_of(cores, &before, &read()?)
}

/// How many of `cores` cores were free between two readings of `/proc/stat`.
#[cfg(target_os = "linux")]
fn free_of(cores: usize, before: &str, after: &str) -> Option<usize> {
    let ticks = |text: &str| -> Option<Vec<u64>> {
        let line = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
        line.split_whitespace().map(|ticks| ticks.parse().ok()).collect()
    };
    let (before, after) = (ticks(before)?, ticks(after)?);
    let spent = |at: usize| Some(after.get(at)?.saturating_sub(*before.get(at)?));
    // user, nice, system, idle, iowait, irq, softirq, steal. Nice processes make way.
    let busy = spent(0)? + spent(2)? + spent(5)? + spent(6)? + spent(7)?;
    let all = busy + spent(1)? + spent(3)? + spent(4)?;
    if all == 0 {
        return None;
    }
    // Half a core and more counts as one.
    let taken = (2 * busy * cores as u64 + all) / (2 * all);
    Some(cores.saturating_sub(usize::try_from(taken).unwrap_or(cores)).max(1))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::process::Command;

    use super::*;

    /// What a program sees that calls [`share_cores`]: a part of the test below, started by it.
    #[test]
    #[ignore = "a process of the test of shared cores"]
    #[allow(clippy::print_stdout, reason = "the parent reads it")]
    fn a_program_that_shares_cores() {
        let shares = share_cores();
        let value = |name| std::env::var(name).unwrap_or_default();
        println!("shares {shares} rounds {} threads {}", value(WAITING[0]), value(THREADS));
    }

    #[test]
    fn a_program_restarts_once_and_keeps_the_settings_of_the_user() {
        let run = |variables: &[(&str, &str)]| {
            let mut program = Command::new(std::env::current_exe().unwrap());
            program.args(["--ignored", "--nocapture", "--exact"]);
            program.arg("waiting::tests::a_program_that_shares_cores");
            for name in [WAITING[0], WAITING[1], THREADS, SETTLED] {
                program.env_remove(name);
            }
            let output = program.envs(variables.iter().copied()).output().unwrap();
            assert!(output.status.success());
            String::from_utf8(output.stdout).unwrap()
        };
        let found = run(&[]);
        assert!(found.contains(&format!("shares true rounds {ROUNDS} threads ")), "{found}");
        let threads = found.split("threads ").nth(1).unwrap().lines().next().unwrap();
        assert!(threads.trim().parse::<usize>().unwrap() >= 1, "{found}");
        let found = run(&[("GOMP_SPINCOUNT", "7"), ("OMP_NUM_THREADS", "3")]);
        assert!(found.contains("shares true rounds 7 threads 3"), "{found}");
        let found = run(&[("OMP_WAIT_POLICY", "active"), ("OMP_NUM_THREADS", "3")]);
        assert!(found.contains("shares true rounds  threads 3"), "{found}");
    }

    #[test]
    fn cargo_starts_programs_and_tests_with_the_same_rounds() {
        let config = include_str!("../../../.cargo/config.toml");
        assert!(config.contains(&format!("{} = \"{ROUNDS}\"", WAITING[0])));
    }

    #[test]
    fn cores_that_others_use_are_not_free() {
        // user nice system idle iowait irq softirq steal
        let start = "cpu  100 0 50 1000 0 0 0 0 0 0\ncpu0 1 2 3";
        let after = |user: u64, nice: u64, idle: u64| {
            format!("cpu  {} {nice} 50 {} 0 0 0 0 0 0\n", 100 + user, 1000 + idle)
        };
        assert_eq!(free_of(2, start, &after(0, 0, 40)), Some(2));
        assert_eq!(free_of(2, start, &after(20, 0, 20)), Some(1), "one of two is busy");
        assert_eq!(free_of(2, start, &after(8, 0, 32)), Some(2), "less than half of one");
        assert_eq!(free_of(2, start, &after(0, 20, 20)), Some(2), "a nice process makes way");
        assert_eq!(free_of(2, start, &after(40, 0, 0)), Some(1), "never none");
        assert_eq!(free_of(8, start, &after(30, 0, 10)), Some(2));
        assert_eq!(free_of(2, start, start), None);
        assert_eq!(free_of(2, "", ""), None);
    }
}
