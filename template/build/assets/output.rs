//! The set on disk: the files themselves, `manifest.json`, and Rust code for the service.

use std::collections::BTreeSet;
use std::path::Path;
use std::{fs, io};

use serde_json::{Value, json};

use super::generated;
use super::set::{Asset, Set};
use super::store::write_whole;
use super::{Mode, Report};

/// What the files of each encoding end with.
pub const ENDINGS: [&str; 3] = ["br", "zst", "gz"];

/// Brings the folder `out` up to date: writes what is new, then the manifest, then removes what is left over.
pub fn write(set: &Set, out: &Path) -> io::Result<Report> {
    let files = out.join("files");
    let mut report = Report::default();
    let mut wanted = BTreeSet::new();
    fs::create_dir_all(&files)?;
    for asset in &set.assets {
        for (name, content) in contents(asset) {
            let file = files.join(&name);
            if fs::read(&file).ok().as_deref() != Some(content) {
                write_whole(&file, content)?;
                report.written.push(name.clone());
            }
            wanted.insert(name);
        }
    }
    let manifest = serde_json::to_vec_pretty(&manifest(set)).unwrap_or_default();
    write_whole(&out.join("manifest.json"), &manifest)?;
    write_whole(
        &out.join("embedded.rs"),
        generated::embedded(set, &files).as_bytes(),
    )?;
    write_whole(&out.join("macros.rs"), generated::macros(set).as_bytes())?;
    remove_others(&files, "", &wanted, &mut report.removed)?;
    Ok(report)
}

fn contents(asset: &Asset) -> impl Iterator<Item = (String, &[u8])> {
    let encoded = asset.encoded.iter().zip(ENDINGS);
    let encoded = encoded.filter_map(|(content, ending)| {
        Some((format!("{}.{ending}", asset.path), content.as_deref()?))
    });
    [(asset.path.clone(), &asset.content[..])]
        .into_iter()
        .chain(encoded)
}

fn manifest(set: &Set) -> Value {
    let assets = set.assets.iter().map(|asset| {
        let encodings = asset.encoded.iter().zip(ENDINGS);
        let encodings =
            encodings.filter_map(|(content, ending)| content.as_ref().and(Some(ending)));
        json!({
            "source": asset.source,
            "path": asset.path,
            "content_type": asset.content_type,
            "encodings": encodings.collect::<Vec<_>>(),
            "imports": asset.imports,
        })
    });
    json!({ "release": set.mode == Mode::Release, "assets": assets.collect::<Vec<_>>() })
}

fn remove_others(
    folder: &Path,
    prefix: &str,
    wanted: &BTreeSet<String>,
    removed: &mut Vec<String>,
) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            remove_others(&entry.path(), &format!("{name}/"), wanted, removed)?;
            // Fails as long as there is something in it.
            let _ = fs::remove_dir(entry.path());
        } else if !wanted.contains(&name) {
            fs::remove_file(entry.path())?;
            removed.push(name);
        }
    }
    Ok(())
}
