//! The combinations of answers that are proven: the defaults, every other value alone, and every pair of values.

use std::collections::BTreeSet;
use std::slice;

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
}

/// What varies by itself: an option, or one choice of an option that takes many.
struct Factor {
    option: String,
    default: String,
    values: Vec<String>,
}

/// Whether the template refuses this row.
fn is_refused(factors: &[Factor], row: &Row) -> bool {
    let answered = |option: &str, value: &str| {
        let mut answers = factors.iter().zip(row);
        answers.any(|(factor, answer)| factor.option == option && answer == value)
    };
    NEEDS
        .iter()
        .any(|(choice, option, needed)| answered("features", choice) && !answered(option, needed))
}

fn factors(config: &Config) -> Vec<Factor> {
    let mut factors = Vec::new();
    for option in &config.options {
        if !option.many {
            let is_free = option.choices.is_empty();
            factors.push(Factor {
                option: option.name.clone(),
                default: option.default.clone(),
                values: if is_free {
                    vec![option.default.clone()]
                } else {
                    option.choices.clone()
                },
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

/// The profiles to render: the defaults, each other value on its own, then what it takes to have every pair of values.
#[must_use]
pub fn rendered(config: &Config) -> Vec<Profile> {
    let factors = factors(config);
    let rows = rows(&factors);
    rows.iter()
        .map(|row| Profile::new(config, &factors, row))
        .collect()
}

/// The profiles to compile: the defaults, then as few as have every pair of values that make a difference in Rust.
#[must_use]
pub fn compiled(config: &Config) -> Vec<Profile> {
    let factors = factors(config);
    let rows = rust_rows(&factors);
    rows.iter()
        .map(|row| Profile::new(config, &factors, row))
        .collect()
}

/// A value for each factor.
type Row = Vec<String>;

fn defaults(factors: &[Factor]) -> Row {
    factors.iter().map(|one| one.default.clone()).collect()
}

fn is_text(factor: &Factor) -> bool {
    WITHOUT_RUST.contains(&factor.option.as_str())
}

fn rows(factors: &[Factor]) -> Vec<Row> {
    let defaults = defaults(factors);
    let mut rows = vec![defaults.clone()];
    for (i, factor) in factors.iter().enumerate() {
        for value in &factor.values {
            let mut row = defaults.clone();
            row[i].clone_from(value);
            rows.push(row);
        }
    }
    rows.extend(rust_rows(factors));
    let mut seen = BTreeSet::new();
    rows.retain(|row| seen.insert(row.clone()));

    // Other text is put into a row that is there: it makes no other program to compile.
    let mut missing = all_pairs(factors);
    for row in &rows {
        cover(row, &mut missing);
    }
    while let Some((i, a, j, b)) = missing.first().cloned() {
        let candidates = rows.iter().filter_map(|row| {
            let mut row = row.clone();
            for (factor, value) in [(i, &a), (j, &b)] {
                if is_text(&factors[factor]) {
                    row[factor].clone_from(value);
                }
            }
            (row[i] == a && row[j] == b).then_some(row)
        });
        let row = best(candidates, &missing).expect("every value has a row");
        cover(&row, &mut missing);
        rows.push(row);
    }
    rows
}

/// The defaults, then as few rows as are found to have every pair: one is tried after another as the second, and each time
/// the row with most of the pairs that are still missing comes next.
fn rust_rows(factors: &[Factor]) -> Vec<Row> {
    let has_usual_text = |row: &Row| {
        let mut values = factors.iter().zip(row);
        values.all(|(factor, value)| !is_text(factor) || *value == factor.default)
    };
    let mut all = accepted(factors);
    all.retain(has_usual_text);
    let from = |second: &Row| {
        let mut missing: BTreeSet<Pair> = all.iter().flat_map(pairs).collect();
        let mut rows = vec![defaults(factors)];
        cover(&rows[0], &mut missing);
        let mut next = Some(second.clone()).filter(|_| !missing.is_empty());
        while let Some(row) = next {
            cover(&row, &mut missing);
            rows.push(row);
            next = best(all.iter().cloned(), &missing).filter(|_| !missing.is_empty());
        }
        rows
    };
    let found = all.iter().map(from).min_by_key(Vec::len);
    found.expect("the defaults are accepted")
}

/// Every row that the template does not refuse.
fn accepted(factors: &[Factor]) -> Vec<Row> {
    let mut rows = vec![Row::new()];
    for factor in factors {
        let longer = |row: &Row, value: &String| [row.as_slice(), slice::from_ref(value)].concat();
        let with_each = |row: Row| factor.values.iter().map(move |value| longer(&row, value));
        rows = rows.into_iter().flat_map(with_each).collect();
    }
    rows.retain(|row| !is_refused(factors, row));
    rows
}

/// The row with most of the missing pairs.
fn best(rows: impl Iterator<Item = Row>, missing: &BTreeSet<Pair>) -> Option<Row> {
    let covered = |row: &Row| missing.iter().filter(|pair| has(row, pair)).count();
    rows.max_by_key(covered)
}

/// Of the compiled profiles, those whose own tests are run: the defaults, and as few as have every other value once.
#[must_use]
pub fn tested(config: &Config) -> BTreeSet<String> {
    let factors = factors(config);
    let rows = rust_rows(&factors);
    let values =
        |row: &Row| -> BTreeSet<(usize, String)> { row.iter().cloned().enumerate().collect() };
    let mut missing: BTreeSet<_> = rows.iter().flat_map(values).collect();
    let mut next = rows.first();
    let mut names = BTreeSet::new();
    while let Some(row) = next.filter(|_| !missing.is_empty()) {
        missing.retain(|value| !values(row).contains(value));
        names.insert(Profile::new(config, &factors, row).name);
        next = rows
            .iter()
            .max_by_key(|row| values(row).intersection(&missing).count());
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

fn pairs(row: &Row) -> impl Iterator<Item = Pair> {
    let pair = |i: usize, j: usize| (i, row[i].clone(), j, row[j].clone());
    (0..row.len()).flat_map(move |j| (0..j).map(move |i| pair(i, j)))
}

fn all_pairs(factors: &[Factor]) -> BTreeSet<Pair> {
    accepted(factors).iter().flat_map(pairs).collect()
}

fn has(row: &Row, (i, a, j, b): &Pair) -> bool {
    row[*i] == *a && row[*j] == *b
}

fn cover(row: &Row, missing: &mut BTreeSet<Pair>) {
    missing.retain(|pair| !has(row, pair));
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
    fn every_pair_of_values_that_makes_a_difference_is_compiled() {
        let factors = factors(&config());
        let mut missing = all_pairs(&factors);
        missing.retain(|(i, _, j, _)| !is_text(&factors[*i]) && !is_text(&factors[*j]));
        assert!(!missing.is_empty());
        for row in rust_rows(&factors) {
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
            for (option, answer) in &profile.answers {
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
