//! What `cargo-generate.toml` promises, and the markers in the files it renders.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use toml::{Table, Value};

/// One question of the template, in the order it is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateOption {
    pub name: String,
    pub default: String,
    /// Empty for free text.
    pub choices: Vec<String>,
    /// Whether any number of choices may be taken; then the default and the answers join them with commas.
    pub many: bool,
}

/// One `[conditional.'expression']` and the paths it leaves out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conditional {
    pub expression: String,
    pub ignore: Vec<String>,
}

/// The parts of `cargo-generate.toml` that can be wrong without cargo-generate saying so.
#[derive(Debug, Clone)]
pub struct Config {
    pub options: Vec<TemplateOption>,
    /// The files that go through Liquid.
    pub include: Vec<String>,
    /// What never ships, if it is there.
    pub ignore: Vec<String>,
    pub hooks: Vec<String>,
    pub conditionals: Vec<Conditional>,
}

impl Config {
    /// Reads the configuration of the template in `source`.
    pub fn read(source: &Path) -> Result<Self> {
        let path = source.join("cargo-generate.toml");
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let table: Table = text
            .parse()
            .with_context(|| format!("{} is not TOML", path.display()))?;
        let mut config = Self {
            options: Vec::new(),
            include: strings(&table, &["template", "include"]),
            ignore: strings(&table, &["template", "ignore"]),
            hooks: Vec::new(),
            conditionals: Vec::new(),
        };
        for stage in ["init", "pre", "post"] {
            config.hooks.extend(strings(&table, &["hooks", stage]));
        }
        for (name, question) in subtable(&table, "placeholders") {
            config.options.push(option(name, question)?);
        }
        for (expression, body) in subtable(&table, "conditional") {
            config.conditionals.push(Conditional {
                expression: expression.clone(),
                ignore: strings_at(body, &["ignore"]),
            });
        }
        Ok(config)
    }

    /// The option called `name`.
    #[must_use]
    pub fn option(&self, name: &str) -> Option<&TemplateOption> {
        self.options.iter().find(|option| option.name == name)
    }

    /// Why `condition` can never mean what it says: an unknown option, or a value the option does not have.
    /// cargo-generate takes both for "false" and says nothing.
    #[must_use]
    pub fn problem_with_condition(&self, condition: &str) -> Option<String> {
        if condition == "false" {
            return None; // a line of the raw template only
        }
        for clause in clauses(condition) {
            let Some((name, value)) = compared(clause) else {
                return Some(format!("`{clause}` compares nothing"));
            };
            match self.option(name) {
                None => return Some(format!("there is no option `{name}`")),
                Some(option) if !option.choices.iter().any(|choice| choice == value) => {
                    return Some(format!("`{name}` is never `{value}`"));
                }
                Some(option) if option.many && !clause.contains("contains") => {
                    return Some(format!("`{name}` is a list: ask what it `contains`"));
                }
                Some(_) => {}
            }
        }
        None
    }
}

/// What a condition joins with "and" or "or".
pub fn clauses(condition: &str) -> impl Iterator<Item = &str> {
    condition
        .split(" and ")
        .flat_map(|part| part.split(" or "))
        .flat_map(|part| part.split(" && "))
        .flat_map(|part| part.split(" || "))
}

/// The option and the value of `a == "b"`, `a contains "b"` (Liquid) or `!a.contains("b")` (Rhai).
fn compared(clause: &str) -> Option<(&str, &str)> {
    let operators = ["==", "!=", ".contains(", " contains "];
    let found = operators
        .iter()
        .find_map(|operator| clause.split_once(operator));
    let (name, value) = found?;
    Some((
        name.trim().trim_start_matches('!'),
        value.trim().trim_end_matches(')').trim_matches('"'),
    ))
}

fn option(name: &str, question: &Value) -> Result<TemplateOption> {
    let Some(default) = question.get("default") else {
        bail!("option `{name}` has no default, so `--silent` cannot leave it out");
    };
    let default = match default {
        Value::String(text) => text.clone(),
        Value::Array(list) => list
            .iter()
            .filter_map(Value::as_str)
            .collect::<Vec<_>>()
            .join(","),
        other => other.to_string(),
    };
    Ok(TemplateOption {
        name: name.to_owned(),
        default,
        choices: strings_at(question, &["choices"]),
        many: question.get("type").and_then(Value::as_str) == Some("array"),
    })
}

fn subtable<'a>(table: &'a Table, key: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    table
        .get(key)
        .and_then(Value::as_table)
        .into_iter()
        .flatten()
}

fn strings(table: &Table, path: &[&str]) -> Vec<String> {
    match table.get(path[0]) {
        Some(value) => strings_at(value, &path[1..]),
        None => Vec::new(),
    }
}

fn strings_at(value: &Value, path: &[&str]) -> Vec<String> {
    let found = path.iter().try_fold(value, |value, key| value.get(key));
    found
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

/// A piece of a file that comes and goes with a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    pub condition: String,
    /// As it stands in the output, with a line break in front and behind if it is whole lines. A variable ends it early.
    pub text: String,
}

/// The conditional blocks of a rendered file, and every Liquid tag that is out of place.
#[derive(Debug, Default)]
pub struct Markers {
    pub blocks: Vec<Block>,
    pub problems: Vec<String>,
}

/// Whether a file asks to be rendered: by markers in comments or, in Markdown, by bare Liquid.
#[must_use]
pub fn has_markers(path: &Path, text: &str) -> bool {
    let bare = path.extension().is_some_and(|extension| extension == "md")
        && ["{{ project-name }}", "{% if ", "{%- if "]
            .iter()
            .any(|liquid| text.contains(liquid));
    bare || text.contains("{% capture body %}") || text.contains("~{%")
}

/// Reads the Liquid tags of a file.
#[must_use]
pub fn markers(text: &str) -> Markers {
    let mut found = Markers::default();
    let mut open: Option<(&str, usize)> = None;
    let mut captured = 0;
    for (start, end, tag) in tags(text) {
        match (tag.split_once(' ').unwrap_or((tag, "")), open) {
            (("if", condition), None) => open = Some((condition, end)),
            (("if", condition), Some((outer, _))) => {
                let problem = format!("`if {condition}` inside `if {outer}`: keep conditions flat");
                found.problems.push(problem);
            }
            (("endif", _), Some((condition, from))) => {
                found.blocks.push(Block {
                    condition: condition.to_owned(),
                    text: as_rendered(&text[from..start]),
                });
                open = None;
            }
            (("capture" | "endcapture", _), _) => captured += 1,
            ((other, _), _) => found.problems.push(format!("`{other}` is out of place")),
        }
    }
    if let Some((condition, _)) = open {
        found
            .problems
            .push(format!("`if {condition}` is never closed"));
    }
    if captured != if text.contains("~{%") { 2 } else { 0 } {
        let problem = "markers in comments need one capture around them, bare Liquid none";
        found.problems.push(problem.to_owned());
    }
    found
}

/// Every `{% tag %}` with where it starts and ends.
fn tags(text: &str) -> impl Iterator<Item = (usize, usize, &str)> {
    text.match_indices("{%").filter_map(|(start, _)| {
        let length = text[start..].find("%}")? + 2;
        let tag = text[start..start + length].trim_matches(['{', '}', '%', '-', ' ']);
        Some((start, start + length, tag))
    })
}

/// The output of a piece of a rendered file, up to the first variable.
fn as_rendered(piece: &str) -> String {
    let mut text = piece.to_owned();
    for marker in [" //~", " #~", "//+ ", "#+ "] {
        text = text.replace(marker, "");
    }
    let whole_lines = text.starts_with('\n');
    let text = text.trim_matches('\n');
    match (text.split_once("{{"), whole_lines) {
        (Some((before, _)), true) => format!("\n{before}"),
        (Some((before, _)), false) => before.to_owned(),
        (None, true) => format!("\n{text}\n"),
        (None, false) => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARKED: &str = "\
//! Modules.{% capture body %}
pub mod db; //~{% if features contains \"websocket\" %}
pub mod websocket; //~{% endif %}{% if false %}
pub mod raw; //~{% endif %}
pub mod http; //~{% endcapture %}{{ body | remove: \" //~\" | remove: \"//+ \" }}
";

    #[test]
    fn a_block_is_the_lines_after_its_marker() {
        let found = markers(MARKED);
        assert!(found.problems.is_empty(), "{:?}", found.problems);
        assert_eq!(
            found.blocks,
            [
                Block {
                    condition: "features contains \"websocket\"".into(),
                    text: "\npub mod websocket;\n".into()
                },
                Block {
                    condition: "false".into(),
                    text: "\npub mod raw;\n".into()
                },
            ]
        );
    }

    #[test]
    fn a_block_left_open_is_a_problem() {
        let broken = MARKED.replacen("{% endif %}", "", 1);
        assert!(!markers(&broken).problems.is_empty());
    }

    #[test]
    fn markdown_may_hold_bare_liquid_within_a_line() {
        let found = markers("Run it{% if frontend == \"pages\" %} and look{% endif %}.\n");
        assert!(found.problems.is_empty(), "{:?}", found.problems);
        assert_eq!(found.blocks[0].text, " and look");
    }

    #[test]
    fn a_condition_inside_a_condition_is_a_problem() {
        let nested = MARKED.replacen("{% endif %}{% if false %}", "{% if false %}", 1);
        assert!(!markers(&nested).problems.is_empty());
    }

    #[test]
    fn a_condition_on_an_unknown_option_or_value_is_a_problem() {
        let option = |name: &str, choices: &[&str], many| TemplateOption {
            name: name.into(),
            default: String::new(),
            choices: choices.iter().map(|&choice| choice.into()).collect(),
            many,
        };
        let config = Config {
            options: vec![
                option("database", &["sqlite", "postgres"], false),
                option("features", &["redis"], true),
            ],
            include: vec![],
            ignore: vec![],
            hooks: vec![],
            conditionals: vec![],
        };
        let problem = |condition| config.problem_with_condition(condition);
        assert_eq!(problem("database == \"postgres\""), None);
        assert_eq!(problem("false"), None);
        assert_eq!(problem("features contains \"redis\""), None);
        assert_eq!(problem("!features.contains(\"redis\")"), None);
        assert!(problem("!features.contains(\"rediss\")").is_some());
        assert!(problem("features == \"redis\"").is_some());
        assert!(problem("databse == \"postgres\"").is_some());
        assert!(problem("database == \"postgress\"").is_some());
        assert!(problem("database == \"sqlite\" or database != \"x\"").is_some());
        assert!(problem("database").is_some());
    }
}
