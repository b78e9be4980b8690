//! The ports in the manifests, against those on which the process in the pod really listens.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::pod::{Pod, array, find, name, rendered, text};
use crate::service;

/// How Linux writes that a socket listens.
const LISTENS: &str = "0A";

impl Pod<'_> {
    /// Fails unless the container, the Service, the policy and the monitor of every overlay mean what the process listens
    /// on, and Prometheus would get its metrics there.
    pub fn listens_where_it_is_said(&self, project: &Path) -> Result<()> {
        let listening = listening(&self.pid()?)?;
        println!("It listens on {listening:?}.");
        let mut monitors = 0;
        for overlay in ["development", "staging", "production"] {
            let manifests = rendered(&project.join("k8s/overlays").join(overlay))?;
            let ports = ports(&manifests)?;
            ensure!(
                ports.values().copied().collect::<BTreeSet<_>>() == listening,
                "in {overlay} the container has {ports:?}"
            );
            let asked = refer_to(&ports, &manifests).context(overlay)?;
            for (port, path) in &asked {
                let here = self.ports.get(port).context("it was published")?;
                let answer = service::get(&format!("127.0.0.1:{here}"), path)?;
                ensure!(
                    answer.status == 200 && answer.text.contains("\nbuild_info{"),
                    "{port} has no metrics at {path}: {}",
                    answer.text
                );
            }
            monitors += asked.len();
        }
        ensure!(monitors == 2, "{monitors} overlays are monitored, not 2");
        Ok(())
    }
}

/// The TCP ports on which the process `pid` listens, for every address.
fn listening(pid: &str) -> Result<BTreeSet<u16>> {
    let mut own = BTreeSet::new();
    for descriptor in fs::read_dir(format!("/proc/{pid}/fd"))? {
        // Files come and go meanwhile.
        if let Ok(target) = fs::read_link(descriptor?.path()) {
            own.insert(target.display().to_string());
        }
    }
    let mut ports = BTreeSet::new();
    for table in ["tcp", "tcp6"] {
        let sockets = fs::read_to_string(format!("/proc/{pid}/net/{table}"))?;
        for line in sockets.lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [_, local, _, state, _, _, _, _, _, inode, ..] = fields[..] else {
                continue;
            };
            if state != LISTENS || !own.contains(&format!("socket:[{inode}]")) {
                continue;
            }
            let (address, port) = local.split_once(':').context("an address has a port")?;
            let is_any = address.bytes().all(|digit| digit == b'0');
            ensure!(is_any, "{local} is not reached from outside the pod");
            ports.insert(u16::from_str_radix(port, 16)?);
        }
    }
    Ok(ports)
}

/// The ports of the container, by their names.
fn ports(manifests: &[Value]) -> Result<BTreeMap<String, u16>> {
    let workload = find(manifests, &["Deployment", "StatefulSet"])?;
    let container = &workload["spec"]["template"]["spec"]["containers"][0];
    let ports = array(&container["ports"]).map(|port| {
        let number = port["containerPort"].as_u64().context("no number")?;
        Ok((text(&port["name"]).to_owned(), number.try_into()?))
    });
    ports.collect()
}

/// Fails unless everything that names a port of the pods names one of `ports`, and says which of them Prometheus asks for
/// which path.
fn refer_to(ports: &BTreeMap<String, u16>, manifests: &[Value]) -> Result<Vec<(String, String)>> {
    let all: BTreeSet<&str> = ports.keys().map(String::as_str).collect();
    let service = find(manifests, &["Service"])?;
    let served: BTreeMap<&str, &str> = array(&service["spec"]["ports"])
        .map(|port| (text(&port["name"]), text(&port["targetPort"])))
        .collect();
    let targets: BTreeSet<&str> = served.values().copied().collect();
    ensure!(targets == all, "the Service leads to {targets:?}");
    let policies = manifests.iter();
    let policy = policies
        .filter(|one| text(&one["kind"]) == "NetworkPolicy")
        .find(|one| name(one) == "app");
    let policy = policy.context("there is no policy for the pods")?;
    let open: BTreeSet<&str> = array(&policy["spec"]["ingress"])
        .flat_map(|rule| array(&rule["ports"]))
        .map(|port| text(&port["port"]))
        .collect();
    ensure!(open == all, "the NetworkPolicy opens {open:?}");
    let Ok(monitor) = find(manifests, &["ServiceMonitor"]) else {
        return Ok(Vec::new());
    };
    let endpoints = array(&monitor["spec"]["endpoints"]).map(|endpoint| {
        let port = text(&endpoint["port"]);
        let target = served.get(port);
        let target = target.with_context(|| format!("the Service has no port {port}"))?;
        Ok(((*target).to_owned(), text(&endpoint["path"]).to_owned()))
    });
    endpoints.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Manifests in which the Service leads to, the policy opens, and Prometheus asks these ports.
    fn manifests(target: &str, open: &str, asked: &str) -> Vec<Value> {
        let app = json!({ "name": "app" });
        vec![
            json!({ "kind": "Service", "metadata": app, "spec": { "ports": [
                { "name": "http", "targetPort": "http" },
                { "name": "metrics", "targetPort": target },
            ] } }),
            json!({ "kind": "NetworkPolicy", "metadata": app, "spec": { "ingress": [
                { "ports": [{ "port": "http" }] },
                { "ports": [{ "port": open }] },
            ] } }),
            json!({ "kind": "ServiceMonitor", "metadata": app, "spec": { "endpoints": [
                { "port": asked, "path": "/metrics" },
            ] } }),
        ]
    }

    #[test]
    fn a_port_that_the_pods_do_not_have_is_noticed() {
        let ports = [("http".to_owned(), 8080), ("operator".to_owned(), 2112)].into();
        let asked = refer_to(&ports, &manifests("operator", "operator", "metrics")).unwrap();
        assert_eq!(asked, [("operator".to_owned(), "/metrics".to_owned())]);
        for (target, open, asked) in [
            ("oprator", "operator", "metrics"),
            ("operator", "http", "metrics"),
            ("operator", "operator", "operator"),
        ] {
            let wrong = manifests(target, open, asked);
            assert!(refer_to(&ports, &wrong).is_err(), "{target} {open} {asked}");
        }
    }
}
