//! The script that deploys, with a `kubectl` that renders and otherwise writes down what it was asked for. Of the cluster it
//! knows which images the pods have, and how the migration ended.

use std::env;
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;

use anyhow::Result;
use axle_tests::Workshop;
use tempfile::TempDir;
use xtask::generate::Tool;
use xtask::process;
use xtask::suite;
use xtask::tools;

const IMAGE: &str =
    "ghcr.io/example/shop@sha256:0000000000000000000000000000000000000000000000000000000000000001";

/// A generated project and a folder with a `kubectl` for it.
struct Stage {
    workshop: Workshop,
    project: PathBuf,
    programs: TempDir,
}

impl Stage {
    /// `None` where there is no kubectl to render with.
    fn set(test: &str, database: &str) -> Result<Option<Self>> {
        let Some(kubectl) = tools::on_path(&["kubectl"]) else {
            suite::skip(test, "kubectl is not installed");
            return Ok(None);
        };
        let workshop = Workshop::new();
        let project = workshop.generate(&Tool::Library, "shop", &[("database", database)])?;
        let programs = TempDir::new()?;
        let stand_in = format!(
            "#!/bin/sh\n\
             if [ \"$1\" = kustomize ]; then exec {} \"$@\"; fi\n\
             echo \"$*\" >> {asked}\n\
             case \"$*\" in\n\
             *\"$REFUSE\"*) exit 1 ;;\n\
             *\"get job\"*) echo \"$MIGRATION\" ;;\n\
             *\" get \"*) if [ -e {running} ]; then cat {running}; fi ;;\n\
             *\" logs \"*) echo 'no such column' ;;\n\
             \"apply --filename \"*' --selector '*) ;;\n\
             \"apply --filename \"*) cp \"$3\" {applied}; grep image: \"$3\" > {running} ;;\n\
             esac\n",
            kubectl.display(),
            asked = programs.path().join("asked").display(),
            applied = programs.path().join("applied.yaml").display(),
            running = programs.path().join("running").display(),
        );
        let path = programs.path().join("kubectl");
        fs::write(&path, stand_in)?;
        fs::set_permissions(&path, Permissions::from_mode(0o755))?;
        Ok(Some(Self {
            workshop,
            project,
            programs,
        }))
    }

    /// Deploys `image` to staging; kubectl fails when it is asked for what has `refused` in it.
    fn deploy(&self, image: &str, refused: &str) -> Result<Output> {
        process::output(&mut self.deployment(image, refused)?)
    }

    fn deployment(&self, image: &str, refused: &str) -> Result<Command> {
        let path = env::var("PATH")?;
        let mut deploy = Command::new("scripts/deploy");
        deploy
            .args(["staging", image])
            .current_dir(&self.project)
            .env("PATH", format!("{}:{path}", self.programs.path().display()))
            .env("REFUSE", refused)
            .env("MIGRATION", "SuccessCriteriaMet Complete");
        Ok(deploy)
    }

    /// The pods have another version before the deployment.
    fn runs_another_version(&self) -> Result<()> {
        let running = self.programs.path().join("running");
        Ok(fs::write(running, "image: ghcr.io/example/shop:before\n")?)
    }

    /// The verbs kubectl was asked for, in order.
    fn asked(&self) -> Vec<String> {
        let asked = fs::read_to_string(self.programs.path().join("asked")).unwrap_or_default();
        let verbs = [
            "delete job",
            "apply",
            "get job",
            "logs",
            "rollout status",
            "rollout undo",
        ];
        asked
            .lines()
            .filter_map(|line| verbs.iter().find(|verb| line.contains(**verb)))
            .map(|verb| (*verb).to_owned())
            .collect()
    }

    fn applied(&self) -> Result<String> {
        Ok(fs::read_to_string(
            self.programs.path().join("applied.yaml"),
        )?)
    }

    fn leaves_nothing_behind(&self) -> bool {
        assert!(self.project.starts_with(self.workshop.output()));
        !Path::new(&self.project.join("k8s/overlays/.staging")).exists()
    }
}

#[test]
fn a_deployment_migrates_first_and_then_brings_the_image_by_its_digest() -> Result<()> {
    let Some(stage) = Stage::set("a_deployment_migrates_first", "postgres")? else {
        return Ok(());
    };
    let output = stage.deploy(IMAGE, "nothing at all")?;
    assert!(output.status.success(), "{output:?}");
    let expected = ["delete job", "apply", "get job", "apply", "rollout status"];
    assert_eq!(stage.asked(), expected);
    let images: Vec<String> = stage
        .applied()?
        .lines()
        .filter_map(|line| line.trim().strip_prefix("image: ").map(str::to_owned))
        .collect();
    assert_eq!(images, [IMAGE, IMAGE]); // of the pods and of the migration
    assert!(stage.leaves_nothing_behind());
    Ok(())
}

#[test]
fn a_version_that_does_not_get_ready_is_taken_back() -> Result<()> {
    let Some(stage) = Stage::set("a_version_that_does_not_get_ready", "sqlite")? else {
        return Ok(());
    };
    stage.runs_another_version()?;
    let output = stage.deploy(IMAGE, "rollout status")?;
    assert!(!output.status.success(), "{output:?}");
    let expected = ["apply", "rollout status", "rollout undo", "rollout status"];
    assert_eq!(stage.asked(), expected);
    Ok(())
}

#[test]
fn a_first_version_that_does_not_get_ready_has_none_to_go_back_to() -> Result<()> {
    let Some(stage) = Stage::set("a_first_version_that_does_not_get_ready", "postgres")? else {
        return Ok(());
    };
    let output = stage.deploy(IMAGE, "rollout status")?;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("Nothing is taken back"), "{said}");
    let expected = ["delete job", "apply", "get job", "apply", "rollout status"];
    assert_eq!(stage.asked(), expected);
    assert!(stage.leaves_nothing_behind());
    Ok(())
}

#[test]
fn a_deployment_that_changed_nothing_takes_nothing_back() -> Result<()> {
    let Some(stage) = Stage::set("a_deployment_that_changed_nothing", "sqlite")? else {
        return Ok(());
    };
    let output = stage.deploy(IMAGE, "nothing at all")?;
    assert!(output.status.success(), "{output:?}");
    let output = stage.deploy(IMAGE, "rollout status")?;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("Nothing is taken back"), "{said}");
    let expected = ["apply", "rollout status", "apply", "rollout status"];
    assert_eq!(stage.asked(), expected);
    Ok(())
}

/// Answers 200 at `/health/ready` and 503 everywhere else, until the test ends.
fn half_well() -> Result<String> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let address = format!("http://{}", listener.local_addr()?);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut reader = BufReader::new(&stream);
            let mut head = String::new();
            while reader.read_line(&mut head).is_ok_and(|length| length > 2) {}
            let status = if head.starts_with("GET /health/ready ") {
                "200 OK"
            } else {
                "503 Service Unavailable"
            };
            let answer =
                format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            if (&stream).write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    });
    Ok(address)
}

#[test]
fn a_version_that_is_ready_and_answers_wrongly_is_taken_back() -> Result<()> {
    let Some(stage) = Stage::set("a_version_that_answers_wrongly", "sqlite")? else {
        return Ok(());
    };
    stage.runs_another_version()?;
    let mut deployment = stage.deployment(IMAGE, "nothing at all")?;
    let output = process::output(deployment.arg(half_well()?))?;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("503") && said.contains("back to the one before"),
        "{said}"
    );
    let expected = ["apply", "rollout status", "rollout undo", "rollout status"];
    assert_eq!(stage.asked(), expected);
    assert!(stage.leaves_nothing_behind());
    Ok(())
}

#[test]
fn a_migration_that_fails_is_said_at_once_with_its_log_and_leaves_the_pods_alone() -> Result<()> {
    let Some(stage) = Stage::set("a_migration_that_fails", "postgres")? else {
        return Ok(());
    };
    let mut deployment = stage.deployment(IMAGE, "nothing at all")?;
    let output = process::output(deployment.env("MIGRATION", "FailureTarget Failed"))?;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("The migration failed") && said.contains("no such column"),
        "{said}"
    );
    assert_eq!(stage.asked(), ["delete job", "apply", "get job", "logs"]);
    assert!(stage.leaves_nothing_behind());
    Ok(())
}

#[test]
fn an_image_without_a_version_is_refused() -> Result<()> {
    let Some(stage) = Stage::set("an_image_without_a_version", "sqlite")? else {
        return Ok(());
    };
    let output = stage.deploy("ghcr.io/example/shop", "nothing at all")?;
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("neither a tag nor a digest"), "{said}");
    assert_eq!(stage.asked(), [""; 0]);
    Ok(())
}
