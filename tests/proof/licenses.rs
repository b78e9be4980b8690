//! The licenses of what a service is made of, held against its `deny.toml` as `cargo deny` would.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use spdx::{Expression, ParseMode};
use xtask::process;
use xtask::repo;
use xtask::service;

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    license: Option<String>,
    /// None of the template's own.
    source: Option<String>,
}

#[derive(Deserialize)]
struct Deny {
    licenses: Licenses,
}

#[derive(Deserialize)]
struct Licenses {
    allow: Vec<String>,
    exceptions: Vec<Exception>,
}

#[derive(Deserialize)]
struct Exception {
    #[serde(rename = "crate")]
    name: String,
    allow: Vec<String>,
}

#[test]
fn every_dependency_has_a_license_that_deny_toml_allows() -> Result<()> {
    let template = repo::root().join("template");
    let deny: Deny = toml::from_str(&fs::read_to_string(template.join("deny.toml"))?)?;
    let mut metadata = service::cargo(&template);
    // Of all options at once, as the template itself has them.
    metadata.args(["metadata", "--format-version", "1", "--locked"]);
    let metadata = process::capture(&mut metadata)?;
    let metadata: Metadata = serde_json::from_slice(&metadata.stdout)?;
    let exceptions = deny.licenses.exceptions.iter();
    let exceptions: BTreeMap<_, _> = exceptions
        .map(|exception| (exception.name.as_str(), &exception.allow))
        .collect();
    let foreign = metadata.packages.iter().filter(|p| p.source.is_some());
    let mut seen = 0;
    for package in foreign {
        let name = package.name.as_str();
        let license = package.license.as_deref();
        let license = license.with_context(|| format!("{name} names no license"))?;
        let expression = Expression::parse_mode(license, ParseMode::LAX)?;
        let own = exceptions.get(name).into_iter().copied().flatten();
        let allowed: Vec<&String> = deny.licenses.allow.iter().chain(own).collect();
        let is_allowed = expression.evaluate(|wanted| {
            allowed
                .iter()
                .any(|allowed| **allowed == wanted.to_string())
        });
        ensure!(is_allowed, "{name} is licensed as {license}");
        seen += 1;
    }
    ensure!(seen > 100, "only {seen} dependencies were looked at");
    Ok(())
}
