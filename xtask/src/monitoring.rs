//! `monitoring/` of a project: what its dashboards ask, and Prometheus and Alertmanager as its `compose.yaml` starts them.
//!
//! Nobody can wait for the hours that the rules speak of, so both read copies of the files in which a minute is a second.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::Value;

use crate::process;
use crate::prometheus::{Server, program};

/// A minute in the shipped files is a second in the copies.
const FASTER: u64 = 60;

/// Panels count what happens in so many seconds.
const WINDOW: &str = "5s";

/// How long something may take to show.
pub const PATIENCE: Duration = Duration::from_mins(2);

/// An expression, and where it stands.
pub type Expression = (String, String);

/// Every dashboard in `monitoring`, by its name.
pub fn dashboards(monitoring: &Path) -> Result<Vec<(String, Value)>> {
    let read = |path: PathBuf| {
        let name = path.file_stem().context("a dashboard has a name")?;
        let text = fs::read_to_string(&path)?;
        Ok((name.display().to_string(), serde_json::from_str(&text)?))
    };
    let files = files(&monitoring.join("grafana/dashboards"))?;
    files.into_iter().map(read).collect()
}

/// The panels of a dashboard that show something.
pub fn panels(dashboard: &Value) -> impl Iterator<Item = &Value> {
    let panels = dashboard["panels"].as_array();
    let panels = panels.into_iter().flatten();
    panels.filter(|panel| panel["type"] != "row")
}

/// What the panels of all dashboards ask, with every variable at *all*.
pub fn expressions(monitoring: &Path) -> Result<Vec<Expression>> {
    let mut found = Vec::new();
    for (name, dashboard) in dashboards(monitoring)? {
        for panel in panels(&dashboard) {
            for target in panel["targets"].as_array().into_iter().flatten() {
                let expression = target["expr"].as_str().context("no expression")?;
                let expression = expression.replace("$__rate_interval", WINDOW);
                let all = [("$job", "app"), ("$namespace", ".*"), ("$instance", ".*")];
                let expression = all
                    .iter()
                    .fold(expression, |text, (name, value)| text.replace(name, value));
                found.push((format!("{name}: {}", panel["title"]), expression));
            }
        }
    }
    Ok(found)
}

/// Which of the expressions never get data from the Prometheus at `address`.
pub fn without_data(address: &str, mut wanted: Vec<Expression>) -> Result<Vec<Expression>> {
    let deadline = Instant::now() + PATIENCE;
    while !wanted.is_empty() && Instant::now() < deadline {
        let mut missing = Vec::new();
        for (place, expression) in wanted {
            let answer = ask(address, &expression).with_context(|| place.clone())?;
            // A rate of nothing, or a ratio without requests, says nothing either.
            if answer.trim().is_empty() || answer.lines().all(|line| line.contains("=> NaN")) {
                missing.push((place, expression));
            }
        }
        wanted = missing;
    }
    Ok(wanted)
}

fn ask(address: &str, expression: &str) -> Result<String> {
    let url = format!("http://{address}");
    let mut query = Command::new(program("promtool")?);
    query.args(["query", "instant", &url, expression]);
    let output = process::capture(&mut query)?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Copies the files of Prometheus and Alertmanager from `monitoring` to `folder`; `edit` has the last word on each text.
pub fn copy_faster(
    monitoring: &Path,
    folder: &Path,
    edit: impl Fn(String) -> String,
) -> Result<()> {
    for part in ["prometheus", "prometheus/rules", "alertmanager"] {
        let copies = folder.join(part);
        fs::create_dir_all(&copies)?;
        for file in files(&monitoring.join(part))? {
            let name = file.file_name().context("a file has a name")?;
            let text = edit(scaled(&fs::read_to_string(&file)?));
            fs::write(copies.join(name), text)?;
        }
    }
    Ok(())
}

/// The files of a folder, without its folders.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    let paths = entries.map(|entry| Ok(entry?.path()));
    let paths: Vec<PathBuf> = paths.collect::<Result<_>>()?;
    Ok(paths.into_iter().filter(|path| path.is_file()).collect())
}

/// Every duration a sixtieth of what it was, in milliseconds.
#[must_use]
pub fn scaled(text: &str) -> String {
    let mut faster = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let end = rest[start..].find(|c: char| !c.is_ascii_digit());
        let end = end.map_or(rest.len(), |length| start + length);
        let seconds = match rest[end..].chars().next() {
            Some('s') => 1,
            Some('m') => 60,
            Some('h') => 3600,
            Some('d') => 86_400,
            _ => 0,
        };
        let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
        let begins = !rest[..start].ends_with(is_word);
        let ends = !rest[end..].chars().nth(1).is_some_and(is_word);
        faster.push_str(&rest[..start]);
        match rest[start..end].parse::<u64>() {
            Ok(number) if seconds > 0 && begins && ends => {
                let millis = number * seconds * 1000 / FASTER;
                faster.push_str(&millis.to_string());
                faster.push_str("ms");
                rest = &rest[end + 1..];
            }
            _ => {
                // The whole word, so that no digit in it begins a duration.
                let length = rest[end..].find(|c| !is_word(c));
                let end = length.map_or(rest.len(), |length| end + length);
                faster.push_str(&rest[start..end]);
                rest = &rest[end..];
            }
        }
    }
    faster + rest
}

/// What of a compose file says how a program is run.
#[derive(Deserialize)]
struct Compose {
    services: BTreeMap<String, Container>,
}

#[derive(Deserialize)]
struct Container {
    #[serde(default)]
    command: Vec<String>,
    #[serde(default)]
    volumes: Vec<String>,
}

/// The servers of `compose.yaml` that are programs here too, gone when dropped.
pub struct Composed {
    /// `127.0.0.1:9090`
    pub prometheus: String,
    _servers: Vec<Server>,
}

impl Composed {
    /// Starts Prometheus and Alertmanager with the arguments that `monitoring/compose.yaml` gives them; what it mounts
    /// lies in `folder`.
    pub fn start(monitoring: &Path, folder: &Path) -> Result<Self> {
        copy_faster(monitoring, folder, |text| text)?;
        let compose = fs::read_to_string(monitoring.join("compose.yaml"))?;
        let compose: Compose = serde_yaml_ng::from_str(&compose)?;
        let mut servers = Vec::new();
        for name in ["alertmanager", "prometheus"] {
            let container = compose.services.get(name);
            let container = container.with_context(|| format!("compose.yaml starts no {name}"))?;
            let arguments = container.arguments(folder);
            let address = arguments
                .iter()
                .find_map(|argument| argument.strip_prefix("--web.listen-address="));
            let address = address.context("it does not say where it listens")?;
            let port = address.rsplit(':').next().unwrap_or_default().parse()?;
            ensure!(address.starts_with("127.0.0.1:"), "{name}: {address}");
            servers.push(Server::start(&program(name)?, &arguments, folder, port)?);
        }
        let prometheus = servers.last().context("two were started")?;
        Ok(Self {
            prometheus: prometheus.address.clone(),
            _servers: servers,
        })
    }
}

impl Container {
    /// Its arguments, with the folders of this machine for those of the container.
    fn arguments(&self, folder: &Path) -> Vec<String> {
        let mounted = |argument: &String| {
            let mounts = self.volumes.iter().filter_map(|volume| {
                let mut parts = volume.split(':');
                Some((parts.next()?, parts.next()?))
            });
            mounts.fold(argument.clone(), |argument, (source, target)| {
                let here = match source.strip_prefix("./") {
                    Some(shipped) => folder.join(shipped),
                    None => folder.join("volumes").join(source),
                };
                argument.replace(&format!("={target}"), &format!("={}", here.display()))
            })
        };
        self.command.iter().map(mounted).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_becomes_a_second_and_names_stay() {
        let rule =
            "record: job:x:rate5m\nexpr: rate(a_total[5m]) > 0.1 and b[3d] offset 1h\nfor: 15s";
        let faster = "record: job:x:rate5m\nexpr: rate(a_total[5000ms]) > 0.1 and b[4320000ms] offset 60000ms\nfor: 250ms";
        assert_eq!(scaled(rule), faster);
    }

    #[test]
    fn what_a_container_mounts_is_found_here() {
        let text = "command: [--a=/etc/x/y.yml, --b=/x, --c=/etc/z]\nvolumes: [\"./x:/etc/x:ro\", \"data:/x\"]";
        let container: Container = serde_yaml_ng::from_str(text).unwrap();
        let arguments = container.arguments(Path::new("/here"));
        assert_eq!(
            arguments,
            ["--a=/here/x/y.yml", "--b=/here/volumes/data", "--c=/etc/z"]
        );
    }
}
