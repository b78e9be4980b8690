//! The command line: `cargo xtask demo`, `test`, `render`, `bless`, `mutate`, `bench`, `release`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand};
use xtask::generate::{self, Request, Tool};
use xtask::template::Config;
use xtask::{bench, demo, process, profiles, proof, release, repo, suite};

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    about = "The Axle template's own tool"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Generate the default service, build it and serve it until Ctrl-C
    Demo,
    /// Run every check of the template and of what it generates
    Test {
        /// Run only the steps whose name contains this
        #[arg(long, value_name = "TEXT")]
        only: Option<String>,
    },
    /// Generate one tested combination into a new folder
    Render {
        /// `defaults`, or a name from tests/snapshots
        profile: String,
        /// The folder to create; its name becomes the project's name
        folder: PathBuf,
    },
    /// Write tests/snapshots from what the template renders now
    Bless,
    /// Break every marker and path in a copy, one at a time, and see the proof notice
    Mutate,
    /// Measure generation, start and memory; prints a Markdown table
    Bench(bench::Options),
    /// Hold a tag against the versions in the repository, and print what has changed
    Release {
        /// `v` and the newest version of CHANGELOG.md
        tag: String,
    },
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    process::handle_interrupts()?;
    match command {
        Command::Demo => demo::run(),
        Command::Test { only } => suite::run(only.as_deref()),
        Command::Render { profile, folder } => render(&profile, &folder),
        Command::Bless => bless(),
        Command::Mutate => suite::mutate(),
        Command::Bench(options) => bench::run(&options),
        Command::Release { tag } => release::run(&tag),
    }
}

fn render(profile: &str, folder: &std::path::Path) -> Result<()> {
    let source = repo::clean_copy()?;
    let profile = profiles::find(&Config::read(source.path())?, profile)?;
    ensure!(
        !folder.exists(),
        "{} exists already; name a new folder",
        folder.display()
    );
    let folder = std::path::absolute(folder)?;
    let name = folder.file_name().and_then(|name| name.to_str());
    let request = Request {
        source: source.path(),
        into: folder.parent().context("the root folder is no project")?,
        name: name.context("the folder's name cannot be a project's name")?,
        answers: &profile.answers,
    };
    let project = generate::project(&Tool::Library, request)?;
    println!("{}", project.display());
    Ok(())
}

fn bless() -> Result<()> {
    let source = repo::clean_copy()?;
    let snapshots = repo::root().join("tests/snapshots");
    if snapshots.exists() {
        std::fs::remove_dir_all(&snapshots)?;
    }
    std::fs::create_dir_all(&snapshots)?;
    for profile in profiles::rendered(&Config::read(source.path())?) {
        let into = tempfile::tempdir()?;
        let request = Request {
            source: source.path(),
            into: into.path(),
            name: "proof",
            answers: &profile.answers,
        };
        let project = generate::project(&Tool::Library, request)?;
        let text = proof::snapshot(source.path(), &project)?;
        std::fs::write(proof::snapshot_path(repo::root(), &profile), text)?;
    }
    println!("Wrote tests/snapshots; look at the difference before you commit it.");
    Ok(())
}
