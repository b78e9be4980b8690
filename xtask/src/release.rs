//! `cargo xtask release TAG`: whether the repository is what a tag says, and what has changed since the release before.

use std::fs;

use anyhow::{Context, Result, ensure};
use toml::Table;

use crate::repo;

/// Prints what CHANGELOG.md says of the version that `tag` names, which has to be the newest, and that of the repository.
pub fn run(tag: &str) -> Result<()> {
    let changelog = fs::read_to_string(repo::root().join("CHANGELOG.md"))?;
    let (version, changes) = newest(&changelog)?;
    ensure!(
        tag == format!("v{version}"),
        "the tag is {tag}, and the newest version in CHANGELOG.md {version}"
    );
    for (file, found) in versions()? {
        ensure!(found == version, "{file} says {found}, and {tag} {version}");
    }
    println!("{changes}");
    Ok(())
}

/// The newest version in a changelog, and what is written of it.
fn newest(changelog: &str) -> Result<(&str, &str)> {
    let sections = changelog.split("\n## ").skip(1);
    let mut released = sections.filter(|section| !section.starts_with("Unreleased"));
    let section = released.next().context("CHANGELOG.md has no version")?;
    let (heading, changes) = section.split_once('\n').unwrap_or((section, ""));
    let version = heading.split_whitespace().next().unwrap_or_default();
    let changes = changes.trim();
    ensure!(!changes.is_empty(), "CHANGELOG.md has nothing of {version}");
    Ok((version, changes))
}

/// The versions in the repository, each with where it stands.
fn versions() -> Result<[(&'static str, String); 2]> {
    let manifest =
        |path: &str| -> Result<Table> { Ok(fs::read_to_string(repo::root().join(path))?.parse()?) };
    let text = |value: Option<&toml::Value>| {
        let text = value.and_then(toml::Value::as_str);
        text.map(str::to_owned).context("there is no version")
    };
    let own = manifest("Cargo.toml")?;
    let own = own["workspace"]
        .get("package")
        .and_then(|own| own.get("version"));
    let template = manifest("template/Cargo.toml")?;
    let recorded = template["package"]
        .get("metadata")
        .and_then(|all| all.get("axle"));
    let recorded = recorded.and_then(|axle| axle.get("template"));
    Ok([
        ("Cargo.toml", text(own)?),
        ("template/Cargo.toml", text(recorded)?),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_of_the_changelog_is_that_of_the_repository() {
        let changelog = fs::read_to_string(repo::root().join("CHANGELOG.md")).unwrap();
        let (version, _) = newest(&changelog).unwrap();
        for (file, found) in versions().unwrap() {
            assert_eq!(found, version, "{file}");
        }
    }

    #[test]
    fn what_is_not_released_is_passed_over() {
        let changelog = "# Changelog\n\n## Unreleased\n\nMore.\n\n## 1.2.3 - 2026-11-30\n\nThis.\n\n## 1.2.2\n\nThat.\n";
        assert_eq!(newest(changelog).unwrap(), ("1.2.3", "This."));
        assert!(newest("# Changelog\n\n## Unreleased\n\nMore.\n").is_err());
        assert!(newest("# Changelog\n\n## 1.2.3\n\n## 1.2.2\n\nThat.\n").is_err());
    }

    #[test]
    fn another_tag_is_refused() {
        let error = run("v0.0.0").unwrap_err();
        assert!(error.to_string().contains("v0.0.0"), "{error}");
    }
}
