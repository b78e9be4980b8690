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
        let clauses = condition
            .split(" and ")
            .flat_map(|part| part.split(" or "))
            .flat_map(|part| part.split(" && "))
            .flat_map(|part| part.split(" || "));
        for clause in clauses {
            let Some((name, value)) = ["==", "!=", "contains"]
                .iter()
                .find_map(|operator| clause.split_once(operator))
            else {
                return Some(format!("`{clause}` compares nothing"));
            };
            let (name, value) = (name.trim(), value.trim().trim_matches('"'));
            match self.option(name) {
                None => return Some(format!("there is no option `{name}`")),
                Some(option) if !option.choices.iter().any(|choice| choice == value) => {
                    return Some(format!("`{name}` is never `{value}`"));
                }
                Some(_) => {}
            }
        }
        None
    }
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

/// A run of lines that comes and goes with a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    pub condition: String,
    /// The lines as they stand in the output, markers taken off.
    pub text: String,
}

/// The conditional blocks of a marked file, outermost first, and every Liquid tag that is out of place.
#[derive(Debug, Default)]
pub struct Markers {
    pub blocks: Vec<Block>,
    pub problems: Vec<String>,
}

/// Whether a file asks to be rendered.
#[must_use]
pub fn has_markers(text: &str) -> bool {
    text.contains("{% capture body %}") || text.contains("//~{%") || text.contains("#~{%")
}

/// Reads the markers of a file. A tag at the end of a line concerns the lines after it, up to the end of the
/// line that carries the closing tag.
#[must_use]
pub fn markers(text: &str) -> Markers {
    let mut found = Markers::default();
    let mut open: Vec<Block> = Vec::new();
    let mut captured = 0;
    for (number, line) in text.lines().enumerate() {
        let (kept, tags) = split_line(line);
        for block in &mut open {
            block.text.push_str(&kept);
            block.text.push('\n');
        }
        for tag in tags {
            let mut words = tag.splitn(2, ' ');
            match (
                words.next().unwrap_or_default(),
                words.next().unwrap_or_default(),
            ) {
                ("if", condition) => open.push(Block {
                    condition: condition.to_owned(),
                    text: String::new(),
                }),
                ("endif", _) => match open.pop() {
                    Some(block) => found.blocks.push(block),
                    None => found
                        .problems
                        .push(format!("line {}: endif without if", number + 1)),
                },
                ("capture" | "endcapture", _) => captured += 1,
                (other, _) => found
                    .problems
                    .push(format!("line {}: unknown tag `{other}`", number + 1)),
            }
        }
    }
    for block in open {
        found
            .problems
            .push(format!("`if {}` is never closed", block.condition));
    }
    if captured != 2 {
        found
            .problems
            .push("the file is not wrapped in one capture".to_owned());
    }
    found
}

/// Splits a line into what the output keeps of it and the Liquid tags at its end.
fn split_line(line: &str) -> (String, Vec<&str>) {
    let start = [" //~{%", " #~{%"]
        .iter()
        .filter_map(|marker| line.find(marker))
        .min();
    let kept = start.map_or(line, |start| &line[..start]);
    let kept = kept.replacen("//+ ", "", 1).replacen("#+ ", "", 1);
    let mut tags = Vec::new();
    let mut rest = match start {
        Some(start) => &line[start..],
        None => line,
    };
    while let Some((_, after)) = rest.split_once("{%") {
        let Some((tag, after)) = after.split_once("%}") else {
            break;
        };
        tags.push(tag.trim());
        rest = after;
    }
    (kept, tags)
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
                    text: "pub mod websocket;\n".into()
                },
                Block {
                    condition: "false".into(),
                    text: "pub mod raw;\n".into()
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
    fn a_condition_on_an_unknown_option_or_value_is_a_problem() {
        let config = Config {
            options: vec![TemplateOption {
                name: "database".into(),
                default: "sqlite".into(),
                choices: vec!["sqlite".into(), "postgres".into()],
            }],
            include: vec![],
            ignore: vec![],
            hooks: vec![],
            conditionals: vec![],
        };
        let problem = |condition| config.problem_with_condition(condition);
        assert_eq!(problem("database == \"postgres\""), None);
        assert_eq!(problem("false"), None);
        assert!(problem("databse == \"postgres\"").is_some());
        assert!(problem("database == \"postgress\"").is_some());
        assert!(problem("database == \"sqlite\" or database != \"x\"").is_some());
        assert!(problem("database").is_some());
    }
}
