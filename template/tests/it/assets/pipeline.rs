//! What comes out of each kind of source.

use std::io::Read;

use serde_json::Value;

use super::workshop::Workshop;

#[test]
fn a_stylesheet_is_joined_with_what_it_imports() {
    let workshop = Workshop::new();
    workshop
        .write(
            "app.css",
            "@import \"parts/_base.css\";\nmain { color: #ff0000; & a { margin: 0px } }\n",
        )
        .write(
            "parts/_base.css",
            "/* The base. */\nbody { padding: 10px 10px; }\n",
        );
    workshop.make("release");
    assert_eq!(
        workshop.text("release", "app.", ".css"),
        "body{padding:10px}main{color:red;& a{margin:0}}"
    );
    workshop.make("development");
    assert_eq!(
        workshop.text("development", "app", ".css"),
        "body {\n  padding: 10px;\n}\n\nmain {\n  color: red;\n\n  & a {\n    margin: 0;\n  }\n}\n\n\
         /*# sourceMappingURL=./app.css.map */\n"
    );
    let map: Value = serde_json::from_str(&workshop.text("development", "app", ".map")).unwrap();
    assert_eq!(
        map["sources"],
        serde_json::json!(["app.css", "parts/_base.css"])
    );
    // A part is nothing by itself.
    assert_eq!(workshop.files("development"), ["app.css", "app.css.map"]);
}

#[test]
fn a_stylesheet_refers_to_files_by_their_final_names() {
    let workshop = Workshop::new();
    workshop
        .write("css/app.css", "@import '../_parts/_a.css'; b { background: url('../img/my dot.svg#x') }")
        .write("_parts/_a.css", "@font-face { font-family: a; src: url(a.woff2) } i { background: url(/assets/img/my%20dot.svg) }")
        .write("_parts/a.woff2", "font")
        .write("img/my dot.svg", "<svg/>");
    let faults = workshop.faults();
    // An address is written as it is on disk.
    assert_eq!(
        faults,
        ["assets/_parts/_a.css:1:70: there is no asset `img/my%20dot.svg`"]
    );
    workshop.write(
        "_parts/_a.css",
        "@font-face { font-family: a; src: url(a.woff2) }",
    );
    workshop.make("release");
    let (font, _) = workshop.file("release", "_parts/a.", ".woff2");
    let (dot, _) = workshop.file("release", "img/my%20dot.", ".svg");
    assert_eq!(
        workshop.text("release", "css/app.", ".css"),
        format!(
            "@font-face{{font-family:a;src:url(\"../{font}\")}}b{{background:url(\"../{dot}#x\")}}"
        )
    );
}

#[test]
fn what_a_stylesheet_loads_from_elsewhere_is_left_alone() {
    let workshop = Workshop::new();
    let elsewhere = [
        "https://example.com/a.png",
        "//example.com/a.png",
        "data:image/png;base64,AA==",
        "#mask",
        "/favicon.ico",
    ];
    let rules = elsewhere.map(|url| format!("a{{background:url({url})}}"));
    let quoted = r#"a{background:url('data:image/svg+xml,<svg xmlns="x"/>')}"#;
    workshop.write(
        "app.css",
        "@import 'https://example.com/a.css';".to_owned() + &rules.concat() + quoted,
    );
    workshop.make("development");
    let made = workshop.text("development", "app", ".css");
    for kept in elsewhere {
        assert!(
            made.contains(&format!("url(\"{kept}\")")),
            "{kept} in {made}"
        );
    }
    assert!(
        made.contains(r#"url("data:image/svg+xml,<svg xmlns=\"x\"/>")"#),
        "{made}"
    );
    assert!(
        made.contains("@import \"https://example.com/a.css\";"),
        "{made}"
    );
}

#[test]
fn typescript_becomes_a_module_that_imports_by_final_names() {
    let workshop = Workshop::new();
    workshop
        .write("app.ts", "import type { T } from './_types';\nimport { double } from './lib/_double.ts';\nexport const value: T = double(21);\nexport const later = () => import('./later.js');\n")
        .write("_types.ts", "export type T = number;\n")
        .write("lib/_double.ts", "export function double(n: number): number { return n * 2; }\n")
        .write("later.ts", "enum Level { Low, High }\nconsole.log(Level.High);\n");
    workshop.make("release");
    let (double, code) = workshop.file("release", "lib/_double.", ".js");
    assert_eq!(
        String::from_utf8(code).unwrap(),
        "export function double(e){return e*2}"
    );
    let (later, _) = workshop.file("release", "later.", ".js");
    assert_eq!(
        workshop.text("release", "app.", ".js"),
        format!(
            "import{{double as e}}from\"./{double}\";export const value=e(21);export const later=()=>import(`./{later}`);"
        )
    );
    workshop.make("development");
    let code = workshop.text("development", "app", ".js");
    assert!(
        code.starts_with("import { double } from \"./lib/_double.js\";\n"),
        "{code}"
    );
    assert!(
        code.ends_with("//# sourceMappingURL=./app.js.map\n"),
        "{code}"
    );
    let map: Value = serde_json::from_str(&workshop.text("development", "app", ".map")).unwrap();
    assert_eq!(map["sources"], serde_json::json!(["app.ts"]));
}

#[test]
fn a_module_says_where_other_assets_are_by_their_final_names() {
    let workshop = Workshop::new();
    workshop
        .write("js/app.ts", "export const dot = new URL('../dot.svg#x', import.meta.url);\nnew Worker(new URL('./_worker.js', import.meta.url), { type: 'module' });\nexport const page = new URL('/about', import.meta.url);\n")
        .write("js/_worker.ts", "postMessage(1);")
        .write("dot.svg", "<svg/>");
    workshop.make("release");
    let (dot, _) = workshop.file("release", "dot.", ".svg");
    let (worker, _) = workshop.file("release", "js/_worker.", ".js");
    let worker = worker.trim_start_matches("js/");
    let (before, code) = workshop.file("release", "js/app.", ".js");
    let code = String::from_utf8(code).unwrap();
    for address in [
        format!("../{dot}#x"),
        format!("./{worker}"),
        "/about".to_owned(),
    ] {
        assert!(
            code.contains(&format!("`{address}`,import.meta.url")),
            "{address} in {code}"
        );
    }
    // A name in it is another when what it names has changed, and so is its own.
    workshop.write("dot.svg", "<svg></svg>");
    workshop.make("release");
    assert_ne!(workshop.file("release", "js/app.", ".js").0, before);
}

#[test]
fn the_manifest_lists_the_modules_that_a_script_cannot_start_without() {
    let workshop = Workshop::new();
    workshop
        .write(
            "app.ts",
            "import './_a.ts'; export const f = () => import('./_c.ts');",
        )
        .write("_a.ts", "import './_b.ts';")
        .write("_b.ts", "import './_a.ts'; export {};")
        .write("_c.ts", "export {};");
    workshop.make("development");
    let manifest = std::fs::read(workshop.path("development/manifest.json")).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let assets = manifest["assets"].as_array().unwrap();
    let app = assets
        .iter()
        .find(|asset| asset["source"] == "app.ts")
        .unwrap();
    assert_eq!(app["imports"], serde_json::json!(["_a.js", "_b.js"]));
    assert_eq!(app["path"], "app.js");
}

#[test]
fn a_module_has_another_name_when_one_that_it_imports_has_changed() {
    let workshop = Workshop::new();
    workshop
        .write("app.js", "import './_a.js';")
        .write("_a.js", "import './app.js'; console.log(1);");
    workshop.make("release");
    let (before, _) = workshop.file("release", "app.", ".js");
    workshop.write("_a.js", "import './app.js'; console.log(2);");
    workshop.make("release");
    let (after, _) = workshop.file("release", "app.", ".js");
    assert_ne!(before, after);
}

#[test]
fn a_debug_version_is_preferred_in_development_and_left_out_of_a_release() {
    let workshop = Workshop::new();
    workshop
        .write("a.js", "console.log('plain');")
        .write("a.debug.js", "console.log('debug');")
        .write("b.debug.js", "console.log('debug only');");
    workshop.make("development");
    let code = workshop.text("development", "a.", ".js");
    assert!(code.contains("\"debug\""), "{code}");
    assert!(
        workshop
            .files("development")
            .contains(&"b.debug.js".to_owned())
    );
    workshop.make("release");
    assert_eq!(workshop.files("release").len(), 1);
    assert!(workshop.text("release", "a.", ".js").contains("plain"));
}

#[test]
fn text_is_compressed_in_three_ways_that_can_be_read_again() {
    let workshop = Workshop::new();
    let text = "It says the same thing again and again. ".repeat(200);
    workshop
        .write("notes.txt", &text)
        .write("short.txt", "short")
        .write("noise.woff2", &text);
    workshop.make("release");
    let (_, br) = workshop.file("release", "notes.", ".br");
    let (_, zst) = workshop.file("release", "notes.", ".zst");
    let (_, gz) = workshop.file("release", "notes.", ".gz");
    let mut read = [const { String::new() }; 3];
    brotli::Decompressor::new(&*br, 4096)
        .read_to_string(&mut read[0])
        .unwrap();
    zstd::Decoder::new(&*zst)
        .unwrap()
        .read_to_string(&mut read[1])
        .unwrap();
    flate2::read::GzDecoder::new(&*gz)
        .read_to_string(&mut read[2])
        .unwrap();
    assert!(read.iter().all(|read| *read == text));
    // What is short, and what is packed already, is not.
    assert_eq!(workshop.files("release").len(), 6);
}

#[test]
fn what_is_ignored_is_no_asset() {
    let workshop = Workshop::new();
    workshop
        .write(".assetignore", "*.psd\n/drafts/\n!keep.psd\n")
        .write("a.psd", "x")
        .write("keep.psd", "x")
        .write("drafts/a.css", "broken {")
        .write(".hidden", "x");
    workshop.make("development");
    assert_eq!(workshop.files("development"), ["keep.psd"]);
}

#[test]
fn a_folder_that_another_tool_has_made_keeps_its_names() {
    let workshop = Workshop::new();
    let code = "import './chunk-4f2a.js'; let unchanged = 1; // a comment stays\n".repeat(20);
    workshop
        .write("index-9c1d.js", &code)
        .write("logo-77aa.png", "not looked at");
    workshop.make("adopt");
    let expected = [
        "index-9c1d.js",
        "index-9c1d.js.br",
        "index-9c1d.js.gz",
        "index-9c1d.js.zst",
        "logo-77aa.png",
    ];
    assert_eq!(workshop.files("adopt"), expected);
    assert_eq!(workshop.text("adopt", "index", ".js"), code);
}
