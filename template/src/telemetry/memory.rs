//! What the process holds of the machine's memory, as the kernel counts it (`proc_pid_status(5)`), and what of its heap is
//! in use, as the allocator does (`malloc_info(3)`).

use anyhow::Context;
use malloc_info::info::{SystemType, TotalType};
use malloc_info::malloc_info;
use procfs::process::Process;
use serde::Serialize;

/// In bytes, but for the threads.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct MemoryUse {
    /// In the machine's memory now.
    pub resident: u64,
    /// The most that was resident at once.
    pub resident_peak: u64,
    /// The part of it that no file has: the heap and the stacks.
    pub anonymous: u64,
    /// The part of it that is read from files, such as the binary.
    pub file: u64,
    pub swapped: u64,
    /// What heap and stacks have reserved, used or not.
    pub reserved: u64,
    /// Each has a stack of its own, and may have an arena of the heap.
    pub threads: u64,
    pub heap: HeapUse,
}

/// In bytes, but for the arenas.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct HeapUse {
    /// What the service has allocated and not given back, with what the allocator adds to each piece.
    pub allocated: u64,
    /// What was given back, and waits in the allocator to be allocated again.
    pub free: u64,
    /// The part of `allocated` in pieces so large that each was asked of the kernel by itself.
    pub mapped: u64,
    /// The parts of the heap that threads allocate from without waiting for each other.
    pub arenas: u64,
}

impl MemoryUse {
    /// # Errors
    /// If the kernel or the allocator does not say.
    pub fn now() -> anyhow::Result<Self> {
        let status = Process::myself().and_then(|process| process.status());
        let status = status.context("the kernel does not say what memory is used")?;
        let bytes = |kibibytes: Option<u64>| kibibytes.unwrap_or_default() * 1024;
        Ok(Self {
            resident: bytes(status.vmrss),
            resident_peak: bytes(status.vmhwm),
            anonymous: bytes(status.rssanon),
            file: bytes(status.rssfile),
            swapped: bytes(status.vmswap),
            reserved: bytes(status.vmdata),
            threads: status.threads,
            heap: HeapUse::now()?,
        })
    }
}

impl HeapUse {
    fn now() -> anyhow::Result<Self> {
        let info = malloc_info().context("the allocator does not say what it holds")?;
        let total = |kinds: &[TotalType]| -> u64 {
            let wanted = info
                .total
                .iter()
                .filter(|total| kinds.contains(&total.r#type));
            wanted.map(|total| total.size as u64).sum()
        };
        let current = info
            .system
            .iter()
            .filter(|system| system.r#type == SystemType::Current);
        let taken: u64 = current.map(|system| system.size as u64).sum();
        let free = total(&[TotalType::Fast, TotalType::Rest]);
        let mapped = total(&[TotalType::Mmap]);
        Ok(Self {
            allocated: taken.saturating_sub(free) + mapped,
            free,
            mapped,
            arenas: info.heaps.len() as u64,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_allocated_is_seen_whether_it_is_one_piece_or_many() {
        const LARGE: u64 = 64 << 20;
        let is_seen = || {
            let before = HeapUse::now().unwrap();
            let one = vec![1_u8; 64 << 20];
            let with_one = HeapUse::now().unwrap();
            let many: Vec<_> = (0..64 << 10).map(|_| vec![1_u8; 1024]).collect();
            let with_many = HeapUse::now().unwrap();
            drop((one, many));
            with_one.mapped >= before.mapped + LARGE
                && with_many.allocated >= before.allocated + LARGE * 3 / 2
        };
        // Other tests of this process allocate and free at the same time.
        assert!((0..20).any(|_| is_seen()));
        assert!(HeapUse::now().unwrap().arenas >= 1);
    }
}
