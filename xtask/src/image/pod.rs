//! The pod of a project's manifests, run by podman as a cluster would run it.
//!
//! podman knows no `StatefulSet`, and wants a shell in the image for a probe. So the pod is handed over in a Deployment,
//! whatever it came in, and what the probes ask is asked from outside.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::{Value, json};
use serde_yaml_ng::Deserializer;

use super::{PATIENCE, Store};
use crate::postgres::free_port;
use crate::process;
use crate::service;

/// What podman makes of the names of a workload and its container, both `app`.
const POD: &str = "app-pod-0";
const CONTAINER: &str = "app-pod-0-app";

/// The pod of the migration.
const MIGRATION: &str = "app-migration";

/// In a pod, this machine.
pub const HOST: &str = "10.0.2.2";

/// A running pod, gone with its volumes when dropped.
pub struct Pod<'a> {
    store: &'a Store,
    manifest: PathBuf,
    migration: PathBuf,
    /// The names of what `podman play kube --down` leaves behind.
    secret: String,
    volumes: Vec<String>,
    /// The ports of this machine that lead to those of the container, by their names.
    pub(super) ports: BTreeMap<String, u16>,
    /// What each probe asks: a port of this machine and a path.
    probes: Vec<(u16, String)>,
    /// As whom the manifest wants it to run.
    user: u64,
}

impl Store {
    /// Starts the pod of the manifests for development with the image `tag`, after the migration where there is one, and
    /// waits until its probes are content. What the rest of the cluster would be is told by `env`.
    pub fn play(&self, project: &Path, tag: &str, env: &[(&str, String)]) -> Result<Pod<'_>> {
        let manifests = rendered(&project.join("k8s/overlays/development"))?;
        let workload = find(&manifests, &["Deployment", "StatefulSet"])?;
        let (claims, mut template) = with_claims(workload);
        let container = &mut template["spec"]["containers"][0];
        set_up(container, tag, env);
        let ports = publish(container)?;
        let probes = take_probes(container, &ports)?;
        let user = template["spec"]["securityContext"]["runAsUser"].as_u64();
        let selector = &workload["spec"]["selector"];
        let deployment = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "app" },
            "spec": { "replicas": 1, "selector": selector, "template": template },
        });
        let settings = find(&manifests, &["ConfigMap"])?;
        let secret = find(&manifests, &["Secret"])?;
        let documents = claims.iter().chain([settings, &deployment]);
        self.write("pod.yaml", &joined(documents))?;
        let mut data = secret["data"].clone();
        for (name, _) in env {
            // podman lets a secret have the last word, Kubernetes the setting.
            data.as_object_mut().and_then(|data| data.remove(*name));
        }
        self.write("secret.json", &data.to_string())?;
        let pod = Pod {
            store: self,
            manifest: self.folder.join("pod.yaml"),
            migration: self.folder.join("migration.yaml"),
            secret: name(secret).to_owned(),
            volumes: claims.iter().map(|claim| name(claim).to_owned()).collect(),
            ports,
            probes,
            user: user.context("the pod may run as anybody")?,
        };
        // Of a run that was killed.
        pod.remove();
        let data = self.folder.join("secret.json");
        let mut create = self.command("podman");
        create.args(["secret", "create", &pod.secret]);
        process::capture(create.arg(data))?;
        if let Ok(job) = find(&manifests, &["Job"]) {
            let mut template = job["spec"]["template"].clone();
            set_up(&mut template["spec"]["containers"][0], tag, env);
            let migration = json!({
                "apiVersion": "v1", "kind": "Pod", "metadata": { "name": MIGRATION },
                "spec": template["spec"],
            });
            self.write(
                "migration.yaml",
                &joined([settings, &migration].into_iter()),
            )?;
            pod.migrate()?;
        }
        pod.start(&pod.manifest)?;
        pod.wait_for_probes()?;
        Ok(pod)
    }
}

/// Gives a container its image, and settings of its own.
fn set_up(container: &mut Value, tag: &str, env: &[(&str, String)]) {
    container["image"] = tag.into();
    let env = env.iter();
    container["env"] = env
        .map(|(name, value)| json!({ "name": name, "value": value }))
        .collect();
}

fn joined<'a>(documents: impl Iterator<Item = &'a Value>) -> String {
    let documents: Vec<String> = documents.map(Value::to_string).collect();
    documents.join("\n---\n")
}

/// The template of a workload's pods, and the claims that a `StatefulSet` would make for its volumes.
fn with_claims(workload: &Value) -> (Vec<Value>, Value) {
    let mut template = workload["spec"]["template"].clone();
    let mut claims = Vec::new();
    for claim in array(&workload["spec"]["volumeClaimTemplates"]) {
        let name = name(claim);
        let volume = json!({ "name": name, "persistentVolumeClaim": { "claimName": name } });
        if let Some(volumes) = template["spec"]["volumes"].as_array_mut() {
            volumes.push(volume);
        }
        claims.push(json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": claim["metadata"], "spec": claim["spec"],
        }));
    }
    (claims, template)
}

impl Pod<'_> {
    fn podman(&self, words: &[&str]) -> Result<String> {
        let mut podman = self.store.command("podman");
        let output = process::capture(podman.args(words))?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    fn start(&self, manifest: &Path) -> Result<()> {
        let mut play = self.store.command("podman");
        play.args(["play", "kube", "--network"])
            .arg("slirp4netns:allow_host_loopback=true")
            .arg(manifest);
        process::capture(&mut play)?;
        Ok(())
    }

    /// Runs the migration to its end.
    fn migrate(&self) -> Result<()> {
        self.start(&self.migration)?;
        let container = format!("{MIGRATION}-app");
        let code = self.podman(&["wait", &container])?;
        let mut logs = self.store.command("podman");
        let logs = process::capture(logs.args(["logs", &container]))?;
        let said = String::from_utf8_lossy(&logs.stderr);
        ensure!(code == "0", "the migration ended with {code}:\n{said}");
        println!("{}", said.lines().last().unwrap_or_default());
        Ok(())
    }

    fn wait_for_probes(&self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        for (port, path) in &self.probes {
            loop {
                process::check_interrupt()?;
                let last = match service::get(&format!("127.0.0.1:{port}"), path) {
                    Ok(answer) if answer.status == 200 => break,
                    Ok(answer) => answer.text,
                    Err(error) => format!("{error:#}"),
                };
                if Instant::now() > deadline {
                    bail!("the pod is not well: {path}: {last}\n{}", self.logs()?);
                }
                thread::sleep(Duration::from_millis(20));
            }
        }
        Ok(())
    }

    /// What the service said on its standard error.
    pub fn logs(&self) -> Result<String> {
        let mut logs = self.store.command("podman");
        let output = process::capture(logs.args(["logs", CONTAINER]))?;
        Ok(String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// The process of the service, as this machine counts.
    pub(super) fn pid(&self) -> Result<String> {
        self.podman(&["inspect", "--format", "{{.State.Pid}}", CONTAINER])
    }

    /// Fails unless the kernel holds the service to what the manifest says of it.
    pub fn examine(&self) -> Result<()> {
        let pid = self.pid()?;
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or_default().split_whitespace().next()
        };
        let user = self.user.to_string();
        for (name, wanted) in [
            ("Uid:", user.as_str()),
            ("CapEff:", "0000000000000000"),
            ("NoNewPrivs:", "1"),
            ("Seccomp:", "2"),
        ] {
            ensure!(line(name) == Some(wanted), "{name} {:?}", line(name));
        }
        let root = self.podman(&[
            "inspect",
            "--format",
            "{{.HostConfig.ReadonlyRootfs}}",
            CONTAINER,
        ])?;
        ensure!(root == "true", "its root can be written");
        Ok(())
    }

    /// Sends SIGTERM, waits for the end and says with which code it came.
    pub fn stop(&self) -> Result<i32> {
        self.podman(&["pod", "stop", "--time", "60", POD])?;
        let code = self.podman(&["inspect", "--format", "{{.State.ExitCode}}", CONTAINER])?;
        code.parse().context("the exit code is a number")
    }

    /// What is gone already needs no word.
    fn remove(&self) {
        for manifest in [&self.manifest, &self.migration] {
            let _ = self.podman(&["play", "kube", "--down", &manifest.to_string_lossy()]);
        }
        let _ = self.podman(&["secret", "rm", &self.secret]);
        for volume in &self.volumes {
            let _ = self.podman(&["volume", "rm", volume]);
        }
    }
}

impl Drop for Pod<'_> {
    fn drop(&mut self) {
        self.remove();
    }
}

pub(super) fn rendered(overlay: &Path) -> Result<Vec<Value>> {
    let output = process::capture(Command::new("kubectl").arg("kustomize").arg(overlay))?;
    let text = String::from_utf8(output.stdout)?;
    let manifests = Deserializer::from_str(&text).map(Value::deserialize);
    Ok(manifests.collect::<Result<_, _>>()?)
}

/// The first of one of these kinds; that of the service, where there are several.
pub(super) fn find<'a>(manifests: &'a [Value], kinds: &[&str]) -> Result<&'a Value> {
    let found = manifests.iter().find(|manifest| {
        let name = name(manifest);
        kinds.contains(&text(&manifest["kind"])) && (name == "app" || name.starts_with("app-"))
    });
    found.with_context(|| format!("the manifests have no {kinds:?}"))
}

/// Gives each port of the container one of this machine.
fn publish(container: &mut Value) -> Result<BTreeMap<String, u16>> {
    let mut ports = BTreeMap::new();
    let all = container["ports"].as_array_mut();
    for port in all.into_iter().flatten() {
        let free = free_port()?;
        ports.insert(text(&port["name"]).to_owned(), free);
        port["hostIP"] = "127.0.0.1".into();
        port["hostPort"] = free.into();
    }
    Ok(ports)
}

fn take_probes(container: &mut Value, ports: &BTreeMap<String, u16>) -> Result<Vec<(u16, String)>> {
    let mut probes = Vec::new();
    for name in ["startupProbe", "readinessProbe", "livenessProbe"] {
        let probe = container[name].take();
        let asks = &probe["httpGet"];
        let port = ports.get(text(&asks["port"]));
        let port = port.with_context(|| format!("the {name} asks {asks}"))?;
        probes.push((*port, text(&asks["path"]).to_owned()));
    }
    Ok(probes)
}

pub(super) fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

pub(super) fn name(manifest: &Value) -> &str {
    text(&manifest["metadata"]["name"])
}

pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
