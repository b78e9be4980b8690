//! The assets as a step of the build, and as a command for the service in development and for tests.

use std::path::{Path, PathBuf};
use std::{env, process};

use crate::assets::{Broken, Job, Mode, adopt, build};
use crate::stamps::stamp;

/// In the project.
const FOLDER: &str = "assets";

/// The first argument of the command.
const COMMAND: &str = "assets";

/// Makes the set for this build. What is wrong with a source ends it.
pub fn run(out: &Path) {
    println!("cargo::rustc-check-cfg=cfg(embedded_assets)");
    println!("cargo::rerun-if-env-changed=EMBED_ASSETS");
    let is_release = env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let mode = if is_release || env::var_os("EMBED_ASSETS").is_some() {
        println!("cargo::rustc-cfg=embedded_assets");
        Mode::Release
    } else {
        Mode::Development
    };
    let set = out.join("assets");
    let job = Job {
        sources: Path::new(FOLDER),
        out: &set,
        mode,
    };
    if let Err(Broken { folder, faults }) = build(&job) {
        for fault in faults {
            let line = Broken {
                folder: folder.clone(),
                faults: vec![fault],
            };
            println!("cargo::error={line}");
        }
        process::exit(1);
    }
    // By these the service in development, and tests, find the set and this program.
    let compiler = env::current_exe().unwrap_or_default();
    stamp("ASSET_COMPILER", &compiler.to_string_lossy());
    stamp("ASSET_SET", &set.to_string_lossy());
}

pub fn is_asked_for() -> bool {
    env::args()
        .nth(1)
        .is_some_and(|argument| argument == COMMAND)
}

/// Makes a set as the arguments say, and lists what it did; what is wrong goes to standard error.
pub fn run_alone() {
    let folders: Vec<PathBuf> = env::args_os().skip(3).map(PathBuf::from).collect();
    let (Some(how), [sources, out]) = (env::args().nth(2), &folders[..]) else {
        eprintln!("usage: {COMMAND} development|release|adopt SOURCES OUT");
        process::exit(2);
    };
    let mode = match how.as_str() {
        "development" => Mode::Development,
        _ => Mode::Release,
    };
    let job = Job { sources, out, mode };
    let done = match how.as_str() {
        "adopt" => adopt(&job),
        _ => build(&job),
    };
    match done {
        Ok(report) => print!("{report}"),
        Err(broken) => {
            eprintln!("{broken}");
            process::exit(1);
        }
    }
}
