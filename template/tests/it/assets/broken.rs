//! Sources that are wrong: the build says where, and leaves the last good set.

use std::fs;

use super::workshop::Workshop;

#[test]
fn a_broken_source_is_named_with_its_line_and_column() {
    for (name, content, expected) in [
        (
            "app.css",
            "a {\n  color: red;\n  &:hover { color }\n}\n",
            "assets/app.css:3:19: Unexpected end of input",
        ),
        (
            "a/b.css",
            "a { background: url(none.png) }",
            "assets/a/b.css:1:21: there is no asset `a/none.png`",
        ),
        (
            "app.css",
            "a { background: url(../../x.png) }",
            "assets/app.css:1:21: `../../x.png` leads out of the assets",
        ),
        (
            "app.ts",
            "let a: number = 1;\nlet = ;\n",
            "assets/app.ts:2:",
        ),
        (
            "app.js",
            "export const a = 1;\nexport const a = 2;\n",
            "assets/app.js:",
        ),
        (
            "app.ts",
            "import { x } from './_none.ts';\nx();",
            "assets/app.ts:1:19: there is no module `./_none.ts`",
        ),
        (
            "app.ts",
            "import x from 'react';\nx();",
            "assets/app.ts:1:15: `react` is no path",
        ),
        (
            "app.ts",
            "export const dot = new URL('none.svg', import.meta.url);",
            "assets/app.ts:1:28: there is no asset `none.svg`",
        ),
        ("a.png", "not a picture", "assets/a.png: "),
        ("a.css", "a { color: red }\n/* \u{fffd} */", ""),
    ] {
        let workshop = Workshop::new();
        workshop.write(name, content);
        if expected.is_empty() {
            workshop.make("release");
            continue;
        }
        let faults = workshop.faults();
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(
            faults[0].starts_with(expected),
            "{} is not {expected}",
            faults[0]
        );
    }
}

#[test]
fn a_fault_in_an_imported_stylesheet_is_placed_there() {
    let workshop = Workshop::new();
    workshop
        .write("app.css", "@import './_a.css';")
        .write("_a.css", "a {}\nb { background: url(x.png) }");
    assert_eq!(
        workshop.faults(),
        ["assets/_a.css:2:21: there is no asset `x.png`"]
    );
    workshop.write("app.css", "@import './_none.css';");
    workshop.write("_a.css", "");
    let faults = workshop.faults();
    assert!(faults[0].starts_with("assets/app.css:1:1: "), "{faults:?}");
    assert!(faults[0].contains("_none.css"), "{faults:?}");
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let workshop = Workshop::new();
    workshop
        .write("a.css", "a {{")
        .write("b.ts", "let = 1 +;")
        .write("c.jpg", "");
    let faults = workshop.faults();
    for name in ["assets/a.css:", "assets/b.ts:", "assets/c.jpg:"] {
        assert!(
            faults.iter().any(|fault| fault.starts_with(name)),
            "{name} in {faults:?}"
        );
    }
}

#[test]
fn a_broken_source_leaves_the_last_good_set() {
    let workshop = Workshop::new();
    workshop
        .write("a.css", "a { color: red }")
        .write("b.css", "b { color: red }");
    workshop.make("release");
    let files = workshop.files("release");
    let manifest = fs::read(workshop.path("release/manifest.json")).unwrap();
    workshop
        .write("a.css", "a { color: blue }")
        .write("b.css", "b {{");
    workshop.faults();
    assert_eq!(workshop.files("release"), files);
    assert_eq!(
        fs::read(workshop.path("release/manifest.json")).unwrap(),
        manifest
    );
}

#[test]
fn two_sources_of_one_name_are_refused() {
    let workshop = Workshop::new();
    workshop.write("a.js", "").write("a.ts", "");
    let faults = workshop.run("development").faults;
    assert_eq!(faults, ["assets/a.ts: a.js would get the same name, a.js"]);
}
