//! Breaks the template on purpose, one marker or path at a time, to see whether the proof notices.

use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::generate::{self, Request, Tool};
use crate::process;
use crate::profiles::{self, Profile};
use crate::proof;
use crate::repo;
use crate::template::{self, Config};

/// One file with one thing broken.
#[derive(Debug)]
pub struct Mutation {
    pub what: String,
    file: String,
    text: String,
}

/// What became of the mutations.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Each mutation that was noticed, with the first thing the proof said.
    pub caught: Vec<(String, String)>,
    /// Those nobody noticed.
    pub survived: Vec<String>,
}

/// Tries every mutation of the template, on as many copies of it as there are cores.
pub fn try_all() -> Result<Outcome> {
    let copy = repo::clean_copy()?;
    let mut profiles = profiles::rendered(&Config::read(copy.path())?);
    // Otherwise everything would be noticed.
    if let Some(problem) = first_problem(copy.path(), &mut profiles) {
        bail!("the proof fails before anything is broken: {problem}");
    }
    let left = Mutex::new(mutations(copy.path())?);
    let workers = thread::available_parallelism()?.get();
    let outcomes: Vec<Result<Outcome>> = thread::scope(|scope| {
        let work = || try_some(&left, profiles.clone());
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        let joined = threads.into_iter().map(thread::ScopedJoinHandle::join);
        joined
            .map(|done| done.unwrap_or_else(|_| bail!("a thread panicked")))
            .collect()
    });
    let mut all = Outcome::default();
    for outcome in outcomes {
        let Outcome { caught, survived } = outcome?;
        all.caught.extend(caught);
        all.survived.extend(survived);
    }
    Ok(all)
}

/// Takes mutations until there are none, and tries each on a copy of its own.
fn try_some(left: &Mutex<Vec<Mutation>>, mut profiles: Vec<Profile>) -> Result<Outcome> {
    let copy = repo::clean_copy()?;
    let mut outcome = Outcome::default();
    let next = || left.lock().unwrap_or_else(PoisonError::into_inner).pop();
    while let Some(mutation) = next() {
        process::check_interrupt()?;
        let path = copy.path().join(&mutation.file);
        let original = fs::read_to_string(&path)?;
        fs::write(&path, &mutation.text)?;
        let noticed = first_problem(copy.path(), &mut profiles);
        fs::write(&path, original)?;
        match noticed {
            Some(problem) => outcome.caught.push((mutation.what, problem)),
            None => outcome.survived.push(mutation.what),
        }
    }
    Ok(outcome)
}

/// What the proof says about the template in `source`, if it says anything. The profile that says it comes first the next
/// time: what is broken next is most often its neighbour.
fn first_problem(source: &Path, profiles: &mut [Profile]) -> Option<String> {
    match proof::of_template(source) {
        Err(error) => return Some(format!("{error:#}")),
        Ok(problems) if !problems.is_empty() => return problems.into_iter().next(),
        Ok(_) => {}
    }
    for proof in [proof::of_files as Proof, proof::of_project] {
        for turn in 0..profiles.len() {
            let profile = &profiles[turn];
            let problems = problems_of(source, profile, proof)
                .unwrap_or_else(|error| vec![format!("{error:#}")]);
            if let Some(first) = problems.into_iter().next() {
                let said = format!("{}: {first}", profile.name);
                profiles[..=turn].rotate_right(1);
                return Some(said);
            }
        }
    }
    None
}

type Proof = fn(&Path, &Path, &Profile) -> Result<Vec<String>>;

fn problems_of(source: &Path, profile: &Profile, proof: Proof) -> Result<Vec<String>> {
    let into = TempDir::new().context("cannot create a temporary folder")?;
    let request = Request {
        source,
        into: into.path(),
        name: "mutant",
        answers: &profile.answers,
    };
    let project = generate::project(&Tool::Library, request)?;
    proof(source, &project, profile)
}

fn mutations(source: &Path) -> Result<Vec<Mutation>> {
    let config = Config::read(source)?;
    let mut all = Vec::new();
    for file in &config.include {
        let text = fs::read_to_string(source.join(file))?;
        all.extend(of_markers(file, &text));
    }
    let file = "cargo-generate.toml";
    let text = fs::read_to_string(source.join(file))?;
    for conditional in &config.conditionals {
        let expression = &conditional.expression;
        all.extend(of_condition(file, &text, expression, expression));
        for path in &conditional.ignore {
            let quoted = format!("\"{path}\"");
            let misspelt = format!("\"{path}x\"");
            all.push(replaced(file, &text, &quoted, &misspelt, "path misspelt"));
            all.push(replaced(
                file,
                &text,
                &format!("{quoted},"),
                "",
                "path left out",
            ));
        }
    }
    for path in &config.include {
        let quoted = format!("\"{path}\",");
        all.push(replaced(file, &text, &quoted, "", "file not rendered"));
    }
    Ok(all)
}

/// Each condition misspelt in name and value and turned round, each block cut loose from its condition.
fn of_markers(file: &str, text: &str) -> Vec<Mutation> {
    let mut all = Vec::new();
    for (start, _) in text.match_indices("{% if ") {
        let (before, rest) = text.split_at(start);
        let Some((tag, after)) = rest.split_once("%}") else {
            continue;
        };
        let condition = tag.trim_start_matches("{% if ").trim();
        if condition == "false" {
            continue;
        }
        let line = before.lines().count();
        for (broken, what) in broken_conditions(condition) {
            all.push(Mutation {
                what: format!("{file}:{line}: `{condition}` {what}: `{broken}`"),
                file: file.to_owned(),
                text: format!("{before}{{% if {broken} %}}{after}"),
            });
        }
        all.push(Mutation {
            what: format!("{file}:{line}: `{condition}` taken off its block"),
            file: file.to_owned(),
            text: format!("{before}{}", after.replacen("{% endif %}", "", 1)),
        });
        all.push(Mutation {
            what: format!("{file}:{line}: `{condition}` never closed"),
            file: file.to_owned(),
            text: format!("{before}{tag}%}}{}", after.replacen("{% endif %}", "", 1)),
        });
    }
    all
}

fn of_condition(file: &str, text: &str, condition: &str, place: &str) -> Vec<Mutation> {
    broken_conditions(condition)
        .into_iter()
        .map(|(broken, what)| replaced(file, text, place, &broken, what))
        .collect()
}

/// The condition with one clause misspelt in its option, in its value or turned round, and with its clauses joined wrongly.
fn broken_conditions(condition: &str) -> Vec<(String, &'static str)> {
    let mut all = Vec::new();
    for clause in template::clauses(condition) {
        let name = clause.trim_start_matches('!');
        let misspelt = [
            (
                clause.replacen(name, &format!("x{name}"), 1),
                "with an option misspelt",
            ),
            (clause.replacen('"', "\"x", 1), "with a value misspelt"),
        ];
        let turned = turned_round(clause).map(|turned| (turned, "turned round"));
        for (broken, what) in misspelt.into_iter().chain(turned) {
            all.push((condition.replacen(clause, &broken, 1), what));
        }
    }
    for (word, other) in [
        (" and ", " or "),
        (" or ", " and "),
        (" && ", " || "),
        (" || ", " && "),
    ] {
        if condition.contains(word) {
            all.push((condition.replace(word, other), "joined wrongly"));
        }
    }
    all
}

/// Liquid has no word for "does not contain", so its `contains` stays.
fn turned_round(clause: &str) -> Option<String> {
    if clause.contains("!=") {
        return Some(clause.replacen("!=", "==", 1));
    }
    if clause.contains("==") {
        return Some(clause.replacen("==", "!=", 1));
    }
    match clause.strip_prefix('!') {
        Some(contains) => Some(contains.to_owned()),
        None => clause.contains(".contains(").then(|| format!("!{clause}")),
    }
}

fn replaced(file: &str, text: &str, from: &str, to: &str, what: &str) -> Mutation {
    Mutation {
        what: format!("{file}: {from} {what}"),
        file: file.to_owned(),
        text: text.replacen(from, to, 1),
    }
}

#[cfg(test)]
mod tests {
    use super::broken_conditions;

    #[test]
    fn every_clause_is_broken_in_every_way() {
        let broken: Vec<String> = broken_conditions(r#"a == "b" && !c.contains("d")"#)
            .into_iter()
            .map(|(broken, _)| broken)
            .collect();
        assert_eq!(
            broken,
            [
                r#"xa == "b" && !c.contains("d")"#,
                r#"a == "xb" && !c.contains("d")"#,
                r#"a != "b" && !c.contains("d")"#,
                r#"a == "b" && !xc.contains("d")"#,
                r#"a == "b" && !c.contains("xd")"#,
                r#"a == "b" && c.contains("d")"#,
                r#"a == "b" || !c.contains("d")"#,
            ]
        );
    }
}
