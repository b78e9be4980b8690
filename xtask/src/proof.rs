//! What must be true of the template and of a project rendered from it; cargo-generate reports none of this itself.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use toml::{Table, Value};

use crate::generate::is_executable;
use crate::process;
use crate::profiles::Profile;
use crate::repo;
use crate::template::{self, Config};

/// The version every generated project records; the crates of this workspace share it.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Variables cargo-generate itself provides.
const BUILT_IN: [&str; 5] = ["project-name", "crate_name", "authors", "username", "body"];

/// Tags of askama that Liquid does not have: documentation and tests may show them.
const ASKAMA: [&str; 3] = ["{% call ", "{% endcall ", "{% import "];

/// askama's templates speak a language much like Liquid; they are copied, never rendered.
const NOT_LIQUID: &str = "templates";

/// What is wrong with the template in `source` before anything is rendered.
pub fn of_template(source: &Path) -> Result<Vec<String>> {
    let config = Config::read(source)?;
    let mut problems = Vec::new();
    problems.extend(missing_paths(source, &config)?);
    for conditional in &config.conditionals {
        if let Some(problem) = config.problem_with_condition(&conditional.expression) {
            problems.push(format!(
                "cargo-generate.toml: {}: {problem}",
                conditional.expression
            ));
        }
    }
    problems.extend(unlisted_markers(source, &config)?);
    for file in &config.include {
        let Ok(text) = fs::read_to_string(source.join(file)) else {
            continue; // reported as a missing path
        };
        for problem in marker_problems(&config, &text) {
            problems.push(format!("{file}: {problem}"));
        }
    }
    let check = fs::read_to_string(source.join("hooks/check.rhai"))?;
    for option in &config.options {
        if !check.contains(&format!("\n    {}: [", option.name)) {
            problems.push(format!("hooks/check.rhai: OPTIONS lacks `{}`", option.name));
        }
    }
    Ok(problems)
}

/// Paths that `cargo-generate.toml` names and nobody has: cargo-generate passes over them in silence.
fn missing_paths(source: &Path, config: &Config) -> Result<Vec<String>> {
    let conditional = config.conditionals.iter().flat_map(|c| &c.ignore);
    let named = config
        .include
        .iter()
        .chain(&config.hooks)
        .chain(conditional);
    let mut problems: Vec<String> = named
        .filter(|path| !source.join(path).exists())
        .map(|path| format!("cargo-generate.toml names {path}, which does not exist"))
        .collect();
    // What `ignore` names is there only after a build or a run, so it must be what git ignores, and all of it.
    let ignored = ignored_by_git(source)?;
    let unnamed = ignored
        .iter()
        .filter(|path| path.starts_with("template/") && !config.ignore.contains(path));
    problems.extend(
        unnamed.map(|path| format!("git ignores {path}, but cargo-generate.toml does not")),
    );
    let unknown = config.ignore.iter().filter(|path| !ignored.contains(*path));
    problems.extend(
        unknown.map(|path| format!("cargo-generate.toml ignores {path}, but git does not")),
    );
    Ok(problems)
}

fn ignored_by_git(source: &Path) -> Result<BTreeSet<String>> {
    let mut ignored = BTreeSet::new();
    for prefix in ["", "template/", "template/frontend/"] {
        let file = format!("{prefix}.gitignore");
        let text = fs::read_to_string(source.join(&file))
            .with_context(|| format!("cannot read {file}"))?;
        let paths = text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        ignored.extend(paths.map(|path| format!("{prefix}{}", path.trim_matches('/'))));
    }
    Ok(ignored)
}

/// Files whose markers nobody renders, and rendered files without markers.
fn unlisted_markers(source: &Path, config: &Config) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    for part in ["template", "ci", "k8s", "monitoring"] {
        let folder = source.join(part);
        if !folder.is_dir() {
            continue;
        }
        for file in repo::files_below(&folder)? {
            let name = format!("{part}/{}", file.display());
            let Ok(text) = fs::read_to_string(folder.join(&file)) else {
                continue; // not text
            };
            match (
                template::has_markers(&file, &text),
                config.include.contains(&name),
            ) {
                (true, false) => {
                    problems.push(format!("{name} has markers, but `include` lacks it"));
                }
                (false, true) => {
                    problems.push(format!("{name} is in `include`, but has no markers"));
                }
                _ => {}
            }
        }
    }
    Ok(problems)
}

fn marker_problems(config: &Config, text: &str) -> Vec<String> {
    let markers = template::markers(text);
    let mut problems = markers.problems;
    for block in &markers.blocks {
        if let Some(problem) = config.problem_with_condition(&block.condition) {
            problems.push(format!("`if {}`: {problem}", block.condition));
        }
    }
    for expression in text.split("{{ ").skip(1) {
        let name: String = expression
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || *c == '-' || *c == '_')
            .collect();
        if config.option(&name).is_none() && !BUILT_IN.contains(&name.as_str()) {
            problems.push(format!("`{{{{ {name} }}}}` would render as nothing"));
        }
    }
    problems
}

/// What is wrong with a project rendered from `source` for `profile`.
pub fn of_project(source: &Path, project: &Path, profile: &Profile) -> Result<Vec<String>> {
    let mut problems = of_files(source, project, profile)?;
    if problems.is_empty() {
        problems.extend(format_problem(project)?);
    }
    Ok(problems)
}

/// The same but for the format of the code, which takes longer to look at than all the rest.
pub fn of_files(source: &Path, project: &Path, profile: &Profile) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    problems.extend(snapshot_difference(source, project, profile)?);
    for folder in repo::empty_folders_below(project)? {
        problems.push(format!("{} is an empty folder", folder.display()));
    }
    problems.extend(file_problems(source, project)?);
    problems.extend(orphans(project)?);
    problems.extend(record_problems(&Config::read(source)?, project, profile)?);
    Ok(problems)
}

fn format_problem(project: &Path) -> Result<Option<String>> {
    let formatted = process::cargo()
        .args(["fmt", "--check"])
        .current_dir(project)
        .output()
        .context("cannot run cargo fmt")?;
    Ok((!formatted.status.success()).then(|| {
        format!(
            "the output is not formatted:\n{}{}",
            String::from_utf8_lossy(&formatted.stdout),
            String::from_utf8_lossy(&formatted.stderr)
        )
    }))
}

/// Where the committed list of files and conditional lines of `profile` is.
#[must_use]
pub fn snapshot_path(source: &Path, profile: &Profile) -> PathBuf {
    source
        .join("tests/snapshots")
        .join(format!("{}.txt", profile.name))
}

/// Every file of a project and, below the rendered ones, the conditional lines they kept.
pub fn snapshot(source: &Path, project: &Path) -> Result<String> {
    let mut text = String::new();
    for file in repo::files_below(project)? {
        writeln!(text, "{}", file.display())?;
        let Ok(raw) = fs::read_to_string(origin(source, &file)) else {
            continue; // not text
        };
        if !template::has_markers(&file, &raw) {
            continue;
        }
        let rendered = fs::read_to_string(project.join(&file))?;
        for block in template::markers(&raw).blocks {
            let lines = block.text.trim();
            if block.condition != "false" && !lines.is_empty() && rendered.contains(&block.text) {
                for line in block.text.trim_matches('\n').lines() {
                    writeln!(text, "    + {line}")?;
                }
            }
        }
    }
    Ok(text)
}

fn snapshot_difference(source: &Path, project: &Path, profile: &Profile) -> Result<Vec<String>> {
    let actual = snapshot(source, project)?;
    let Ok(expected) = fs::read_to_string(snapshot_path(source, profile)) else {
        return Ok(vec![
            "there is no snapshot; `cargo xtask bless` writes it".to_owned(),
        ]);
    };
    let (actual, expected): (Vec<_>, Vec<_>) =
        (actual.lines().collect(), expected.lines().collect());
    let unexpected = actual.iter().filter(|line| !expected.contains(line));
    let missing = expected.iter().filter(|line| !actual.contains(line));
    let mut problems: Vec<String> = unexpected
        .map(|line| format!("not in the snapshot: {}", line.trim()))
        .chain(missing.map(|line| format!("only in the snapshot: {}", line.trim())))
        .collect();
    if problems.is_empty() && actual != expected {
        problems.push("the snapshot has the same lines in another order or number".to_owned());
    }
    Ok(problems)
}

/// Leftovers of the template's language, copies that differ from their source, lost permissions.
fn file_problems(source: &Path, project: &Path) -> Result<Vec<String>> {
    let config = Config::read(source)?;
    let mut problems = Vec::new();
    for file in repo::files_below(project)? {
        let name = file.display();
        let from = version(origin(source, &file), project);
        let to = project.join(&file);
        if !from.is_file() {
            problems.push(format!("{name} comes from nowhere"));
            continue;
        }
        let bytes = fs::read(&to)?;
        if !file.starts_with(NOT_LIQUID) {
            let text = String::from_utf8_lossy(&bytes);
            let text = ASKAMA
                .iter()
                .fold(text.into_owned(), |text, tag| text.replace(tag, ""));
            for leftover in ["{%", "{{ project", "//~", "#~", "//+ ", "#+ "] {
                if text.contains(leftover) {
                    problems.push(format!("{name} still holds `{leftover}`"));
                }
            }
        }
        let rendered = config.include.iter().any(|path| source.join(path) == from);
        if !rendered && bytes != fs::read(&from)? {
            problems.push(format!("{name} is not a copy of its source"));
        }
        if is_executable(&from)? != is_executable(&to)? {
            problems.push(format!("{name} lost or won its executable bit"));
        }
    }
    Ok(problems)
}

/// Rust files no module declares: an option left them behind.
fn orphans(project: &Path) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    for file in repo::files_below(project)? {
        let path = if file.ends_with("mod.rs") {
            file.parent()
        } else {
            Some(file.as_path())
        };
        let (Some(folder), Some(stem)) =
            (path.and_then(Path::parent), path.and_then(Path::file_stem))
        else {
            continue;
        };
        let stem = stem.to_string_lossy();
        let root = ["main", "lib", "build"].contains(&&*stem) || folder == Path::new("benches");
        if root || file.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let parents = ["mod.rs", "lib.rs", "main.rs"].map(|name| folder.join(name));
        let declared = parents
            .into_iter()
            .chain([folder.with_extension("rs")])
            .filter_map(|parent| fs::read_to_string(project.join(parent)).ok())
            .any(|text| text.contains(&format!("mod {stem};")));
        if !declared {
            problems.push(format!("{} belongs to no module", file.display()));
        }
    }
    Ok(problems)
}

/// The file of the template that `file` of a project was made from.
fn origin(source: &Path, file: &Path) -> PathBuf {
    if let Ok(rest) = file.strip_prefix(".github") {
        return source.join("ci").join(rest);
    }
    let part = if file.starts_with("k8s") || file.starts_with("monitoring") {
        ""
    } else {
        "template"
    };
    source.join(part).join(file)
}

/// A file that cannot hold markers has a second version for projects without accounts, whose name hooks/assemble.rhai changes.
fn version(file: PathBuf, project: &Path) -> PathBuf {
    let extension = file.extension().unwrap_or_default().to_string_lossy();
    let plain = file.with_extension(format!("plain.{extension}"));
    let is_plain = plain.is_file() && !project.join("src/features/auth").is_dir();
    if is_plain { plain } else { file }
}

/// The manifest must carry the description and the license, and `[package.metadata.axle]` the other answers and the
/// version of the template.
fn record_problems(config: &Config, project: &Path, profile: &Profile) -> Result<Vec<String>> {
    let text = fs::read_to_string(project.join("Cargo.toml")).context("there is no Cargo.toml")?;
    let manifest: Table = match text.parse() {
        Ok(manifest) => manifest,
        Err(error) => return Ok(vec![format!("Cargo.toml is not TOML: {error}")]),
    };
    let nothing = Table::new();
    let table = |value: Option<&Value>| value.and_then(Value::as_table).unwrap_or(&nothing).clone();
    let package = table(manifest.get("package"));
    let record = table(table(package.get("metadata")).get("axle"));
    let mut problems = Vec::new();
    let mut expect = |table: &Table, key: &str, answer: Option<Value>| {
        let found = table.get(key);
        if found != answer.as_ref() {
            problems.push(format!(
                "Cargo.toml has {key} = {found:?} where {answer:?} is right"
            ));
        }
    };
    let license = profile
        .answer("license")
        .filter(|license| *license != "none");
    let description = profile.answer("description");
    expect(&package, "license", license.map(Value::from));
    expect(&package, "description", description.map(Value::from));
    expect(&record, "template", Some(VERSION.into()));
    for option in &config.options {
        if ["license", "description"].contains(&option.name.as_str()) {
            continue; // the package says these two
        }
        let answer = profile.answer(&option.name).map(|answer| {
            if option.many {
                Value::from(answer.split_terminator(',').collect::<Vec<_>>())
            } else {
                Value::from(answer)
            }
        });
        expect(&record, &option.name, answer);
    }
    Ok(problems)
}
