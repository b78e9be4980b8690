//! The manifests against each other and against the service: names, labels, ports, addresses, settings.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use axle_tests::Workshop;
use serde_yaml_ng::{Deserializer, Value};
use xtask::generate::Tool;
use xtask::process;
use xtask::suite;
use xtask::tools;

const OVERLAYS: [&str; 3] = ["development", "staging", "production"];

/// Every kind of manifest there is: the answers that make a difference in them.
const ANSWERS: [(&str, &str); 4] = [
    ("sqlite", "auth"),
    ("sqlite", "redis"),
    ("postgres", ""),
    ("postgres", "auth,otel,redis"),
];

#[test]
fn what_the_manifests_name_exists() -> Result<()> {
    if tools::on_path(&["kubectl"]).is_none() {
        suite::skip("what_the_manifests_name_exists", "kubectl is not installed");
        return Ok(());
    }
    for (number, (database, features)) in ANSWERS.into_iter().enumerate() {
        let workshop = Workshop::new();
        let answers = [("database", database), ("features", features)];
        let name = format!("shop_{number}"); // an underscore, which no name in Kubernetes may have
        let project = workshop.generate(&Tool::Library, &name, &answers)?;
        for overlay in OVERLAYS {
            let manifests = Manifests::rendered(&project.join("k8s/overlays").join(overlay))?;
            let check = check(&manifests, &project, database);
            check.with_context(|| format!("{database} {features:?} in {overlay}"))?;
        }
    }
    Ok(())
}

fn check(manifests: &Manifests, project: &Path, database: &str) -> Result<()> {
    let kind = if database == "sqlite" {
        "StatefulSet"
    } else {
        "Deployment"
    };
    let workload = manifests.get(kind, "app")?;
    ports_are_those_of_the_service(workload, project)?;
    probes_ask_for_what_is_there(workload)?;
    selectors_find_the_pods_and_no_others(manifests, workload)?;
    what_is_referred_to_is_there(manifests, workload)?;
    variables_are_settings(manifests, project)
}

fn ports_are_those_of_the_service(workload: &Value, project: &Path) -> Result<()> {
    let settings = fs::read_to_string(project.join("config/default.toml"))?;
    let settings: toml::Table = settings.parse()?;
    let ports = container(workload)["ports"].as_sequence();
    for (name, section) in [("http", "server"), ("operator", "operator")] {
        let listens = settings[section]["port"].as_integer();
        let port = ports
            .into_iter()
            .flatten()
            .find(|port| text(&port["name"]) == name);
        let port = port.with_context(|| format!("the pod has no port {name}"))?;
        ensure!(
            port["containerPort"].as_i64() == listens,
            "{section} listens on {listens:?}, and the pod says {port:?}"
        );
    }
    Ok(())
}

fn probes_ask_for_what_is_there(workload: &Value) -> Result<()> {
    for (probe, path) in [
        ("startupProbe", "/health/live"),
        ("livenessProbe", "/health/live"),
        ("readinessProbe", "/health/ready"),
    ] {
        let asks = &container(workload)[probe]["httpGet"];
        ensure!(
            text(&asks["path"]) == path && text(&asks["port"]) == "http",
            "{probe} asks for {asks:?}"
        );
    }
    Ok(())
}

/// The Service, the budget and the workload mean the same pods; the pods of the migration and of a database in the
/// cluster are not among them.
fn selectors_find_the_pods_and_no_others(manifests: &Manifests, workload: &Value) -> Result<()> {
    let labels = &workload["spec"]["template"]["metadata"]["labels"];
    let service = manifests.get("Service", "app")?;
    let mut selectors = vec![
        &service["spec"]["selector"],
        &workload["spec"]["selector"]["matchLabels"],
    ];
    if let Ok(budget) = manifests.get("PodDisruptionBudget", "app") {
        selectors.push(&budget["spec"]["selector"]["matchLabels"]);
    }
    for other in manifests.all.iter().filter(|other| *other != workload) {
        let theirs = &other["spec"]["template"]["metadata"]["labels"];
        for selector in &selectors {
            let found = theirs.is_mapping() && selects(selector, theirs);
            ensure!(!found, "{selector:?} finds the pods of {}", name(other));
        }
    }
    for selector in selectors {
        ensure!(selects(selector, labels), "{selector:?} misses {labels:?}");
    }
    Ok(())
}

fn what_is_referred_to_is_there(manifests: &Manifests, workload: &Value) -> Result<()> {
    let service = manifests.get("Service", "app")?;
    for port in service["spec"]["ports"].as_sequence().into_iter().flatten() {
        let target = text(&port["targetPort"]);
        let ports = container(workload)["ports"].as_sequence();
        let found = ports
            .into_iter()
            .flatten()
            .any(|port| text(&port["name"]) == target);
        ensure!(found, "the Service goes to a port {target}");
    }
    if let Ok(scaler) = manifests.get("HorizontalPodAutoscaler", "app") {
        let target = &scaler["spec"]["scaleTargetRef"];
        manifests.get(text(&target["kind"]), text(&target["name"]))?;
    }
    if let Ok(ingress) = manifests.get("Ingress", "app") {
        let backend = &ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"];
        let ports = manifests.get("Service", text(&backend["name"]))?["spec"]["ports"].clone();
        ensure!(
            ports[0]["name"] == backend["port"]["name"],
            "the Ingress goes to {backend:?}"
        );
        let spec = &ingress["spec"];
        ensure!(
            spec["tls"][0]["hosts"][0] == spec["rules"][0]["host"],
            "the certificate is for another host"
        );
    }
    for source in container(workload)["envFrom"]
        .as_sequence()
        .into_iter()
        .flatten()
    {
        for (reference, kinds) in [
            ("configMapRef", &["ConfigMap"][..]),
            ("secretRef", &["Secret", "ExternalSecret"]),
        ] {
            if source[reference].is_mapping() {
                let wanted = text(&source[reference]["name"]);
                let found = kinds.iter().any(|kind| manifests.get(kind, wanted).is_ok());
                ensure!(found, "there is no {reference} {wanted}");
            }
        }
    }
    Ok(())
}

/// A setting nobody knows stops the start of the service.
fn variables_are_settings(manifests: &Manifests, project: &Path) -> Result<()> {
    let settings = fs::read_to_string(project.join("config/default.toml"))?;
    let short = ["DATABASE_URL", "REDIS_URL", "RUST_LOG", "PORT"];
    for variable in manifests.variables() {
        let Some(path) = variable.strip_prefix("APP__") else {
            ensure!(short.contains(&variable.as_str()), "what is {variable}?");
            continue;
        };
        let path = path.to_lowercase();
        let (section, key) = path.split_once("__").context("a section and a key")?;
        let known = settings
            .split("\n[")
            .filter(|part| part.starts_with(&format!("{section}]")))
            .flat_map(str::lines)
            .any(|line| {
                line.trim_start_matches("# ")
                    .starts_with(&format!("{key} ="))
            });
        ensure!(known, "config/default.toml has no {section}.{key}");
    }
    Ok(())
}

/// What an overlay renders to.
struct Manifests {
    all: Vec<Value>,
}

impl Manifests {
    fn rendered(overlay: &Path) -> Result<Self> {
        let output = process::capture(Command::new("kubectl").arg("kustomize").arg(overlay))?;
        let text = String::from_utf8(output.stdout)?;
        let all = Deserializer::from_str(&text)
            .map(serde::Deserialize::deserialize)
            .collect::<Result<_, _>>()?;
        Ok(Self { all })
    }

    fn get(&self, kind: &str, wanted: &str) -> Result<&Value> {
        let found = self
            .all
            .iter()
            .find(|one| text(&one["kind"]) == kind && name(one) == wanted);
        found.with_context(|| format!("there is no {kind} {wanted}"))
    }

    /// The names of all variables the service gets.
    fn variables(&self) -> Vec<String> {
        let mut names = Vec::new();
        for one in &self.all {
            if ["ConfigMap", "Secret"].contains(&text(&one["kind"])) {
                let data: BTreeMap<String, Value> =
                    serde_yaml_ng::from_value(one["data"].clone()).unwrap_or_default();
                names.extend(data.into_keys());
            }
            if text(&one["kind"]) == "ExternalSecret" {
                let data = one["spec"]["data"].as_sequence();
                let keys = data.into_iter().flatten();
                names.extend(keys.map(|entry| text(&entry["secretKey"]).to_owned()));
            }
        }
        names
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn name(manifest: &Value) -> &str {
    text(&manifest["metadata"]["name"])
}

fn container(workload: &Value) -> &Value {
    &workload["spec"]["template"]["spec"]["containers"][0]
}

fn selects(selector: &Value, labels: &Value) -> bool {
    selector.as_mapping().is_some_and(|wanted| {
        !wanted.is_empty()
            && wanted
                .iter()
                .all(|(key, value)| labels.get(key) == Some(value))
    })
}
