//! The generated docs/adding-a-domain.md, word for word: a domain is copied, then takes the place of the sample.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};
use xtask::process;
use xtask::repo;

use crate::Check;
use crate::service::Generated;

const GUIDE: &str = "docs/adding-a-domain.md";

const COPY: &str = "## Copy it";
const REPLACE: &str = "## Put it in the place";

/// They change the project, so they come last.
pub const WITH_PAGES: [(&str, Check); 1] = [(
    "a_copied_domain_takes_the_place_of_the_sample",
    |generated| {
        follow_the_guide(generated, COPY)?;
        follow_the_guide(generated, REPLACE)?;
        passes(generated)
    },
)];

/// There is less to follow.
pub const WITHOUT_PAGES: [(&str, Check); 2] = [
    ("a_copied_domain_passes_its_tests", |generated| {
        follow_the_guide(generated, COPY)?;
        passes(generated)
    }),
    // The copy is there by now.
    (
        "a_copied_domain_takes_the_place_of_the_sample",
        |generated| {
            follow_the_guide(generated, REPLACE)?;
            generated.has_no_clippy_warning()
        },
    ),
];

/// Runs the commands below the heading.
fn follow_the_guide(generated: &Generated, heading: &str) -> Result<()> {
    let guide = fs::read_to_string(generated.project()?.join(GUIDE))?;
    let commands = commands(&guide, heading)
        .with_context(|| format!("{GUIDE} has no commands below `{heading}`"))?;
    let mut shell = Command::new("bash");
    shell
        .args(["-euo", "pipefail", "-c", commands])
        .current_dir(generated.project()?)
        .env("CARGO_TARGET_DIR", repo::services_target())
        .env("CARGO_INCREMENTAL", "0");
    process::capture(&mut shell)?;
    Ok(())
}

/// What a change of the project has to pass.
fn passes(generated: &Generated) -> Result<()> {
    generated.has_no_clippy_warning()?;
    generated.passes_the_tests_beside_the_cache()
}

/// The first shell block below `heading`.
fn commands<'g>(guide: &'g str, heading: &str) -> Option<&'g str> {
    let (_, section) = guide.split_once(heading)?;
    let (_, block) = section.split_once("```sh\n")?;
    let (block, _) = block.split_once("```")?;
    Some(block)
}
