//! What the process holds of the machine's memory, as the kernel counts it (`proc_pid_status(5)`).

use anyhow::Context;
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
}

impl MemoryUse {
    /// # Errors
    /// If the kernel does not say.
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
        })
    }
}
