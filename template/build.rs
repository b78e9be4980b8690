//! Stamps the build (a fingerprint of what pages are made of, the commit, the time, the compiler) and lists the
//! migrations to embed.{% capture body %}

#![expect(
    clippy::disallowed_methods,
    reason = "a build script is set up by its environment"
)]

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs}; //~{% if frontend == "spa" %}

#[path = "build/frontend.rs"]
mod frontend; //~{% endif %}

/// A change in any of these may change what a page looks like.
const SOURCES: [&str; 6] = [
    "src",
    "templates",
    "assets",
    "content",
    "migrations",
    "Cargo.lock",
];

fn main() {
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    println!("cargo::rerun-if-env-changed=GIT_COMMIT");
    let mut files = BTreeSet::new();
    for source in SOURCES {
        if Path::new(source).exists() {
            println!("cargo::rerun-if-changed={source}");
            collect(Path::new(source), &mut files);
        }
    } //~{% if frontend == "spa" %}
    collect(Path::new(frontend::DIST), &mut files); //~{% endif %}
    let mut hasher = DefaultHasher::new();
    for file in files {
        file.hash(&mut hasher);
        fs::read(&file).unwrap_or_default().hash(&mut hasher);
    }
    stamp("BUILD_FINGERPRINT", &format!("{:016x}", hasher.finish()));
    list_migrations(); //~{% if false %}
    frontend::list(false); //~{% endif %}{% if frontend == "spa" %}

    //+ frontend::list(env::var("PROFILE").as_deref() == Ok("release")); //~{% endif %}

    let rustc = env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    stamp("BUILD_RUSTC", &output(&rustc, &["--version"]));
    let commit = env::var("GIT_COMMIT")
        .unwrap_or_else(|_| output("git", &["rev-parse", "--short=12", "HEAD"]));
    stamp("BUILD_COMMIT", &commit);
    // https://reproducible-builds.org/specs/source-date-epoch/
    let time = env::var("SOURCE_DATE_EPOCH").map(|seconds| format!("@{seconds}"));
    let time = time.as_deref().unwrap_or("now");
    stamp(
        "BUILD_TIME",
        &output("date", &["-u", "-d", time, "+%Y-%m-%dT%H:%M:%SZ"]),
    );
}

/// Writes an array of (version, description, SQL) for `src/infra/db/migrations.rs`.
fn list_migrations() {
    println!("cargo::rerun-if-changed=migrations");
    let mut files = BTreeSet::new();
    collect(Path::new("migrations"), &mut files);
    let sql = |file: &&PathBuf| file.extension().is_some_and(|extension| extension == "sql");
    let list: Vec<String> = files.iter().filter(sql).map(migration).collect();
    let list = format!("[{}]", list.join(", "));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("set by cargo"));
    fs::write(out.join("migrations.rs"), list).expect("OUT_DIR can be written");
}

fn migration(file: &PathBuf) -> String {
    let name = file.file_stem().unwrap_or_default().to_string_lossy();
    let parts = name.split_once('_');
    let Some((Ok(version), text)) = parts.map(|(version, text)| (version.parse::<i64>(), text))
    else {
        panic!(
            "{} must be named like 20260131120000_what_it_does.sql",
            file.display()
        );
    };
    let description = text.replace('_', " ");
    let path = fs::canonicalize(file).expect("the file was just found");
    let path = path.to_str().expect("the project's path is UTF-8");
    format!("({version}, {description:?}, include_str!({path:?}))")
}

fn collect(path: &Path, files: &mut BTreeSet<PathBuf>) {
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

fn stamp(name: &str, value: &str) {
    println!("cargo::rustc-env={name}={value}");
} //~{% endcapture %}{{ body | remove: " //~" | remove: "//+ " }}
