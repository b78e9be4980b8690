//! Lists the migrations to embed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::stamps::collect;

/// Writes an array of (version, description, SQL) for `src/infra/db/migrations.rs`.
pub fn list(out: &Path) {
    println!("cargo::rerun-if-changed=migrations");
    let mut files = BTreeSet::new();
    collect(Path::new("migrations"), &mut files);
    let sql = |file: &&PathBuf| file.extension().is_some_and(|extension| extension == "sql");
    let list: Vec<String> = files.iter().filter(sql).map(migration).collect();
    let list = format!("[{}]", list.join(", "));
    fs::write(out.join("migrations.rs"), list).expect("OUT_DIR can be written");
}

fn migration(file: &PathBuf) -> String {
    let name = file.file_stem().unwrap_or_default().to_string_lossy();
    let parts = name.split_once('_');
    let Some((Ok(version), text)) = parts.map(|(version, text)| (version.parse::<i64>(), text))
    else {
        panic!(
            "{} must be named like 20260131120000_what_it_does.sql",
            file.display()
        );
    };
    let description = text.replace('_', " ");
    let path = fs::canonicalize(file).expect("the file was just found");
    let path = path.to_str().expect("the project's path is UTF-8");
    format!("({version}, {description:?}, include_str!({path:?}))")
}
