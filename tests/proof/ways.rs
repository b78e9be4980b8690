//! The ways to call cargo-generate, and the places to call it from.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;
use axle_tests::{Workshop, assert_same_files, commit_all, oldest, releases, write};
use cargo_generate::{GenerateArgs, TemplatePath};
use tempfile::TempDir;
use xtask::generate::{self, Tool};
use xtask::process;
use xtask::repo;

/// The binary with everything but where the template is and where the project goes.
fn generate_silently(folder: &Path, args: &[&str]) -> Command {
    let mut command = generate::command(&oldest(), folder);
    command
        .args(["--silent", "--name", "shop", "--vcs", "none"])
        .args(args);
    command
}

fn path(folder: &Path) -> &str {
    folder.to_str().expect("temporary folders have plain names")
}

#[test]
fn a_git_repository_gives_what_a_folder_gives() -> Result<()> {
    let workshop = Workshop::new();
    let from_folder = workshop.generate(&Tool::Binary(oldest()), "shop", &[])?;
    commit_all(workshop.source())?;
    let other = TempDir::new()?;
    process::capture(&mut generate_silently(
        other.path(),
        &["--git", path(workshop.source())],
    ))?;
    assert_same_files(&from_folder, &other.path().join("shop"))
}

#[test]
fn init_fills_the_current_folder() -> Result<()> {
    let workshop = Workshop::new();
    let expected = workshop.generate(&Tool::Library, "shop", &[])?;

    let by_binary = TempDir::new()?;
    process::capture(&mut generate_silently(
        by_binary.path(),
        &["--init", "--path", path(workshop.source())],
    ))?;
    assert_same_files(&expected, by_binary.path())?;

    let by_library = TempDir::new()?;
    cargo_generate::generate(GenerateArgs {
        template_path: TemplatePath {
            path: Some(path(workshop.source()).to_owned()),
            ..TemplatePath::default()
        },
        name: Some("shop".to_owned()),
        destination: Some(by_library.path().to_owned()),
        init: true,
        silent: true,
        no_workspace: true,
        ..GenerateArgs::default()
    })?;
    assert_same_files(&expected, by_library.path())
}

#[test]
fn no_workspace_leaves_a_parent_manifest_alone() -> Result<()> {
    for (release, tool) in releases() {
        let workshop = Workshop::new();
        let parent = workshop.output().join("Cargo.toml");
        let manifest =
            "# A comment that must survive.\n[workspace]\nmembers = []\nexclude = [\"shop\"]\n";
        write(&parent, manifest)?;
        let project = workshop.generate(&tool, "shop", &[])?; // passes --no-workspace
        assert_eq!(fs::read_to_string(&parent)?, manifest, "{release}");
        let mut metadata = process::cargo();
        metadata.args(["metadata", "--no-deps", "--format-version", "1"]);
        process::capture(metadata.current_dir(project))?;
    }
    Ok(())
}

#[test]
fn what_a_build_or_a_run_left_behind_does_not_ship() -> Result<()> {
    let clean = Workshop::new();
    let used = Workshop::new();
    for left_behind in [
        "target/debug/xtask",
        "template/target/debug/service",
        "template/data/app.db",
        "template/.env",
        "template/config/local.toml",
        "tests/browser/node_modules/x/index.js",
        "notes.txt",
        "new-folder/cargo-generate.toml",
    ] {
        write(&used.source().join(left_behind), "secret")?;
    }
    for (_, tool) in releases() {
        let expected = clean.generate(&tool, "shop", &[])?;
        assert_same_files(&expected, &used.generate(&tool, "shop", &[])?)?;
        fs::remove_dir_all(clean.output().join("shop"))?;
        fs::remove_dir_all(used.output().join("shop"))?;
    }
    Ok(())
}

#[test]
fn the_folders_for_operations_may_be_absent_or_present() -> Result<()> {
    for (_, tool) in releases() {
        let workshop = Workshop::new();
        for folder in ["ci", "k8s", "monitoring"] {
            if workshop.source().join(folder).exists() {
                fs::remove_dir_all(workshop.source().join(folder))?;
            }
        }
        let without = workshop.generate(&tool, "without", &[])?;
        for folder in ["ci", ".github", "k8s", "monitoring"] {
            assert!(!without.join(folder).exists(), "{folder}");
        }
        write(
            &workshop.source().join("ci/workflows/ci.yml"),
            "run: ${{ matrix.os }}\n",
        )?;
        write(
            &workshop.source().join("k8s/base/app.yaml"),
            "kind: Deployment\n",
        )?;
        write(
            &workshop.source().join("monitoring/dash.json"),
            "{{ instance }}\n",
        )?;
        let with = workshop.generate(&tool, "with", &[])?;
        assert_eq!(
            fs::read_to_string(with.join(".github/workflows/ci.yml"))?,
            "run: ${{ matrix.os }}\n"
        );
        assert_eq!(
            fs::read_to_string(with.join("monitoring/dash.json"))?,
            "{{ instance }}\n"
        );
        assert!(with.join("k8s/base/app.yaml").is_file());
        assert!(!with.join("ci").exists());
    }
    Ok(())
}

#[test]
fn a_script_stays_executable() -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let workshop = Workshop::new();
    let script = workshop.source().join("template/scripts/run");
    write(&script, "#!/bin/sh\n")?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
    for (release, tool) in releases() {
        let project = workshop.generate(&tool, "shop", &[])?;
        assert!(
            generate::is_executable(&project.join("scripts/run"))?,
            "{release}"
        );
        fs::remove_dir_all(project)?;
    }
    Ok(())
}

/// What docs/options.md tells to write for a new value of `features`.
const CHOICES: [&str; 2] = [
    r#"choices = ["auth", "otel", "pwa", "redis"]"#,
    r#"choices = ["auth", "otel", "pwa", "redis", "websocket"]"#,
];
const NEW_CONDITIONAL: &str = r#"
[conditional.'!features.contains("websocket")']
ignore = [
    "template/src/features/websocket/mod.rs",
    "template/tests/it/websocket.rs",
]
"#;

#[test]
fn an_option_added_as_the_documentation_says_comes_and_goes_with_its_folder() -> Result<()> {
    let workshop = Workshop::new();
    let config = workshop.source().join("cargo-generate.toml");
    let text = fs::read_to_string(&config)?;
    let [one, two] = CHOICES;
    assert!(text.contains(one), "the choices are others now");
    fs::write(&config, text.replacen(one, two, 1) + NEW_CONDITIONAL)?;
    let folder = "src/features/websocket";
    write(
        &workshop
            .source()
            .join("template")
            .join(folder)
            .join("mod.rs"),
        "",
    )?;
    write(
        &workshop.source().join("template/tests/it/websocket.rs"),
        "",
    )?;
    let lib = workshop.source().join("template/src/lib.rs");
    let marked = fs::read_to_string(&lib)?.replacen(
        "\npub mod app;\n",
        "\npub mod app; //~{% if features contains \"websocket\" %}\npub mod websocket; //~{% endif %}\n",
        1,
    );
    fs::write(&lib, marked)?;
    for (_, tool) in releases() {
        let with = workshop.generate(&tool, "with", &[("features", "websocket")])?;
        assert!(with.join(folder).join("mod.rs").is_file());
        assert!(fs::read_to_string(with.join("src/lib.rs"))?.contains("\npub mod websocket;\n"));
        let without = workshop.generate(&tool, "without", &[])?;
        assert!(
            !without.join(folder).exists(),
            "the folder lost its only file and must go"
        );
        assert!(!without.join("tests/it/websocket.rs").exists());
        assert!(!fs::read_to_string(without.join("src/lib.rs"))?.contains("websocket"));
        assert!(repo::empty_folders_below(&without)?.is_empty());
        let both = workshop.generate(&tool, "both", &[("features", "websocket,redis")])?;
        let manifest: toml::Table = fs::read_to_string(both.join("Cargo.toml"))?.parse()?;
        let features = &manifest["package"]["metadata"]["axle"]["features"];
        assert_eq!(*features, toml::Value::from(vec!["websocket", "redis"]));
        for project in [with, without, both] {
            fs::remove_dir_all(project)?;
        }
    }
    Ok(())
}
