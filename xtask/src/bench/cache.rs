//! What the cache costs beside what it is made of: runs the criterion benches of the template and shows ratios.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::process;
use crate::repo;

/// Groups of criterion, with the one that the others are compared with first.
const GROUPS: [(&str, &[&str]); 6] = [
    (
        "l1 hit, 1 threads",
        &["bare papaya", "cache.fetch", "cache.get_fresh", "mini-moka"],
    ),
    (
        "l1 hit, 2 threads",
        &["bare papaya", "cache.fetch", "cache.get_fresh", "mini-moka"],
    ),
    ("l2 hit, 4 KiB on disk", &["bare sled", "cache.fetch"]),
    ("l2 hit, 4 KiB in Redis", &["bare GET", "cache.fetch"]),
    (
        "l2 hit, 64 in flight in Redis",
        &["bare GET", "cache.fetch"],
    ),
    ("stampede", &["10,000 callers of a cold key"]),
];

pub fn run() -> Result<()> {
    let template = repo::root().join("template");
    let target = template.join("target");
    let mut bench = process::cargo();
    bench
        .current_dir(&template)
        .env("CARGO_TARGET_DIR", &target)
        .args(["bench", "--bench", "cache", "--bench", "redis"]);
    process::run(&mut bench)?;
    println!("\n| group | measured | median | to the first |\n|---|---|---|---|");
    for (group, benches) in GROUPS {
        let first = median(&target, group, benches[0])?;
        for name in benches {
            let nanoseconds = median(&target, group, name)?;
            println!(
                "| {group} | {name} | {} | {:.2} |",
                readable(nanoseconds),
                nanoseconds / first
            );
        }
    }
    Ok(())
}

/// In nanoseconds, as criterion has noted it.
fn median(target: &Path, group: &str, name: &str) -> Result<f64> {
    let file = target
        .join("criterion")
        .join(group)
        .join(name)
        .join("new/estimates.json");
    let text = fs::read_to_string(&file).with_context(|| format!("{}", file.display()))?;
    let estimates: Value = serde_json::from_str(&text)?;
    estimates["median"]["point_estimate"]
        .as_f64()
        .with_context(|| format!("{} has no median", file.display()))
}

fn readable(nanoseconds: f64) -> String {
    match nanoseconds {
        n if n < 1e3 => format!("{n:.0} ns"),
        n if n < 1e6 => format!("{:.2} µs", n / 1e3),
        n => format!("{:.1} ms", n / 1e6),
    }
}
