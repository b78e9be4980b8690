//! What the process uses of its machine: memory, processor, files, the runtime's workers, and the disk of its data.

use std::path::{Path, PathBuf};
use std::time::Duration;

use metrics::gauge;
use rustix::fs::{StatVfs, statvfs};
use tokio::runtime::Handle;

/// A cheap handle.
#[derive(Clone, Debug)]
pub struct RuntimeMetrics {
    data: PathBuf,
}

impl RuntimeMetrics {
    /// `data` is a folder on the disk to watch.
    #[must_use]
    pub fn new(data: &Path) -> Self {
        Self {
            data: data.to_owned(),
        }
    }

    /// Sets the gauges to what is true now.
    ///
    /// # Panics
    /// Outside a runtime.
    pub fn record(&self) {
        metrics_process::Collector::default().collect();
        record_workers(&Handle::current());
        if let Some(disk) = disk_of(&self.data) {
            gauge!("disk_available_bytes").set(bytes(disk.f_bavail, disk.f_frsize));
            gauge!("disk_size_bytes").set(bytes(disk.f_blocks, disk.f_frsize));
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of tasks and threads are far below 2^52"
)]
fn record_workers(runtime: &Handle) {
    let runtime = runtime.metrics();
    let workers = runtime.num_workers();
    let busy: Duration = (0..workers)
        .map(|worker| runtime.worker_total_busy_duration(worker))
        .sum();
    gauge!("tokio_workers").set(workers as f64);
    gauge!("tokio_alive_tasks").set(runtime.num_alive_tasks() as f64);
    gauge!("tokio_global_queue_depth").set(runtime.global_queue_depth() as f64);
    gauge!("tokio_busy_seconds").set(busy);
}

/// The file system of `folder`, or of the nearest folder above it that exists.
fn disk_of(folder: &Path) -> Option<StatVfs> {
    let existing = folder.ancestors().find(|folder| folder.is_dir());
    // The last ancestor of a relative path is empty, which no call takes.
    statvfs(existing.unwrap_or(Path::new("."))).ok()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a gauge is a float, and a disk is not counted by the byte"
)]
fn bytes(blocks: u64, size: u64) -> f64 {
    blocks as f64 * size as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_not_there_yet_lies_on_the_disk_of_the_one_above() {
        for folder in ["/", "src/no/such/folder", "no-such-folder"] {
            let disk = disk_of(Path::new(folder)).expect("a disk");
            assert!(
                disk.f_blocks > 0 && disk.f_bavail <= disk.f_blocks,
                "{folder}"
            );
        }
    }
}
