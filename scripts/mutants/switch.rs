/// Which mutant runs, read once from the environment.
///
/// `SIDEREAL_MUTANT` is the number of the one mutant that is on; without it the code is the original.
/// `SIDEREAL_REACHED` names a file to which the number of every mutant that the process reaches is
/// added, once for each.
mod mutant_switch {
    use std::collections::HashSet;
    use std::io::Write as _;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU32, Ordering};

    const UNREAD: u32 = u32::MAX;
    const RECORDED: u32 = u32::MAX - 1;
    static ACTIVE: AtomicU32 = AtomicU32::new(UNREAD);
    static SEEN: Mutex<Option<HashSet<u32>>> = Mutex::new(None);

    #[inline]
    pub(crate) fn mutant(id: u32) -> bool {
        let active = ACTIVE.load(Ordering::Relaxed);
        if active < RECORDED { active == id } else { first(id) }
    }

    #[cold]
    fn first(id: u32) -> bool {
        let Some(path) = std::env::var_os("SIDEREAL_REACHED") else {
            let active = std::env::var("SIDEREAL_MUTANT").ok().and_then(|text| text.parse().ok());
            ACTIVE.store(active.unwrap_or(0), Ordering::Relaxed);
            return active == Some(id);
        };
        ACTIVE.store(RECORDED, Ordering::Relaxed);
        let mut seen = SEEN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if seen.get_or_insert_default().insert(id) {
            let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
            file.write_all(format!("{id}\n").as_bytes()).unwrap();
        }
        false
    }
}
pub(crate) use mutant_switch::mutant;
