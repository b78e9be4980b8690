//! `cargo xtask bench --image`: what the image of a release weighs, and how long it takes to build and to start.

use std::fs;
use std::time::Instant;

use anyhow::{Result, bail, ensure};

use super::{HANDLER, median};
use crate::demo;
use crate::image::{LARGEST_RELEASE, Store, obstacle};
use crate::repo;

const NAME: &str = "axle-image";
const TAG: &str = "localhost/axle/service:release";

pub fn run() -> Result<()> {
    if let Some(obstacle) = obstacle() {
        bail!("{obstacle}");
    }
    let compiled = repo::target().join("image-release/target");
    if compiled.exists() {
        fs::remove_dir_all(compiled)?;
    }
    let project = demo::generated(NAME)?;
    let store = Store::release()?;
    let cold = Instant::now();
    store.build(&project, TAG)?;
    let cold = cold.elapsed();
    let size = store.size(TAG)?;
    ensure!(size <= LARGEST_RELEASE, "the image has {size} bytes");

    let handler = project.join(HANDLER);
    let source = fs::read_to_string(&handler)?;
    fs::write(
        &handler,
        source + "\n#[doc(hidden)]\npub const EDIT: u32 = 1;\n",
    )?;
    let edited = Instant::now();
    store.build(&project, TAG)?;
    let edited = edited.elapsed();

    let start = median(|| {
        let started = Instant::now();
        let container = store.start(TAG)?;
        let took = started.elapsed();
        container.stop()?;
        Ok(took)
    })?;
    println!("\n| measured | result |\n|---|---|");
    println!("| image, release | {} kB |", size / 1000);
    println!("| image from nothing | {:.0} s |", cold.as_secs_f32());
    println!(
        "| image after an edited handler | {:.0} s |",
        edited.as_secs_f32()
    );
    println!("| `podman run` to first 200 | {start} |");
    Ok(())
}
