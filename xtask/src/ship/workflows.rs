//! The workflows: what GitHub would say of them, and their `run:` steps run here, in order, as GitHub runs them.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_yaml_ng::Value;
use tempfile::TempDir;

use super::shims::Shims;
use crate::process;
use crate::repo;
use crate::suite::Suite;
use crate::tools;

/// What other steps of the suite run as it stands, with the name of the step.
const ELSEWHERE: [(&str, &str); 5] = [
    (
        "scripts/check",
        "proof: every combination builds, tests and serves",
    ),
    (
        "scripts/test",
        "proof: every combination builds, tests and serves",
    ),
    ("scripts/contract", "contract: the API and its document"),
    ("scripts/image", "ship: the image of the default service"),
    ("scripts/lint", "ship: scripts, workflows and manifests"),
];

/// What begins like this is not run, and why.
const SKIPPED: [(&str, &str); 3] = [
    (
        "rustup toolchain install",
        "fetches a compiler; the suite has one",
    ),
    (
        "scripts/coverage",
        "installs cargo-llvm-cov, and compiles and tests everything once more: 10 minutes",
    ),
    (
        "scripts/dependencies",
        "installs cargo-deny: 10 minutes, and asks for known holes; cargo machete runs without it",
    ),
];

const REPOSITORY: &str = "Example/Shop";
const TAG: &str = "v1.2.3";
const COMMIT: &str = "5c0ffee000000000000000000000000000000000";
const DIGEST: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000001";

/// A step that is a script.
struct Step {
    id: Option<String>,
    run: String,
    env: BTreeMap<String, String>,
}

struct Job {
    /// `cd.yml: image`
    place: String,
    name: String,
    steps: Vec<Step>,
    outputs: BTreeMap<String, String>,
}

/// Every job of the workflows in `folder`, with those of its steps that are scripts.
fn jobs(folder: &Path) -> Result<Vec<Job>> {
    let mut jobs = Vec::new();
    for path in files(folder)? {
        let file = path.file_name().unwrap_or_default().display().to_string();
        let workflow: Value = serde_yaml_ng::from_str(&fs::read_to_string(&path)?)?;
        for (name, job) in workflow["jobs"].as_mapping().into_iter().flatten() {
            let name = name.as_str().context("a job has a name")?;
            let steps = job["steps"].as_sequence().into_iter().flatten();
            let steps = steps.filter_map(|step| {
                let mut env = texts(&workflow["env"]);
                env.extend(texts(&job["env"]));
                env.extend(texts(&step["env"]));
                Some(Step {
                    id: step["id"].as_str().map(str::to_owned),
                    run: step["run"].as_str()?.trim().to_owned(),
                    env,
                })
            });
            jobs.push(Job {
                place: format!("{file}: {name}"),
                name: name.to_owned(),
                steps: steps.collect(),
                outputs: texts(&job["outputs"]),
            });
        }
    }
    Ok(jobs)
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let files = repo::files_below(folder)?;
    ensure!(!files.is_empty(), "{} has none", folder.display());
    Ok(files.iter().map(|file| folder.join(file)).collect())
}

fn texts(map: &Value) -> BTreeMap<String, String> {
    let entries = map.as_mapping().into_iter().flatten();
    entries
        .filter_map(|(name, value)| Some((name.as_str()?.to_owned(), value.as_str()?.to_owned())))
        .collect()
}

/// Holds workflows against GitHub's own language service, and their scripts against the shellcheck in `linters`.
pub fn linted(suite: &mut Suite, folders: &[PathBuf], linters: &Path) -> Result<()> {
    for folder in folders {
        for job in jobs(folder)? {
            for step in job.steps {
                no_complaint(&linters.join("bin/shellcheck"), &step.run)
                    .with_context(|| format!("{}: `{}`", job.place, step.run))?;
            }
        }
    }
    suite.count_one();
    if tools::on_path(&["npm"]).is_none() {
        return suite.skip("ship: semantics of workflows", "npm is not installed");
    }
    let scripts = repo::root().join("tests/workflows");
    process::run(&mut tools::npm_ci(&scripts))?;
    process::run(
        Command::new("npm")
            .args(["run", "--silent", "build"])
            .current_dir(&scripts),
    )?;
    let mut check = Command::new("node");
    check.arg("node_modules/check.mjs").current_dir(&scripts);
    for folder in folders {
        check.args(files(folder)?);
    }
    suite.check(check)
}

fn no_complaint(shellcheck: &Path, script: &str) -> Result<()> {
    let mut child = Command::new(shellcheck)
        .args(["--shell=bash", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut input = child.stdin.take().context("it has an input")?;
    input.write_all(script.as_bytes())?;
    drop(input);
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{said}");
    Ok(())
}

/// Runs the steps of all workflows in `project`, which is deployed to `url`: docker, cosign, gh and kubectl only write down
/// what they are asked for.
pub fn executed(suite: &mut Suite, project: &Path, url: &str) -> Result<()> {
    let shims = stand_ins()?;
    let mut runner = Runner::new(&shims, project, url)?;
    let mut skipped = Vec::new();
    for job in jobs(&project.join(".github/workflows"))? {
        let mut steps = BTreeMap::new();
        for step in &job.steps {
            let run = &step.run;
            let place = format!(
                "{}: `{}`",
                job.place,
                run.lines().next().unwrap_or_default()
            );
            if let Some((_, other)) = ELSEWHERE.iter().find(|(script, _)| script == run) {
                println!("{place} is run by {other:?}");
            } else if let Some((_, reason)) =
                SKIPPED.iter().find(|(begin, _)| run.starts_with(begin))
            {
                if !skipped.contains(run) {
                    suite.skip(&format!("workflows: {place}"), reason)?;
                    skipped.push(run.clone());
                }
            } else {
                println!("{place}");
                let outputs = runner.run(step).context(place)?;
                if let Some(id) = &step.id {
                    steps.extend(
                        outputs
                            .into_iter()
                            .map(|(name, value)| (format!("steps.{id}.outputs.{name}"), value)),
                    );
                    runner.context.extend(steps.clone());
                }
                suite.count_one();
            }
        }
        for (name, value) in &job.outputs {
            let value = runner.evaluated(value)?;
            let name = format!("needs.{}.outputs.{name}", job.name);
            runner.context.insert(name, value);
        }
        for name in steps.keys() {
            runner.context.remove(name);
        }
    }
    asked_for_the_right_things(&shims.asked())
}

fn stand_ins() -> Result<Shims> {
    let shims = Shims::new()?;
    let digest = format!("case \"$*\" in *inspect*) echo '\"{DIGEST}\"' ;; esac");
    shims.record("docker", &digest)?;
    shims.record("cosign", "")?;
    shims.record("gh", "")?;
    let kubectl = Shims::real("kubectl")?;
    let render = format!("if [ \"$1\" = kustomize ]; then exec {kubectl} \"$@\"; fi");
    shims.record("kubectl", &render)?;
    Ok(shims)
}

/// What is built is joined; what is joined is signed, and released once it runs.
fn asked_for_the_right_things(asked: &[String]) -> Result<()> {
    let image = "ghcr.io/example/shop";
    let machine = process::capture(Command::new("uname").arg("-m"))?;
    let machine = String::from_utf8(machine.stdout)?;
    let mut left = asked.iter();
    for wanted in [
        format!(
            "docker buildx build --push --tag {image}:{COMMIT}-{} ",
            machine.trim()
        ),
        format!(
            "docker buildx imagetools create --tag {image}:{TAG} {image}:{COMMIT}-x86_64 {image}:{COMMIT}-aarch64"
        ),
        format!("cosign sign --yes {image}@{DIGEST}"),
        "kubectl apply --filename k8s/overlays/.staging/all.yaml".to_owned(),
        "kubectl apply --filename k8s/overlays/.production/all.yaml".to_owned(),
        format!("gh release create {TAG} --repo {REPOSITORY} "),
    ] {
        let found = left.any(|line| line.starts_with(&wanted));
        ensure!(found, "nobody asked for {wanted:?} then: {asked:#?}");
    }
    let undone = asked.iter().any(|line| line.contains("rollout undo"));
    ensure!(!undone, "a deployment was taken back: {asked:#?}");
    Ok(())
}

/// What GitHub is to a step.
struct Runner<'a> {
    shims: &'a Shims,
    project: &'a Path,
    home: TempDir,
    /// What expressions stand for.
    context: BTreeMap<String, String>,
}

impl<'a> Runner<'a> {
    fn new(shims: &'a Shims, project: &'a Path, url: &str) -> Result<Self> {
        let context = [
            ("github.repository", REPOSITORY),
            ("github.ref_name", TAG),
            ("github.token", "a-token"),
            ("secrets.KUBECONFIG", "kind: Config"),
            ("vars.URL", url),
        ];
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Ok(Self {
            shims,
            project,
            home: TempDir::new()?,
            context: context.map(owned).into(),
        })
    }

    /// `text` with the values of its expressions, which have to be known.
    fn evaluated(&self, text: &str) -> Result<String> {
        let mut parts = text.split("${{");
        let mut whole = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (name, rest) = part.split_once("}}").context("an expression has no end")?;
            let value = self.context.get(name.trim());
            whole += value.with_context(|| format!("nobody knows {}", name.trim()))?;
            whole += rest;
        }
        Ok(whole)
    }

    /// Runs a step, and hands back its outputs.
    fn run(&self, step: &Step) -> Result<Vec<(String, String)>> {
        let outputs = self.home.path().join("outputs");
        fs::write(&outputs, "")?;
        let mut shell = Command::new("bash");
        shell
            .args(["-e", "-c", &step.run])
            .current_dir(self.project)
            .env("PATH", self.shims.path())
            .env("HOME", self.home.path())
            .env("GITHUB_OUTPUT", &outputs)
            .env("GITHUB_SHA", COMMIT)
            .env("GITHUB_REF_NAME", TAG)
            .env("GITHUB_REPOSITORY", REPOSITORY);
        for (name, value) in &step.env {
            shell.env(name, self.evaluated(value)?);
        }
        process::capture(&mut shell)?;
        let written = fs::read_to_string(&outputs)?;
        let lines = written.lines().map(|line| {
            let Some((name, value)) = line.split_once('=') else {
                bail!("{line:?} is no output");
            };
            Ok((name.to_owned(), value.to_owned()))
        });
        lines.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite;

    #[test]
    fn what_is_said_to_run_elsewhere_has_a_place() {
        for (script, step) in ELSEWHERE {
            let file = repo::root().join("template").join(script);
            assert!(file.is_file(), "{script}");
            assert!(suite::has_step(step), "{step}");
        }
    }

    #[test]
    fn a_digest_that_gets_lost_between_jobs_is_noticed() {
        let image = "ghcr.io/example/shop";
        let machine = process::capture(Command::new("uname").arg("-m")).unwrap();
        let machine = String::from_utf8(machine.stdout).unwrap();
        let asked = |digest: &str, last: &str| {
            let lines = format!(
                "docker buildx build --push --tag {image}:{COMMIT}-{} .\n\
                 docker buildx imagetools create --tag {image}:{TAG} {image}:{COMMIT}-x86_64 {image}:{COMMIT}-aarch64\n\
                 cosign sign --yes {image}@{digest}\n\
                 kubectl apply --filename k8s/overlays/.staging/all.yaml\n\
                 kubectl apply --filename k8s/overlays/.production/all.yaml\n\
                 {last}\n\
                 gh release create {TAG} --repo {REPOSITORY} --verify-tag",
                machine.trim()
            );
            let lines: Vec<String> = lines.lines().map(str::to_owned).collect();
            asked_for_the_right_things(&lines)
        };
        asked(DIGEST, "kubectl rollout status").unwrap();
        assert!(asked("", "kubectl rollout status").is_err());
        assert!(asked(DIGEST, "kubectl rollout undo").is_err());
    }

    #[test]
    fn every_step_knows_what_its_expressions_mean() {
        let shims = Shims::new().unwrap();
        let mut runner = Runner::new(&shims, Path::new("/"), "http://127.0.0.1").unwrap();
        let text = "a ${{ steps.join.outputs.digest }} b";
        assert!(runner.evaluated(text).is_err());
        let name = "steps.join.outputs.digest".to_owned();
        runner.context.insert(name, "c".to_owned());
        assert_eq!(runner.evaluated(text).unwrap(), "a c b");
    }
}
