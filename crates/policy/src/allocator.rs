//! Keeps the memory of freed tensors in the process.

/// Tells glibc's allocator to keep the memory of freed tensors. Returns whether the allocator
/// accepted.
///
/// By default `malloc` requests every block beyond a threshold (128 KiB to 32 MiB, which adapts)
/// from the system and returns it when the block is freed. So each step of a training loop has a
/// page fault for every 4 KiB of every temporary tensor. This function sets the thresholds of
/// mapping and trimming to 1 GiB (32 MiB if glibc accepts no more). Blocks are then reused, and the
/// process keeps its peak of memory until it ends. Call it once at the start of a program; it holds
/// for the whole process and does not change values. On systems other than Linux with glibc it does
/// nothing and returns `false`.
///
/// Measured with the example `allocator_speed` (forward and backward, D = 128, 3 layers, 64 × 40
/// tokens, one thread of an AMD EPYC virtual machine, seven alternating runs): 9 to 14 % less CPU
/// time per step, and a third of the system time. The page faults of 40 steps fall from 234,000 to
/// 72,000, of which some 17,000 belong to the start.
#[allow(unsafe_code, reason = "`mallopt` is a C function")]
#[must_use = "`false` says that nothing was changed"]
pub fn tune_allocator() -> bool {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        const GIB: libc::c_int = 1 << 30;
        const LARGEST_OLD: libc::c_int = 32 << 20;
        // SAFETY: `mallopt` takes two integers, locks the allocator itself, and refuses values
        // that it cannot use by returning 0.
        let set = |what, value| unsafe { libc::mallopt(what, value) } == 1;
        let mapping = set(libc::M_MMAP_THRESHOLD, GIB) || set(libc::M_MMAP_THRESHOLD, LARGEST_OLD);
        mapping && set(libc::M_TRIM_THRESHOLD, GIB) && set(libc::M_TOP_PAD, LARGEST_OLD)
    }
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    false
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_thresholds_are_accepted_where_glibc_is() {
        assert_eq!(super::tune_allocator(), cfg!(all(target_os = "linux", target_env = "gnu")));
        assert_eq!(vec![1u8; 40 << 20].len(), 40 << 20, "allocation still works");
    }
}
