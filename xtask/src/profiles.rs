//! The combinations of answers that are proven: the defaults, every other value once, and every pair of values.

use std::collections::BTreeSet;

use anyhow::{Context, Result};

use crate::template::Config;

/// Options whose answer changes no line of Rust: profiles that differ only here are rendered, but not compiled twice.
const WITHOUT_RUST: [&str; 2] = ["license", "description"];

/// Choices of `features` that `hooks/check.rhai` refuses without this answer to another option.
const NEEDS: [(&str, &str, &str); 1] = [("pwa", "frontend", "pages")];

/// One answer to every question of the template.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Profile {
    /// `defaults`, or what differs from them: `database-postgres_frontend-none`.
    pub name: String,
    /// Every option with its answer, in the order of the questions.
    pub answers: Vec<(String, String)>,
}

impl Profile {
    fn new(config: &Config, factors: &[Factor], row: &[String]) -> Self {
        let mut answers = Vec::new();
        for option in &config.options {
            let values = factors
                .iter()
                .zip(row)
                .filter(|(factor, _)| factor.option == option.name);
            let taken: Vec<&str> = values
                .map(|(_, value)| value.as_str())
                .filter(|v| !v.is_empty())
                .collect();
            answers.push((option.name.clone(), taken.join(",")));
        }
        let differing: Vec<String> = config
            .options
            .iter()
            .zip(&answers)
            .filter(|(option, (_, answer))| option.default != *answer)
            .map(|(option, (_, answer))| format!("{}-{}", option.name, slug(answer)))
            .collect();
        let name = if differing.is_empty() {
            "defaults".to_owned()
        } else {
            differing.join("_")
        };
        Self { name, answers }
    }

    /// The answer to `option`.
    #[must_use]
    pub fn answer(&self, option: &str) -> Option<&str> {
        let found = self.answers.iter().find(|(name, _)| name == option);
        found.map(|(_, answer)| answer.as_str())
    }

    /// Whether the answers take `choice` of `option`, which may take many.
    #[must_use]
    pub fn takes(&self, option: &str, choice: &str) -> bool {
        self.answer(option)
            .is_some_and(|answer| answer.split(',').any(|taken| taken == choice))
    }

    fn rust_answers(&self) -> Vec<&(String, String)> {
        self.answers
            .iter()
            .filter(|(name, _)| !WITHOUT_RUST.contains(&name.as_str()))
            .collect()
    }
}

/// What varies by itself: an option, or one choice of an option that takes many.
struct Factor {
    option: String,
    default: String,
    values: Vec<String>,
}

/// Whether the template refuses what this row has answered; `None` is a question that is still open.
fn is_refused(factors: &[Factor], row: &[Option<&str>]) -> bool {
    let answers = || factors.iter().zip(row);
    NEEDS.iter().any(|(choice, option, needed)| {
        let is_taken = answers()
            .any(|(factor, answer)| factor.option == "features" && *answer == Some(*choice));
        let is_other = answers().any(|(factor, answer)| {
            factor.option == *option && answer.is_some_and(|answer| answer != *needed)
        });
        is_taken && is_other
    })
}

fn factors(config: &Config) -> Vec<Factor> {
    let mut factors = Vec::new();
    for option in &config.options {
        if !option.many {
            factors.push(Factor {
                option: option.name.clone(),
                default: option.default.clone(),
                values: option.choices.clone(),
            });
            continue;
        }
        for choice in &option.choices {
            let taken = option.default.split(',').any(|default| default == choice);
            factors.push(Factor {
                option: option.name.clone(),
                default: if taken { choice.clone() } else { String::new() },
                values: vec![String::new(), choice.clone()],
            });
        }
    }
    factors
}

/// The profiles to render: the defaults, each other value on its own, then as few as cover every pair of values.
#[must_use]
pub fn rendered(config: &Config) -> Vec<Profile> {
    let factors = factors(config);
    let rows = rows(&factors);
    rows.iter()
        .map(|row| Profile::new(config, &factors, row))
        .collect()
}

fn rows(factors: &[Factor]) -> Vec<Vec<String>> {
    let defaults: Vec<String> = factors
        .iter()
        .map(|factor| factor.default.clone())
        .collect();
    let mut rows = vec![defaults.clone()];
    for (i, factor) in factors.iter().enumerate() {
        for value in factor
            .values
            .iter()
            .filter(|value| **value != factor.default)
        {
            let mut row = defaults.clone();
            row[i].clone_from(value);
            rows.push(row);
        }
    }
    let mut missing = all_pairs(factors);
    for row in &rows {
        cover(row, &mut missing);
    }
    let is_text = |factor: &usize| WITHOUT_RUST.contains(&factors[*factor].option.as_str());
    let is_rust = |(i, _, j, _): &&Pair| !is_text(i) && !is_text(j);
    while let Some(pair) = missing.iter().find(is_rust).cloned() {
        let row = row_covering(factors, &defaults, &pair, &missing);
        cover(&row, &mut missing);
        rows.push(row);
    }
    // Other text is put into a row that is there: it makes no other program to compile.
    while let Some((i, a, j, b)) = missing.first().cloned() {
        let candidates = rows.iter().filter_map(|row| {
            let mut row = row.clone();
            for (factor, value) in [(i, &a), (j, &b)] {
                if is_text(&factor) {
                    row[factor].clone_from(value);
                }
            }
            (row[i] == a && row[j] == b).then_some(row)
        });
        let covers = |row: &Vec<String>| {
            let mut left = missing.clone();
            cover(row, &mut left);
            missing.len() - left.len()
        };
        let row = candidates
            .max_by_key(covers)
            .expect("every value has a row");
        cover(&row, &mut missing);
        rows.push(row);
    }
    rows
}

/// The rendered profiles that differ in Rust, one of each.
#[must_use]
pub fn compiled(config: &Config) -> Vec<Profile> {
    let mut seen = BTreeSet::new();
    rendered(config)
        .into_iter()
        .filter(|profile| seen.insert(format!("{:?}", profile.rust_answers())))
        .collect()
}

/// Of the compiled profiles, those whose own tests are run: the defaults, and as few as have every other answer once. Those
/// that differ most come first, so that answers are tried together.
#[must_use]
pub fn tested(config: &Config) -> BTreeSet<String> {
    let all = compiled(config);
    let answers = |profile: &Profile| -> BTreeSet<String> {
        let rust = profile.rust_answers().into_iter();
        rust.flat_map(|(option, answer)| {
            let taken = answer.split(',').map(move |one| format!("{option}={one}"));
            taken.collect::<Vec<_>>()
        })
        .collect()
    };
    let mut seen = BTreeSet::new();
    let mut names = BTreeSet::new();
    for profile in all.iter().take(1).chain(all.iter().rev()) {
        let new: Vec<_> = answers(profile).difference(&seen).cloned().collect();
        if !new.is_empty() {
            seen.extend(new);
            names.insert(profile.name.clone());
        }
    }
    names
}

/// The rendered profile called `name`.
pub fn find(config: &Config, name: &str) -> Result<Profile> {
    let all = rendered(config);
    let names: Vec<&str> = all.iter().map(|profile| profile.name.as_str()).collect();
    let message = format!(
        "there is no profile `{name}`; choose one of {}",
        names.join(", ")
    );
    let found = all.iter().find(|profile| profile.name == name);
    found.cloned().context(message)
}

/// Two values of two factors: `(factor, value, factor, value)`.
type Pair = (usize, String, usize, String);

fn all_pairs(factors: &[Factor]) -> BTreeSet<Pair> {
    let mut pairs = BTreeSet::new();
    for (i, first) in factors.iter().enumerate() {
        for (j, second) in factors.iter().enumerate().skip(i + 1) {
            for a in &first.values {
                for b in &second.values {
                    let mut row = vec![None; factors.len()];
                    (row[i], row[j]) = (Some(a.as_str()), Some(b.as_str()));
                    if !is_refused(factors, &row) {
                        pairs.insert((i, a.clone(), j, b.clone()));
                    }
                }
            }
        }
    }
    pairs
}

fn cover(row: &[String], missing: &mut BTreeSet<Pair>) {
    missing.retain(|(i, a, j, b)| row[*i] != *a || row[*j] != *b);
}

/// A row with `pair`, every other factor set to the value that covers most of what is missing and is not refused.
fn row_covering(
    factors: &[Factor],
    defaults: &[String],
    pair: &Pair,
    missing: &BTreeSet<Pair>,
) -> Vec<String> {
    let mut row = defaults.to_vec();
    row[pair.0].clone_from(&pair.1);
    row[pair.2].clone_from(&pair.3);
    for (i, factor) in factors.iter().enumerate() {
        if i == pair.0 || i == pair.2 {
            continue;
        }
        let covers = |value: &&String| {
            let mut candidate = row.clone();
            candidate[i].clone_from(value);
            let mut left = missing.clone();
            cover(&candidate, &mut left);
            missing.len() - left.len()
        };
        let is_accepted = |value: &&String| {
            let mut candidate: Vec<_> = row.iter().map(|answer| Some(answer.as_str())).collect();
            candidate[i] = Some(value.as_str());
            !is_refused(factors, &candidate)
        };
        let best = factor.values.iter().filter(is_accepted);
        if let Some(best) = best.max_by_key(covers) {
            row[i].clone_from(best);
        }
    }
    row
}

fn slug(answer: &str) -> String {
    let dashed: String = answer
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    dashed.trim_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::TemplateOption;

    fn config() -> Config {
        let option = |name: &str, choices: &[&str]| TemplateOption {
            name: name.into(),
            default: choices.first().copied().unwrap_or("text").into(),
            choices: choices.iter().map(|c| (*c).to_owned()).collect(),
            many: false,
        };
        Config {
            options: vec![
                option("database", &["sqlite", "postgres"]),
                option("frontend", &["pages", "none"]),
                option(
                    "license",
                    &["MIT OR Apache-2.0", "MIT", "Apache-2.0", "none"],
                ),
                option("description", &[]),
            ],
            include: vec![],
            ignore: vec![],
            hooks: vec![],
            conditionals: vec![],
        }
    }

    #[test]
    fn every_pair_of_values_is_rendered() {
        let factors = factors(&config());
        let mut missing = all_pairs(&factors);
        for row in rows(&factors) {
            cover(&row, &mut missing);
        }
        assert!(missing.is_empty(), "{missing:?}");
    }

    #[test]
    fn every_answer_is_among_the_tested() {
        let all = compiled(&config());
        let tested = tested(&config());
        assert!(tested.contains("defaults"));
        for profile in &all {
            for (option, answer) in profile.rust_answers() {
                let has = |other: &&Profile| other.answer(option) == Some(answer);
                let found = all.iter().filter(has);
                assert!(
                    found.into_iter().any(|other| tested.contains(&other.name)),
                    "{option} = {answer}"
                );
            }
        }
        assert!(tested.len() < all.len());
    }

    #[test]
    fn each_choice_of_many_is_taken_and_left_with_every_other_value() {
        let mut config = config();
        config.options.push(TemplateOption {
            name: "features".into(),
            default: "auth".into(),
            choices: vec!["auth".into(), "jobs".into()],
            many: true,
        });
        let answers: Vec<_> = rendered(&config)
            .iter()
            .map(|profile| profile.answer("features").unwrap_or_default().to_owned())
            .collect();
        for expected in ["auth", "", "auth,jobs", "jobs"] {
            assert!(
                answers.iter().any(|answer| answer == expected),
                "{expected:?} in {answers:?}"
            );
        }
    }

    #[test]
    fn what_the_template_refuses_is_not_rendered() {
        let mut config = config();
        config.options.push(TemplateOption {
            name: "features".into(),
            default: String::new(),
            choices: vec!["pwa".into(), "redis".into()],
            many: true,
        });
        let all = rendered(&config);
        let with = |feature| all.iter().filter(move |p| p.takes("features", feature));
        assert!(with("pwa").all(|p| p.answer("frontend") == Some("pages")));
        assert!(with("pwa").any(|p| p.answer("database") == Some("postgres")));
        assert!(with("redis").any(|p| p.answer("frontend") == Some("none")));
    }

    #[test]
    fn the_defaults_come_first_and_names_say_what_differs() {
        let names: Vec<String> = rendered(&config()).into_iter().map(|p| p.name).collect();
        assert_eq!(
            names[..3],
            ["defaults", "database-postgres", "frontend-none"]
        );
        assert!(names.len() < 12, "{names:?}");
    }

    #[test]
    fn profiles_that_differ_in_text_alone_are_compiled_once() {
        let profiles = compiled(&config());
        assert_eq!(profiles.len(), 4, "{profiles:?}");
    }
}
