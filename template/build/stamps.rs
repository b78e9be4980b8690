//! Stamps the build: a fingerprint of what pages are made of, the commit, the time, the compiler.{% capture body %}

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// A change in any of these may change what a page looks like.
const SOURCES: [&str; 7] = [
    "src",
    "templates",
    "assets",
    "content",
    "build",
    "migrations",
    "Cargo.lock",
];

pub fn stamp_all() {
    println!("cargo::rerun-if-env-changed=BUILD_EPOCH");
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    println!("cargo::rerun-if-env-changed=GIT_COMMIT");
    let mut files = BTreeSet::new();
    for source in SOURCES {
        if Path::new(source).exists() {
            println!("cargo::rerun-if-changed={source}");
            collect(Path::new(source), &mut files);
        }
    } //~{% if frontend == "spa" %}
    collect(Path::new(crate::frontend::DIST), &mut files); //~{% endif %}
    let mut hasher = DefaultHasher::new();
    for file in files {
        file.hash(&mut hasher);
        fs::read(&file).unwrap_or_default().hash(&mut hasher);
    }
    stamp("BUILD_FINGERPRINT", &format!("{:016x}", hasher.finish()));

    let rustc = env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    stamp("BUILD_RUSTC", &output(&rustc, &["--version"]));
    let commit = env::var("GIT_COMMIT")
        .unwrap_or_else(|_| output("git", &["rev-parse", "--short=12", "HEAD"]));
    stamp("BUILD_COMMIT", &commit);
    // https://reproducible-builds.org/specs/source-date-epoch/ . Crates with C code are compiled anew when that changes, so the
    // Dockerfile says the time of a commit in a variable that only this reads.
    let time = env::var("BUILD_EPOCH").or_else(|_| env::var("SOURCE_DATE_EPOCH"));
    let time = time.map(|seconds| format!("@{seconds}"));
    let time = time.as_deref().unwrap_or("now");
    stamp(
        "BUILD_TIME",
        &output("date", &["-u", "-d", time, "+%Y-%m-%dT%H:%M:%SZ"]),
    );
}

/// Every file below `path`, or that itself.
pub fn collect(path: &Path, files: &mut BTreeSet<PathBuf>) {
    let Ok(folder) = fs::read_dir(path) else {
        files.insert(path.to_owned());
        return;
    };
    for entry in folder.flatten() {
        collect(&entry.path(), files);
    }
}

/// What the command prints, or `unknown` where it does not exist.
fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().ok();
    let text = output
        .filter(|output| output.status.success())
        .map(|output| output.stdout);
    let text = String::from_utf8(text.unwrap_or_default()).unwrap_or_default();
    match text.trim() {
        "" => "unknown".into(),
        text => text.into(),
    }
}

pub fn stamp(name: &str, value: &str) {
    println!("cargo::rustc-env={name}={value}");
} //~{% endcapture %}{{ body | remove: " //~" | remove: "//+ " }}
