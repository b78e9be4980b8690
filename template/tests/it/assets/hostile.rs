//! Folders that nobody would make on purpose.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use super::workshop::Workshop;

#[test]
fn a_link_that_leads_in_a_circle_is_refused() {
    let workshop = Workshop::new();
    workshop.write("a/b.txt", "b");
    symlink(workshop.source("a"), workshop.source("a/circle")).unwrap();
    symlink(workshop.source("self"), workshop.source("self")).unwrap();
    let faults = workshop.faults();
    assert_eq!(faults.len(), 2, "{faults:?}");
    for name in ["a/circle", "self"] {
        assert!(
            faults.iter().any(|fault| fault.contains(name)),
            "{name} in {faults:?}"
        );
    }
}

#[test]
fn a_link_to_a_file_is_that_file() {
    let workshop = Workshop::new();
    workshop.write("a.txt", "a");
    symlink(workshop.source("a.txt"), workshop.source("b.txt")).unwrap();
    workshop.make("development");
    assert_eq!(workshop.text("development", "b", ".txt"), "a");
}

#[test]
fn empty_files_are_assets_too() {
    let workshop = Workshop::new();
    workshop
        .write("a.css", "")
        .write("b.js", "")
        .write("c.ts", "")
        .write("d.txt", "");
    workshop.make("release");
    assert_eq!(workshop.files("release").len(), 4);
    assert_eq!(workshop.text("release", "d.", ".txt"), "");
}

#[test]
fn a_name_that_is_not_utf8_is_refused() {
    let workshop = Workshop::new();
    File::create(
        workshop
            .source("x")
            .with_file_name(OsStr::from_bytes(b"\xff.css")),
    )
    .unwrap();
    assert_eq!(
        workshop.faults(),
        ["assets/\u{fffd}.css: its name is not UTF-8"]
    );
}

#[test]
fn a_text_that_is_not_utf8_is_refused_where_that_shows() {
    let workshop = Workshop::new();
    workshop
        .write("a.css", b"a {}\nb { c: \xff }")
        .write("b.ts", b"let a = '\xff';");
    let faults = workshop.faults();
    // A stylesheet that cannot be read is said of first; both are.
    assert_eq!(
        faults,
        [
            "assets/a.css:2:8: this is not UTF-8",
            "assets/b.ts:1:10: this is not UTF-8"
        ]
    );
}

#[test]
fn a_huge_file_is_refused_before_it_is_read() {
    let workshop = Workshop::new();
    let file = File::create(workshop.source("film.mp4")).unwrap();
    // It takes no room on disk.
    file.set_len(1 << 40).unwrap();
    let expected = "assets/film.mp4: it has 1048576 MiB, and an asset may have 64 at most";
    assert_eq!(workshop.faults(), [expected]);
}

#[test]
fn names_that_mean_something_in_a_url_or_in_rust_are_harmless() {
    let workshop = Workshop::new();
    for name in [
        "a b.txt",
        "ü.txt",
        "q?x=1#y.txt",
        "\"{}\".txt",
        "100%.txt",
        "..txt",
        "$crate.txt",
    ] {
        workshop.write(name, "x");
    }
    workshop.make("development");
    let expected = [
        "%22%7B%7D%22.txt",
        "%24crate.txt",
        "%C3%BC.txt",
        "100%25.txt",
        "a%20b.txt",
        "q%3Fx%3D1%23y.txt",
    ];
    assert_eq!(workshop.files("development"), expected);
}

#[test]
fn no_sources_at_all_make_an_empty_set() {
    let workshop = Workshop::new();
    fs::remove_dir(workshop.source("")).unwrap();
    workshop.make("release");
    assert_eq!(workshop.files("release"), [""; 0]);
}

#[test]
fn a_stylesheet_that_imports_itself_ends() {
    let workshop = Workshop::new();
    workshop
        .write("a.css", "@import './b.css'; a { color: red }")
        .write("b.css", "@import './a.css'; b { color: red }");
    workshop.make("release");
    assert!(
        workshop
            .text("release", "a.", ".css")
            .ends_with("a{color:red}")
    );
}
