//! What cannot become a service is refused with a sentence, and nothing is lost.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use axle_tests::{Workshop, oldest, releases, write};
use tempfile::TempDir;
use xtask::generate::{self, Tool};
use xtask::process;
use xtask::repo;
use xtask::suite::skip;

/// The message of a refusal.
fn refused(result: Result<std::path::PathBuf>) -> String {
    match result {
        Ok(project) => panic!("{} was generated", project.display()),
        Err(error) => format!("{error:#}"),
    }
}

#[test]
fn a_name_cargo_would_not_build_is_refused_before_anything_is_made() -> Result<()> {
    let refusals = [
        ("fn", "Rust keyword"),
        ("self", "Rust keyword"),
        ("Self", "Rust keyword"),
        ("gen", "Rust keyword"),
        ("1shop", "start it with a letter"),
        ("2", "start it with a letter"),
        ("test", "crate of Rust itself"),
        ("core", "crate of Rust itself"),
        ("proc_macro", "crate of Rust itself"),
        ("build", "folder of that name"),
        ("con", "Windows reserves it"),
        ("größe", "ASCII letters"),
        ("店", "ASCII letters"),
        ("../shop", "ASCII letters"),
        ("shop/api", "ASCII letters"),
        ("", "needs a name"),
        ("!!", "needs a name"),
        (
            "a-name-that-goes-on-for-longer-than-any-host-name-could",
            "too long",
        ),
    ];
    let workshop = Workshop::new();
    for (release, tool) in releases() {
        for (name, sentence) in refusals {
            let message = refused(workshop.generate(&tool, name, &[]));
            assert!(
                message.contains(sentence),
                "{name:?} with {release}: {message}"
            );
            let left = fs::read_dir(workshop.output())?.count();
            assert_eq!(left, 0, "{name:?} with {release} left something behind");
        }
    }
    Ok(())
}

#[test]
fn a_plain_name_is_accepted() -> Result<()> {
    let workshop = Workshop::new();
    for name in [
        "shop", "shop2", "my-shop", "my_shop", "tests", "app", "service",
    ] {
        let project = workshop.generate(&Tool::Library, name, &[])?;
        let manifest: toml::Table = fs::read_to_string(project.join("Cargo.toml"))?.parse()?;
        assert_eq!(manifest["package"]["name"].as_str(), Some(name));
        let mut metadata = process::cargo();
        metadata.args(["metadata", "--no-deps", "--format-version", "1"]);
        process::capture(metadata.current_dir(project))?;
    }
    Ok(())
}

#[test]
fn an_answer_the_option_does_not_have_is_refused() -> Result<()> {
    for (release, tool) in releases() {
        for (option, answer) in [
            ("database", "mysql"),
            ("frontend", ""),
            ("license", "mit"),
            ("features", "rediss"),
            ("features", "Redis"),
            ("features", "redis,websockets"),
            ("features", "redis, redis"),
            ("features", "redis redis"),
            ("features", "none"),
        ] {
            let workshop = Workshop::new();
            let message = refused(workshop.generate(&tool, "shop", &[(option, answer)]));
            let sentence = format!("is not a valid value for {option}");
            assert!(message.contains(&sentence), "{release}: {message}");
            assert_only_an_empty_folder_is_left(&workshop)?;
        }
    }
    Ok(())
}

#[test]
fn a_feature_without_what_it_needs_is_refused() -> Result<()> {
    for (release, tool) in releases() {
        for frontend in ["none", "spa"] {
            let workshop = Workshop::new();
            let answers = [("features", "redis,pwa"), ("frontend", frontend)];
            let message = refused(workshop.generate(&tool, "shop", &answers));
            assert!(
                message.contains("'pwa'") && message.contains("needs frontend=pages"),
                "{release}: {message}"
            );
            assert_only_an_empty_folder_is_left(&workshop)?;
        }
    }
    Ok(())
}

#[test]
fn a_misspelt_option_is_refused_with_the_right_one() -> Result<()> {
    for (release, tool) in releases() {
        for (wrong, right) in [
            ("databse", "database"),
            ("datbaase", "database"),
            ("databasee", "database"),
            ("db", "database"),
            ("front-end", "frontend"),
            ("licence", "license"),
            ("feature", "features"),
            ("redis", "features"),
            ("desc", "description"),
        ] {
            let workshop = Workshop::new();
            let message = refused(workshop.generate(&tool, "shop", &[(wrong, "none")]));
            let sentence = format!("no option '{wrong}'; did you mean '{right}'?");
            assert!(message.contains(&sentence), "{release}: {message}");
            assert_only_an_empty_folder_is_left(&workshop)?;
        }
    }
    Ok(())
}

/// cargo-generate makes the project's folder before it looks at any answer; a template cannot prevent it.
fn assert_only_an_empty_folder_is_left(workshop: &Workshop) -> Result<()> {
    assert_eq!(
        repo::files_below(workshop.output())?,
        Vec::<std::path::PathBuf>::new()
    );
    Ok(())
}

#[test]
fn a_target_folder_that_exists_is_not_touched() -> Result<()> {
    for (release, tool) in releases() {
        let workshop = Workshop::new();
        write(&workshop.output().join("shop/Cargo.toml"), "mine")?;
        let message = refused(workshop.generate(&tool, "shop", &[]));
        assert!(
            message.contains("Target directory already exists"),
            "{release}: {message}"
        );
        assert_eq!(
            repo::files_below(workshop.output())?,
            [Path::new("shop/Cargo.toml")]
        );
        assert_eq!(
            fs::read_to_string(workshop.output().join("shop/Cargo.toml"))?,
            "mine"
        );
    }
    Ok(())
}

#[test]
fn init_does_not_overwrite_a_file() -> Result<()> {
    let workshop = Workshop::new();
    write(&workshop.output().join("README.md"), "mine")?;
    let mut command = generate::command(&oldest(), workshop.output());
    command
        .args(["--silent", "--name", "shop", "--init", "--path"])
        .arg(workshop.source());
    let output = process::capture(&mut command)?;
    assert_eq!(
        fs::read_to_string(workshop.output().join("README.md"))?,
        "mine"
    );
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &*String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("File already exists"), "{said}");
    Ok(())
}

#[test]
fn a_folder_without_write_permission_is_a_clear_error() -> Result<()> {
    let name = "a_folder_without_write_permission_is_a_clear_error";
    let workshop = Workshop::new();
    let output = if is_root()? {
        if xtask::tools::on_path(&["setpriv"]).is_none() {
            skip(
                name,
                "root may write anywhere and there is no setpriv to become someone else",
            );
            return Ok(());
        }
        as_nobody(&workshop)?
    } else {
        fs::set_permissions(workshop.output(), fs::Permissions::from_mode(0o555))?;
        let output = generate::command(&oldest(), workshop.output())
            .args(["--silent", "--name", "shop", "--path"])
            .arg(workshop.source())
            .output()?;
        fs::set_permissions(workshop.output(), fs::Permissions::from_mode(0o755))?;
        output
    };
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(message.contains("Permission denied"), "{message}");
    assert_eq!(fs::read_dir(workshop.output())?.count(), 0);
    Ok(())
}

fn is_root() -> Result<bool> {
    let output = process::capture(Command::new("id").arg("-u"))?;
    Ok(output.stdout.trim_ascii() == b"0")
}

/// Generates into root's folder as a user who owns nothing, from copies that user may read.
fn as_nobody(workshop: &Workshop) -> Result<std::process::Output> {
    let readable = TempDir::new()?;
    let open = |path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(0o755));
    for folder in [readable.path(), workshop.source(), workshop.output()] {
        open(folder)?;
    }
    let binary = readable.path().join("cargo-generate");
    let found = xtask::tools::on_path(&[oldest().to_str().context("not UTF-8")?]);
    fs::copy(found.unwrap_or_else(oldest), &binary)?;
    open(&binary)?;
    let settings = readable.path().join("settings.toml");
    fs::write(&settings, "")?;
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"])
        .arg(&binary)
        .args(["generate", "--silent", "--name", "shop", "--config"])
        .arg(&settings)
        .arg("--path")
        .arg(workshop.source())
        .current_dir(workshop.output())
        .env("HOME", readable.path())
        .env("NO_COLOR", "1")
        .output()
        .context("cannot run setpriv")?;
    Ok(output)
}

#[test]
fn a_full_disk_is_a_clear_error() -> Result<()> {
    let workshop = Workshop::new();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"])
        .arg(workshop.output())
        .output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        skip(
            "a_full_disk_is_a_clear_error",
            "a small disk cannot be mounted here",
        );
        return Ok(());
    }
    let results = releases().map(|(release, tool)| {
        let result = workshop.generate(&tool, "shop", &[]);
        let cleaned = fs::remove_dir_all(workshop.output().join("shop"));
        (release, result, cleaned)
    });
    process::capture(Command::new("umount").arg(workshop.output()))?;
    for (release, result, cleaned) in results {
        let message = refused(result);
        assert!(
            message.contains("No space left on device"),
            "{release}: {message}"
        );
        cleaned?;
    }
    Ok(())
}
