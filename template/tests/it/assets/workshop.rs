//! A folder of sources, and the program that makes assets of it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

/// Sources of one test, and what is made of them.
pub struct Workshop(TempDir);

/// What the program said.
#[derive(Debug)]
pub struct Made {
    /// A line for each thing done.
    pub report: Vec<String>,
    /// A line for each thing that is wrong.
    pub faults: Vec<String>,
}

impl Made {
    /// The report without its verb, for those lines that have this one.
    pub fn did(&self, verb: &str) -> Vec<&str> {
        let lines = self.report.iter();
        lines
            .filter_map(|line| line.strip_prefix(verb)?.strip_prefix(' '))
            .collect()
    }
}

impl Workshop {
    pub fn new() -> Self {
        let workshop = Self(tempfile::tempdir().expect("a temporary folder"));
        fs::create_dir(workshop.path("assets")).expect("a folder");
        workshop
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn source(&self, name: &str) -> PathBuf {
        self.path("assets").join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> &Self {
        let path = self.source(name);
        fs::create_dir_all(path.parent().expect("a file in a folder")).expect("a folder");
        fs::write(path, content).expect("a file");
        self
    }

    /// Makes a set, `development` or `release`, whatever comes of it.
    pub fn run(&self, how: &str) -> Made {
        let run = Command::new(env!("ASSET_COMPILER"))
            .current_dir(self.0.path())
            .args(["assets", how, "assets", how])
            .output()
            .expect("the program runs");
        let lines = |text: Vec<u8>| -> Vec<String> {
            let text = String::from_utf8(text).expect("UTF-8");
            text.lines().map(str::to_owned).collect()
        };
        let made = Made {
            report: lines(run.stdout),
            faults: lines(run.stderr),
        };
        assert_eq!(run.status.success(), made.faults.is_empty(), "{made:?}");
        made
    }

    /// Makes a set that nothing is wrong with.
    pub fn make(&self, how: &str) -> Made {
        let made = self.run(how);
        assert!(made.faults.is_empty(), "{made:?}");
        made
    }

    /// What is wrong with the sources.
    pub fn faults(&self) -> Vec<String> {
        let made = self.run("release");
        assert!(!made.faults.is_empty(), "{made:?}");
        made.faults
    }

    /// The names of the files that have been made, in order.
    pub fn files(&self, how: &str) -> Vec<String> {
        let root = self.path(how).join("files");
        let mut folders = vec![root.clone()];
        let mut files = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let name = path.strip_prefix(&root).expect("below it");
                    files.push(name.display().to_string());
                }
            }
        }
        files.sort();
        files
    }

    /// The one file with this beginning and ending, and its content.
    pub fn file(&self, how: &str, start: &str, end: &str) -> (String, Vec<u8>) {
        let files = self.files(how);
        let is_it = |name: &&String| name.starts_with(start) && name.ends_with(end);
        let found: Vec<&String> = files.iter().filter(is_it).collect();
        let [name] = found[..] else {
            panic!("{start}…{end} is {found:?} of {files:?}");
        };
        let content = fs::read(self.path(how).join("files").join(name)).expect("a file");
        (name.clone(), content)
    }

    pub fn text(&self, how: &str, start: &str, end: &str) -> String {
        String::from_utf8(self.file(how, start, end).1).expect("UTF-8")
    }
}
