//! What is logged on this thread, to be looked at by a test.

use std::sync::Arc;

use tempfile::NamedTempFile;
use tracing::subscriber::DefaultGuard;

/// The log of a test on a runtime of one thread, from here to its end.
pub struct Log {
    file: NamedTempFile,
    _guard: DefaultGuard,
}

impl Log {
    pub fn start() -> Self {
        let file = NamedTempFile::new().expect("a file");
        let writer = Arc::new(file.reopen().expect("the file"));
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(writer)
            .finish();
        Self {
            file,
            _guard: tracing::subscriber::set_default(subscriber),
        }
    }

    /// The lines that contain `text`.
    pub fn lines(&self, text: &str) -> Vec<String> {
        let written = std::fs::read_to_string(self.file.path()).expect("the log");
        let lines = written.lines().filter(|line| line.contains(text));
        lines.map(str::to_owned).collect()
    }
}
