//! What is wrong with a source, and where.

use std::fmt;

/// One thing that is wrong with a source. Lines and columns count from 1; 0 says that there is no such place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// The path in the folder of sources.
    pub path: String,
    pub line: usize,
    pub column: usize,
    pub message: String,
}

impl Fault {
    pub fn of_file(path: &str, message: impl fmt::Display) -> Self {
        Self::at(path, 0, 0, message)
    }

    pub fn at(path: &str, line: usize, column: usize, message: impl fmt::Display) -> Self {
        Self {
            path: path.to_owned(),
            line,
            column,
            message: message.to_string(),
        }
    }

    /// `offset` is in bytes.
    pub fn in_text(path: &str, text: &str, offset: usize, message: impl fmt::Display) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let column = before[start..].chars().count() + 1;
        Self::at(path, line, column, message)
    }
}

/// Everything that is wrong with the sources, and the folder they are in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    pub folder: String,
    pub faults: Vec<Fault>,
}

impl fmt::Display for Broken {
    /// A line for each, in the form that editors and terminals make links of.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, fault) in self.faults.iter().enumerate() {
            if nth > 0 {
                writeln!(f)?;
            }
            write!(f, "{}", self.folder)?;
            if !fault.path.is_empty() {
                write!(f, "/{}", fault.path)?;
            }
            if fault.line > 0 {
                write!(f, ":{}:{}", fault.line, fault.column)?;
            }
            write!(f, ": {}", fault.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for Broken {}
