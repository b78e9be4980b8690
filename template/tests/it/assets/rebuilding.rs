//! What is made again when something has changed: no more than that.

use std::fs;

use super::workshop::Workshop;

#[test]
fn of_two_thousand_files_only_the_changed_one_is_made_again() {
    let workshop = Workshop::new();
    for n in 0..1000 {
        workshop.write(&format!("css/{n}.css"), format!("a{n} {{ color: red }}"));
        workshop.write(&format!("js/{n}.ts"), format!("console.log({n});"));
    }
    let first = workshop.make("release");
    // A stylesheet is looked at for imports, and then made.
    assert_eq!(first.did("made").len(), 3000);
    assert_eq!(workshop.files("release").len(), 2000);

    let second = workshop.make("release");
    assert_eq!(second.report, [""; 0]);

    workshop.write("js/7.ts", "console.log('seven');");
    let third = workshop.make("release");
    assert_eq!(third.did("made"), ["script js/7.ts"]);
    assert_eq!(
        (third.did("wrote").len(), third.did("removed").len()),
        (1, 1)
    );
    assert_eq!(workshop.files("release").len(), 2000);
}

#[test]
fn a_stylesheet_is_made_again_when_one_that_it_imports_has_changed() {
    let workshop = Workshop::new();
    workshop
        .write("app.css", "@import './_a.css';")
        .write("other.css", "i { color: red }")
        .write("_a.css", "@import './_b.css';")
        .write("_b.css", "b { color: red }");
    workshop.make("development");
    workshop.write("_b.css", "b { color: blue }");
    let made = workshop.make("development");
    assert_eq!(made.did("made"), ["imports of _b.css", "style app.css"]);
    assert!(workshop.text("development", "app", ".css").contains("#00f"));
}

#[test]
fn a_stylesheet_follows_the_new_name_of_what_it_shows() {
    let workshop = Workshop::new();
    workshop
        .write("app.css", "a { background: url(dot.svg) }")
        .write("dot.svg", "<svg/>");
    workshop.make("release");
    let (before, _) = workshop.file("release", "app.", ".css");
    workshop.write("dot.svg", "<svg></svg>");
    let made = workshop.make("release");
    assert_eq!(made.did("made"), [""; 0]);
    let (dot, _) = workshop.file("release", "dot.", ".svg");
    let (after, css) = workshop.file("release", "app.", ".css");
    assert_eq!(
        String::from_utf8(css).unwrap(),
        format!("a{{background:url(\"./{dot}\")}}")
    );
    assert_ne!(before, after);
}

#[test]
fn what_has_no_source_any_more_is_removed() {
    let workshop = Workshop::new();
    workshop.write("a/b/c.txt", "c").write("d.txt", "d");
    workshop.make("development");
    fs::remove_dir_all(workshop.source("a")).unwrap();
    let made = workshop.make("development");
    assert_eq!(made.did("removed"), ["a/b/c.txt"]);
    assert_eq!(workshop.files("development"), ["d.txt"]);
    assert!(!workshop.path("development/files/a").exists());
}
