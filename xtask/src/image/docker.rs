//! A `docker` for scripts that call it: buildah and podman, with the store of the suite.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::Store;
use crate::process;
use crate::service;

/// Where a service listens that nobody tells another port.
const ADDRESS: &str = "127.0.0.1:8080";

/// How long a container may take to answer whose image is built first.
const PATIENCE_WITH_BUILD: Duration = Duration::from_mins(15);

/// The shell blocks of the project's `docs/deploy.md` under `heading`.
pub fn blocks(project: &Path, heading: &str) -> Result<Vec<String>> {
    let guide = project.join("docs/deploy.md");
    let guide = fs::read_to_string(guide).context("there is no docs/deploy.md")?;
    let chapter = format!("\n## {heading}\n");
    let (_, chapter) = guide
        .split_once(&chapter)
        .with_context(|| format!("docs/deploy.md has nothing about {heading:?}"))?;
    let chapter = chapter.split("\n## ").next().unwrap_or_default();
    let blocks = chapter.split("```sh\n").skip(1);
    let blocks = blocks.filter_map(|block| block.split("```").next());
    Ok(blocks.map(str::to_owned).collect())
}

impl Store {
    /// The commands of the project's `docs/deploy.md` under `heading`, block by block, ready to be run as they stand.
    pub fn commands(&self, project: &Path, heading: &str) -> Result<Vec<Command>> {
        let blocks = blocks(project, heading)?;
        let shell = |block: &String| self.shell(project, block);
        blocks.iter().map(shell).collect()
    }

    /// A shell that runs `script` in `project`; its `docker` is this store.
    pub fn shell(&self, project: &Path, script: &str) -> Result<Command> {
        let folder = self.docker()?;
        let path = env::var("PATH").unwrap_or_default();
        let mut shell = Command::new("bash");
        shell
            .args(["-euo", "pipefail", "-c", script])
            .current_dir(project)
            .env("PATH", format!("{folder}:{path}"));
        // Whoever follows the guide has told git who they are.
        for role in ["AUTHOR", "COMMITTER"] {
            shell.env(format!("GIT_{role}_NAME"), "Somebody");
            shell.env(format!("GIT_{role}_EMAIL"), "somebody@example.com");
        }
        Ok(shell)
    }

    /// Writes the program, and says in which folder it is.
    fn docker(&self) -> Result<String> {
        let folder = self.folder.join("bin");
        fs::create_dir_all(&folder).context("no folder for `docker` can be made")?;
        let build = self.build_command()?;
        let mut words = vec![build.get_program()];
        words.extend(build.get_args());
        let words: Vec<String> = words
            .into_iter()
            .map(|word| quoted(&word.to_string_lossy()))
            .collect();
        let settings = build.get_envs().filter_map(|(name, value)| {
            let value = quoted(&value?.to_string_lossy());
            Some(format!("export {}={value}\n", name.to_string_lossy()))
        });
        let script = format!(
            "#!/bin/sh\n{}command=$1\nshift\ncase $command in\nbuild) exec {} \"$@\" ;;\n\
             run) exec podman run --pull never --no-healthcheck \"$@\" ;;\n\
             compose) echo \"$*\" >> {} ;;\n*) exec podman \"$command\" \"$@\" ;;\nesac\n",
            settings.collect::<String>(),
            words.join(" "),
            self.composed().display(),
        );
        let program = folder.join("docker");
        fs::write(&program, script)?;
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
        Ok(folder.display().to_string())
    }

    /// Where `docker compose` writes down what it is asked for: it starts nothing.
    #[must_use]
    pub fn composed(&self) -> PathBuf {
        self.folder.join("composed")
    }

    /// Stops and removes every container, with all that they have stored.
    pub fn clear(&self) -> Result<()> {
        for words in [
            &["stop", "--all", "--time", "30"][..],
            &["rm", "--all", "--force", "--volumes"],
            &["volume", "rm", "--all", "--force"],
        ] {
            process::capture(self.command("podman").args(words))?;
        }
        Ok(())
    }

    /// Waits until the service that `command` runs in a container answers at `paths`, then stops it.
    pub fn see_run(&self, command: &mut Command, paths: &[&str]) -> Result<()> {
        println!("$ {}", process::shown(command));
        let mut child = command.spawn().context("bash cannot be run")?;
        let seen = wait_until_well(&mut child, paths);
        if seen.is_err() {
            // It may not have got to its end, which is to run the container.
            child.kill()?;
        }
        // Whatever was seen, nothing of it stays.
        let mut stop = self.command("podman");
        process::capture(stop.args(["stop", "--all", "--time", "30"]))?;
        let status = child.wait()?;
        self.clear()?;
        seen?;
        ensure!(status.success(), "the container ended with {status}");
        Ok(())
    }
}

fn wait_until_well(child: &mut Child, paths: &[&str]) -> Result<()> {
    let is_ready =
        || service::get(ADDRESS, "/health/ready").is_ok_and(|answer| answer.status == 200);
    let deadline = Instant::now() + PATIENCE_WITH_BUILD;
    while !is_ready() {
        process::check_interrupt()?;
        if let Some(status) = child.try_wait()? {
            bail!("it ended with {status} before anybody could ask it");
        }
        ensure!(Instant::now() < deadline, "it does not answer");
        thread::sleep(Duration::from_millis(100));
    }
    for path in paths {
        let status = service::get(ADDRESS, path)?.status;
        ensure!(status == 200, "{path} answered {status}");
    }
    Ok(())
}

/// In quotes for a shell.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}
