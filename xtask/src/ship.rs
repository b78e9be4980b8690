//! The steps of the suite about what leaves the machine: scripts, workflows, manifests, the image.

mod guide;
pub mod shims;
mod workflows;

use std::env;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, anyhow, ensure};

use crate::demo;
use crate::image;
use crate::postgres;
use crate::process;
use crate::repo;
use crate::service;
use crate::suite::Suite;
use crate::tools;

/// Projects with every kind of manifest, workflow and script there is: database, what browsers get, features.
const KINDS: [(&str, &str, &str); 4] = [
    ("sqlite", "pages", ""),
    ("sqlite", "spa", "auth,otel,redis"),
    ("postgres", "pages", "auth,pwa"),
    ("postgres", "none", "otel,redis"),
];

/// Runs the lints that projects bring for what is not Rust, and holds the template's own workflows against the same.
pub fn linted(suite: &mut Suite) -> Result<()> {
    for program in ["python3", "kubectl"] {
        if tools::on_path(&[program]).is_none() {
            return suite.skip("ship", &format!("{program} is not installed"));
        }
    }
    let tools = repo::target().join("lint");
    for (number, (database, frontend, features)) in KINDS.into_iter().enumerate() {
        let name = format!("axle-ship-{number}");
        let answers = [
            ("database", database),
            ("frontend", frontend),
            ("features", features),
        ];
        let project = demo::generated_with(&name, &answers)?;
        let mut lint = Command::new("scripts/lint");
        // Installed once for all of them.
        lint.current_dir(&project).env("LINT_TOOLS", &tools);
        suite.check(lint)?;
        allowed(suite, &project)?;
    }
    own_workflows(suite, &tools.join("bin"))?;
    // All projects have the same.
    let folders = [repo::root(), &repo::target().join("axle-ship-0")];
    let folders = folders.map(|folder| folder.join(".github/workflows"));
    workflows::linted(suite, &folders, &tools)
}

/// What `scripts/lint` of a project does with its `.github`.
fn own_workflows(suite: &mut Suite, linters: &Path) -> Result<()> {
    for (schema, files) in [
        ("vendor.github-workflows", ".github/workflows/*.yml"),
        ("vendor.dependabot", ".github/dependabot.yml"),
    ] {
        let mut check = Command::new("bash");
        let script = format!("check-jsonschema --builtin-schema {schema} {files}");
        check.args(["-c", &script]);
        suite.check(with_linters(check, linters))?;
    }
    let mut zizmor = Command::new("zizmor");
    zizmor.args(["--offline", "--no-progress", ".github"]);
    suite.check(with_linters(zizmor, linters))
}

/// The command in the repository, with the programs that `scripts/lint` has installed.
fn with_linters(mut command: Command, linters: &Path) -> Command {
    let path = env::var("PATH").unwrap_or_default();
    command
        .current_dir(repo::root())
        .env("PATH", format!("{}:{path}", linters.display()));
    command
}

/// Holds the dependencies against `deny.toml`, where cargo-deny is installed: to build it takes minutes. Its list of known
/// holes is in the network, and not asked.
fn allowed(suite: &mut Suite, project: &Path) -> Result<()> {
    if tools::on_path(&["cargo-deny"]).is_none() {
        return suite.skip(
            "ship: bans, licenses and sources of dependencies",
            "cargo-deny is not installed",
        );
    }
    let mut deny = service::cargo(project);
    deny.args("deny --offline check bans licenses sources".split(' '));
    suite.check(deny)
}

/// Builds the image of the default service by the commands of its own guide, and runs it as the guide does, as production
/// would, and as the pod of its manifests.
pub fn image(suite: &mut Suite) -> Result<()> {
    if let Some(obstacle) = image::obstacle() {
        return suite.skip("ship: the image", &obstacle);
    }
    let name = "axle-image";
    let tag = "localhost/app:development";
    let paths = ["/", "/api/openapi.json", "/health/ready"];
    let project = demo::generated(name)?;
    let store = image::Store::quick()?;
    // As `cargo generate` leaves it.
    process::run(
        Command::new("git")
            .args(["init", "--quiet"])
            .current_dir(&project),
    )?;
    for mut command in store.commands(&project, "The lock file")? {
        process::run(&mut command)?;
    }
    let ways = store.commands(&project, "The image")?;
    let [script, mut step_by_step] = <[Command; 2]>::try_from(ways)
        .map_err(|ways| anyhow!("docs/deploy.md has {} ways to an image, not 2", ways.len()))?;
    suite.check(script)?;
    store.see_run(&mut step_by_step, &paths)?;
    suite.count_one();
    guide::watched(suite, &store, &project)?;
    store.examine(tag)?;
    let container = store.start(tag)?;
    for path in paths {
        let status = service::get(&container.address, path)?.status;
        ensure!(status == 200, "{path} answered {status}");
    }
    container.asks_itself(&format!("/app/{name}"))?;
    if tools::on_path(&["kubectl"]).is_none() {
        suite.skip("ship: steps of workflows", "kubectl is not installed")?;
    } else {
        workflows::executed(suite, &project, &format!("http://{}", container.address))?;
        guide::without_cluster(suite, &project)?;
    }
    let code = container.stop()?;
    ensure!(
        code == 0,
        "after SIGTERM it ended with {code}:\n{}",
        container.logs()?
    );
    suite.count_one();
    drop(container);
    if tools::on_path(&["kubectl"]).is_none() {
        return suite.skip(
            "ship: the pods of the manifests",
            "kubectl is not installed",
        );
    }
    pod(suite, &store.play(&project, tag, &[])?, &project)?;
    deployment(suite, &store)
}

/// The pod of a Deployment: that of the default service on PostgreSQL, after its migration. The binary is that of a debug
/// build, which the contract is asked of too.
fn deployment(suite: &mut Suite, store: &image::Store) -> Result<()> {
    let name = "axle-contract-postgres";
    let tag = "localhost/app:postgres";
    let project = demo::generated_with(name, &[("database", "postgres")])?;
    process::run(service::cargo(&project).arg("build"))?;
    store.wrap(&project, &service::binary(name, "debug"), tag)?;
    let database = format!("pod_{}", std::process::id());
    let url = postgres::create_database(&suite.postgres_url()?, &database)?;
    let url = url.replace("127.0.0.1", image::HOST);
    let pod = store.play(&project, tag, &[("DATABASE_URL", url)])?;
    self::pod(suite, &pod, &project)
}

fn pod(suite: &mut Suite, pod: &image::Pod<'_>, project: &Path) -> Result<()> {
    pod.examine()?;
    pod.listens_where_it_is_said(project)?;
    let code = pod.stop()?;
    ensure!(
        code == 0,
        "after SIGTERM the pod ended with {code}:\n{}",
        pod.logs()?
    );
    suite.count_one();
    Ok(())
}
