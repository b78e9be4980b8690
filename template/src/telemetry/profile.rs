//! A profile of the processor: which functions were running, sampled a hundred times a second.

use anyhow::Context;
use pprof::protos::Message;
use pprof::{ProfilerGuard, ProfilerGuardBuilder, Report};

/// Not a divisor of the usual timers, so that it does not meet them at the same step every time.
const SAMPLES_PER_SECOND: i32 = 99;

/// Samples until it is finished. There is one in a process at a time.
pub struct Profile(ProfilerGuard<'static>);

impl Profile {
    /// # Errors
    /// If the system refuses the timer, or another profile runs.
    pub fn start() -> anyhow::Result<Self> {
        let sampler = ProfilerGuardBuilder::default()
            .frequency(SAMPLES_PER_SECOND)
            // A sample in the middle of one of these could not walk the stack, and might wait for its own lock.
            .blocklist(&["libc", "libgcc", "pthread", "vdso"])
            .build()
            .context("no profile can be taken")?;
        Ok(Self(sampler))
    }

    /// As `pprof` reads it (<https://github.com/google/pprof/tree/main/proto>).
    ///
    /// # Errors
    /// If the samples cannot be read.
    pub fn to_pprof(&self) -> anyhow::Result<Vec<u8>> {
        Ok(self.report()?.pprof()?.encode_to_vec())
    }

    /// As a flame graph; `None` if nothing ran that could be drawn.
    ///
    /// # Errors
    /// If the samples cannot be read.
    pub fn to_svg(&self) -> anyhow::Result<Option<Vec<u8>>> {
        let report = self.report()?;
        if report.data.is_empty() {
            return Ok(None);
        }
        let mut svg = Vec::new();
        let drawn = report.flamegraph(&mut svg);
        drawn.context("the flame graph cannot be drawn")?;
        Ok(Some(svg))
    }

    fn report(&self) -> anyhow::Result<Report> {
        let report = self.0.report().build();
        report.context("the samples cannot be read")
    }
}
