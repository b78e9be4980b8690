//! The chapters of a project's `docs/deploy.md` about watching the service and about Kubernetes, as its readers type them.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command};

use anyhow::{Context, Result, anyhow, ensure};
use rustix::process::Pid;
use serde_json::Value;
use tempfile::TempDir;

use super::shims::Shims;
use crate::image::{self, Store};
use crate::monitoring::{self, Composed, PATIENCE};
use crate::process;
use crate::suite::Suite;

/// Starts the service and what watches it, sees data in every panel while visitors come, and an alert that fires when the
/// service is stopped and resolves when it is started.
pub fn watched(suite: &mut Suite, store: &Store, project: &Path) -> Result<()> {
    let _cleared = Cleared(store);
    let blocks = store.commands(project, "Watching it")?;
    let [mut start, mut visit, mut break_it, mut mend, mut clear_up] =
        <[Command; 5]>::try_from(blocks)
            .map_err(|blocks| anyhow!("docs/deploy.md has {} blocks, not 5", blocks.len()))?;
    let asked = store.composed();
    fs::write(&asked, "")?;
    process::run(&mut start)?;
    let asked_for = |words: &str| -> Result<()> {
        let said = fs::read_to_string(&asked)?;
        let wanted = format!("--file monitoring/compose.yaml {words}");
        ensure!(
            said.lines().last() == Some(wanted.as_str()),
            "compose: {said}"
        );
        Ok(())
    };
    asked_for("up --detach")?;
    suite.skip(
        "ship: Grafana of monitoring/compose.yaml",
        "its image cannot be fetched here; what its panels ask is asked without it",
    )?;

    let folder = TempDir::new()?;
    let monitoring = project.join("monitoring");
    let servers = Composed::start(&monitoring, folder.path())?;
    let visitors = Visitors::start(&mut visit)?;
    let expressions = monitoring::expressions(&monitoring)?;
    let missing = monitoring::without_data(&servers.prometheus, expressions)?;
    ensure!(missing.is_empty(), "panels without data: {missing:#?}");
    suite.count_one();
    for command in [&mut break_it, &mut mend] {
        println!("$ {}", process::shown(command));
        let output = process::output_within(command, PATIENCE)?;
        print!("{}", String::from_utf8_lossy(&output.stdout));
        ensure!(output.status.success(), "{output:?}");
        suite.count_one();
    }
    drop(visitors);
    process::run(&mut clear_up)?;
    asked_for("down")
}

/// Whatever happens, no container stays.
struct Cleared<'a>(&'a Store);

impl Drop for Cleared<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.0.clear() {
            eprintln!("containers may be left: {error:#}");
        }
    }
}

/// Somebody who asks for pages in another terminal, until dropped.
struct Visitors(Child);

impl Visitors {
    fn start(command: &mut Command) -> Result<Self> {
        println!("$ {} &", process::shown(command));
        Ok(Self(command.process_group(0).spawn()?))
    }
}

impl Drop for Visitors {
    fn drop(&mut self) {
        process::terminate(Pid::from_child(&self.0));
        let _ = self.0.wait();
    }
}

/// Runs the commands about Kubernetes that need no cluster, and names the others.
pub fn without_cluster(suite: &mut Suite, project: &Path) -> Result<()> {
    let mut secrets = 0;
    for block in image::blocks(project, "Kubernetes")? {
        let mut shell = Command::new("bash");
        shell
            .args(["-euo", "pipefail", "-c", &block])
            .current_dir(project);
        if block.starts_with("kubectl kustomize") {
            suite.check(shell)?;
        } else if block.contains("create secret generic") {
            let shims = Shims::new()?;
            shims.write(
                "kubectl",
                &format!(
                    "exec {} \"$@\" --dry-run=client --output json",
                    Shims::real("kubectl")?
                ),
            )?;
            let output = process::capture(shell.env("PATH", shims.path()))?;
            holds_what_pods_need(&serde_json::from_slice(&output.stdout)?, project)?;
            suite.count_one();
            secrets += 1;
        } else {
            let first = block.lines().next().unwrap_or_default();
            suite.skip(
                &format!("ship: `{first}` of docs/deploy.md"),
                "needs a cluster",
            )?;
        }
    }
    ensure!(secrets == 1, "docs/deploy.md makes {secrets} secrets");
    Ok(())
}

/// A Secret made by hand has the same keys as the one that the External Secrets Operator would make.
fn holds_what_pods_need(secret: &Value, project: &Path) -> Result<()> {
    let path = project.join("k8s/components/external-secrets/external-secret.yaml");
    let wanted: Value = serde_yaml_ng::from_str(&fs::read_to_string(path)?)?;
    let wanted = wanted["spec"]["data"].as_array().context("no list")?;
    let wanted: BTreeSet<_> = wanted
        .iter()
        .filter_map(|entry| entry["secretKey"].as_str())
        .collect();
    let data = secret["data"].as_object().context("no data")?;
    let has: BTreeSet<_> = data.keys().map(String::as_str).collect();
    ensure!(has == wanted, "by hand {has:?}, by the operator {wanted:?}");
    Ok(())
}
