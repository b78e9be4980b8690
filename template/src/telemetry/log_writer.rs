//! Where log lines go: they gather in memory, and a thread of their own writes them, so that no request waits.
//!
//! A channel would move every line on its own. At a hundred thousand requests a second that costs more than making the
//! lines does, and bounds their number only, not their bytes.

use std::io::{self, Write};
use std::mem;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::Context;
use metrics::counter;
use tracing_subscriber::fmt::MakeWriter;

/// Bytes that may wait to be written; what does not fit is dropped.
const MOST: usize = 8 * 1024 * 1024;

/// Bytes of memory that are kept for the next lines.
const USUAL: usize = 256 * 1024;

/// How long lines gather after others were written: nobody has to wake the thread for them.
const REST: Duration = Duration::from_millis(5);

/// How long the end of the process waits for the last lines.
const PATIENCE: Duration = Duration::from_secs(1);

/// A cheap handle.
#[derive(Clone)]
pub(super) struct LogWriter(Arc<Shared>);

#[derive(Default)]
struct Shared {
    gathered: Mutex<Gathered>,
    changed: Condvar,
}

#[derive(Default)]
struct Gathered {
    lines: Vec<u8>,
    dropped: u64,
    is_ending: bool,
}

/// Writes what is still in memory when it is dropped: keep it until the end of `main`.
#[must_use]
pub struct LogGuard {
    writer: LogWriter,
    done: Receiver<()>,
}

impl LogWriter {
    /// Starts the thread that writes to `to`.
    pub fn start(to: impl Write + Send + 'static) -> anyhow::Result<(Self, LogGuard)> {
        let writer = Self(Arc::default());
        let (working, done) = mpsc::channel();
        let own = writer.clone();
        let work = move || {
            own.work(to);
            drop(working);
        };
        thread::Builder::new()
            .name("log".into())
            .spawn(work)
            .context("logging needs a thread")?;
        let guard = LogGuard {
            writer: writer.clone(),
            done,
        };
        Ok((writer, guard))
    }

    /// Takes whole lines.
    pub fn push(&self, lines: &[u8]) {
        let mut gathered = self.lock();
        if gathered.lines.len() + lines.len() > MOST {
            gathered.dropped += 1;
            drop(gathered);
            // At once: the thread that writes may hang, and then somebody has to be told.
            count_dropped(1);
            return;
        }
        let is_first = gathered.lines.is_empty();
        gathered.lines.extend_from_slice(lines);
        drop(gathered);
        if is_first {
            self.0.changed.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Gathered> {
        let gathered = &self.0.gathered;
        gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self, mut to: impl Write) {
        let mut lines = Vec::with_capacity(USUAL);
        let mut lost = 0;
        loop {
            let wait = |gathered: &mut Gathered| gathered.lines.is_empty() && !gathered.is_ending;
            let gathered = self.0.changed.wait_while(self.lock(), wait);
            let mut gathered = gathered.unwrap_or_else(PoisonError::into_inner);
            mem::swap(&mut lines, &mut gathered.lines);
            lost += mem::take(&mut gathered.dropped);
            let is_ending = gathered.is_ending;
            drop(gathered);
            let is_written = to.write_all(&lines).and_then(|()| to.flush()).is_ok();
            if !is_written {
                let unwritten = lines.split_inclusive(|byte| *byte == b'\n').count() as u64;
                count_dropped(unwritten);
                lost += unwritten;
            }
            // Not before there is a log again that could tell.
            if is_written && lost > 0 {
                tracing::warn!(lines = lost, "lines of the log were lost");
                lost = 0;
            }
            if is_ending {
                return;
            }
            lines.clear();
            lines.shrink_to(USUAL);
            let goes_on = |gathered: &mut Gathered| !gathered.is_ending;
            let rest = self
                .0
                .changed
                .wait_timeout_while(self.lock(), REST, goes_on);
            drop(rest);
        }
    }
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        self.writer.lock().is_ending = true;
        self.writer.0.changed.notify_one();
        // The thread says that it is done by hanging up.
        let _ = self.done.recv_timeout(PATIENCE);
    }
}

/// What the formatter of `tracing` hands over is always a whole line.
impl Write for LogWriter {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        self.push(lines);
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

fn count_dropped(lines: u64) {
    counter!("log_lines_dropped_total").increment(lines);
}

#[cfg(test)]
mod tests {
    use super::*;

    use metrics_exporter_prometheus::PrometheusBuilder;

    use crate::telemetry::logs::tests::Lines;

    /// Says that it has something to write, and writes when it may.
    struct Slow {
        has_lines: mpsc::Sender<()>,
        may: Receiver<()>,
        written: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Slow {
        fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
            let _ = self.has_lines.send(());
            let _ = self.may.recv();
            self.written.lock().unwrap().extend_from_slice(lines);
            Ok(lines.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Held {
        writer: LogWriter,
        guard: LogGuard,
        has_lines: Receiver<()>,
        may: mpsc::Sender<()>,
        written: Arc<Mutex<Vec<u8>>>,
    }

    impl Held {
        fn new() -> Self {
            let (has, has_lines) = mpsc::channel();
            let (may, allowed) = mpsc::channel();
            let written = Arc::new(Mutex::new(Vec::new()));
            let to = Slow {
                has_lines: has,
                may: allowed,
                written: Arc::clone(&written),
            };
            let (writer, guard) = LogWriter::start(to).unwrap();
            Self {
                writer,
                guard,
                has_lines,
                may,
                written,
            }
        }

        /// Nobody holds it back any more: what came out in the end.
        fn end(self) -> Vec<u8> {
            drop(self.may);
            drop(self.guard);
            mem::take(&mut *self.written.lock().unwrap())
        }
    }

    #[test]
    fn every_line_is_written_in_order_before_the_end() {
        let held = Held::new();
        let mut expected = Vec::new();
        for n in 0..1000 {
            let line = format!("line {n}\n");
            held.writer.push(line.as_bytes());
            expected.extend_from_slice(line.as_bytes());
        }
        assert_eq!(held.end(), expected);
    }

    #[test]
    fn a_writer_that_is_stuck_costs_lines_and_not_memory() {
        let held = Held::new();
        let line = vec![b'x'; 1024];
        held.writer.push(&line);
        // From here on the thread takes nothing more.
        held.has_lines.recv().unwrap();
        let recorder = PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || {
            for _ in 0..2 * MOST / line.len() {
                held.writer.push(&line);
            }
        });
        let lost = MOST / line.len();
        let told = recorder.handle().render();
        assert!(
            told.contains(&format!("log_lines_dropped_total {lost}")),
            "while it is stuck: {told}"
        );
        let waiting = held.writer.lock();
        assert_eq!(waiting.lines.len(), MOST);
        assert_eq!(waiting.dropped, (MOST / line.len()) as u64);
        drop(waiting);
        assert_eq!(held.end().len(), MOST + line.len());
    }

    /// Cannot be written at first.
    struct Full {
        tries: mpsc::Sender<()>,
        is_full: bool,
    }

    impl Write for Full {
        fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
            let _ = self.tries.send(());
            if mem::take(&mut self.is_full) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            Ok(lines.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_that_could_not_be_written_are_counted_and_told_of_as_soon_as_that_works() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let metrics = recorder.handle();
        let (tell, told) = mpsc::channel();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || Lines(tell.clone()))
            .finish();
        let (tries, has_tried) = mpsc::channel();
        let writer = LogWriter(Arc::default());
        writer.push(b"first\nsecond\n");
        let own = writer.clone();
        let is_full = true;
        let work = thread::spawn(move || {
            let work = || own.work(Full { tries, is_full });
            metrics::with_local_recorder(&recorder, || {
                tracing::subscriber::with_default(subscriber, work);
            });
        });
        has_tried.recv().unwrap();
        writer.push(b"third\n");
        let line = told.recv().unwrap();
        assert!(
            line.contains("lines of the log were lost lines=2"),
            "{line}"
        );
        let metrics = metrics.render();
        let is_counted = |line: &str| line == "log_lines_dropped_total 2";
        assert!(metrics.lines().any(is_counted), "{metrics}");
        writer.lock().is_ending = true;
        writer.0.changed.notify_one();
        work.join().unwrap();
    }
}
