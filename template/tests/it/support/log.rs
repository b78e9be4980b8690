//! What is logged on this thread, to be looked at by a test.

use std::sync::{Arc, Once};

use tempfile::NamedTempFile;
use tracing::subscriber::{DefaultGuard, set_default, set_global_default};

/// The log of a test on a runtime of one thread, from here to its end.
pub struct Log {
    file: NamedTempFile,
    _guard: DefaultGuard,
}

impl Log {
    pub fn start() -> Self {
        // Whoever comes to a line first decides for all threads whether it is ever logged, and must not say no.
        static ELSEWHERE: Once = Once::new();
        ELSEWHERE.call_once(|| drop(set_global_default(tracing_subscriber::registry())));
        let file = NamedTempFile::new().expect("a file");
        let writer = Arc::new(file.reopen().expect("the file"));
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(writer)
            .finish();
        Self {
            file,
            _guard: set_default(subscriber),
        }
    }

    /// The lines that contain `text`.
    pub fn lines(&self, text: &str) -> Vec<String> {
        let written = std::fs::read_to_string(self.file.path()).expect("the log");
        let lines = written.lines().filter(|line| line.contains(text));
        lines.map(str::to_owned).collect()
    }
}
