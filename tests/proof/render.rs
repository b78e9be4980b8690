//! Every profile against its snapshot and the rules no combination may break.

use std::fs;

use anyhow::Result;
use axle_tests::{Workshop, assert_same_files, oldest, releases};
use tempfile::TempDir;
use xtask::generate::{self, Request, Tool};
use xtask::profiles;
use xtask::proof;
use xtask::repo;
use xtask::template::Config;

#[test]
fn every_path_option_and_condition_of_the_template_exists() -> Result<()> {
    let source = repo::clean_copy()?;
    let problems = proof::of_template(source.path())?;
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
    Ok(())
}

#[test]
fn every_profile_renders_right_and_the_same_in_both_releases() -> Result<()> {
    let source = repo::clean_copy()?;
    let mut problems = Vec::new();
    for profile in profiles::rendered(&Config::read(source.path())?) {
        let folders = [TempDir::new()?, TempDir::new()?];
        let mut projects = Vec::new();
        for ((release, tool), folder) in releases().iter().zip(&folders) {
            let request = Request {
                source: source.path(),
                into: folder.path(),
                name: "proof",
                answers: &profile.answers,
            };
            let project = generate::project(tool, request)?;
            for problem in proof::of_project(source.path(), &project, &profile)? {
                problems.push(format!("{} with {release}: {problem}", profile.name));
            }
            projects.push(project);
        }
        assert_same_files(&projects[0], &projects[1])?;
    }
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
    Ok(())
}

/// Who did not ask for Redis or traces reads nothing of them: no dependency, no file, no line.
#[test]
fn what_was_not_chosen_is_not_mentioned() -> Result<()> {
    let workshop = Workshop::new();
    let project = workshop.generate(&Tool::Library, "shop", &[])?;
    let mut mentioned = Vec::new();
    for file in repo::files_below(&project)? {
        // The first build takes what is not needed out of the lock file.
        if file.ends_with("Cargo.lock") {
            continue;
        }
        let bytes = fs::read(project.join(&file))?;
        let text = format!("{} {}", file.display(), String::from_utf8_lossy(&bytes));
        let mut words = text.split(|c: char| !c.is_alphanumeric());
        let is_of_another_choice = |word: &str| {
            let choices = ["redis", "otel", "opentelemetry", "otlp"];
            choices
                .iter()
                .any(|choice| word.eq_ignore_ascii_case(choice))
        };
        if words.any(is_of_another_choice) {
            mentioned.push(file);
        }
    }
    assert!(mentioned.is_empty(), "{mentioned:?}");
    Ok(())
}

#[test]
fn a_feature_given_twice_is_recorded_once() -> Result<()> {
    let workshop = Workshop::new();
    for (release, tool) in releases() {
        let project = workshop.generate(&tool, "shop", &[("features", "redis,redis")])?;
        let manifest: toml::Table = fs::read_to_string(project.join("Cargo.toml"))?.parse()?;
        let features = &manifest["package"]["metadata"]["axle"]["features"];
        assert_eq!(*features, toml::Value::from(vec!["redis"]), "{release}");
        fs::remove_dir_all(project)?;
    }
    Ok(())
}

#[test]
fn no_snapshot_is_left_over_from_a_profile_that_is_gone() -> Result<()> {
    let config = Config::read(repo::root())?;
    let mut expected: Vec<_> = profiles::rendered(&config)
        .iter()
        .map(|profile| proof::snapshot_path(repo::root(), profile))
        .collect();
    expected.sort();
    let folder = repo::root().join("tests/snapshots");
    let files = repo::files_below(&folder)?;
    let actual: Vec<_> = files.iter().map(|file| folder.join(file)).collect();
    assert_eq!(actual, expected);
    Ok(())
}

#[test]
fn a_description_may_hold_any_character() -> Result<()> {
    let workshop = Workshop::new();
    let description = r#"Orders "to go": C:\temp, 50 % & <more> – ünïcode"#;
    let tool = Tool::Binary(oldest());
    let project = workshop.generate(&tool, "orders", &[("description", description)])?;
    let manifest: toml::Table = fs::read_to_string(project.join("Cargo.toml"))?.parse()?;
    assert_eq!(
        manifest["package"]["description"].as_str(),
        Some(description)
    );
    Ok(())
}
