//! Stylesheets: each joined with what it imports, its nested and new syntax put in terms that browsers know.

mod bundle;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Mode;
use super::fault::Fault;
use super::names::{self, Target};
use super::set::{Asset, Set};
use super::sources::{Sources, extension, is_part};
use super::store::Store;

const EXTENSIONS: &[&str] = &["css"];

pub fn is_style(path: &str) -> bool {
    EXTENSIONS.contains(&extension(path).as_str())
}

/// A stylesheet with a placeholder in place of each address.
#[derive(Serialize, Deserialize)]
struct Bundled {
    code: String,
    /// A source map, in development.
    map: Option<String>,
    references: Vec<Reference>,
}

/// What stands in a `url()`.
#[derive(Serialize, Deserialize)]
struct Reference {
    /// The source that says it.
    from: String,
    url: String,
    placeholder: String,
    line: usize,
    column: usize,
}

pub fn add(sources: &Sources, set: &mut Set, store: &mut Store) -> Result<(), Vec<Fault>> {
    let mut faults = Vec::new();
    let mut imports = BTreeMap::new();
    for (path, source) in sources.with_extension(EXTENSIONS) {
        let parts = [path.as_bytes(), &source.hash.to_le_bytes()];
        let found = store.get_or_make("imports of", path, &parts, || {
            let found = bundle::imports(path, source.text(path)?)?;
            Ok(found.join("\n").into_bytes())
        });
        match found {
            Ok(found) => imports.insert(path, String::from_utf8_lossy(&found).into_owned()),
            Err(fault) => {
                faults.push(fault);
                None
            }
        };
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    for (path, _) in sources.with_extension(EXTENSIONS) {
        if !is_part(path) {
            faults.extend(
                add_one(path, &imports, sources, set, store)
                    .err()
                    .unwrap_or_default(),
            );
        }
    }
    if faults.is_empty() {
        Ok(())
    } else {
        Err(faults)
    }
}

fn add_one(
    path: &str,
    imports: &BTreeMap<&str, String>,
    sources: &Sources,
    set: &mut Set,
    store: &mut Store,
) -> Result<(), Vec<Fault>> {
    let made_of = closure(path, imports);
    let hashes: Vec<[u8; 16]> = made_of
        .iter()
        .filter_map(|path| sources.get(path))
        .map(|source| source.hash.to_le_bytes())
        .collect();
    let mode = [u8::from(set.mode == Mode::Release)];
    let mut parts: Vec<&[u8]> = vec![&mode];
    parts.extend(made_of.iter().map(String::as_bytes));
    parts.extend(hashes.iter().map(|hash| &hash[..]));
    let json = store.get_or_make("style", path, &parts, || {
        let bundled = bundle::bundle(path, sources, set.mode).map_err(|fault| vec![fault])?;
        Ok::<_, Vec<Fault>>(serde_json::to_vec(&bundled).unwrap_or_default())
    })?;
    let unreadable = |error| vec![Fault::of_file(path, error)];
    let bundled: Bundled = serde_json::from_slice(&json).map_err(unreadable)?;
    publish(path, bundled, set)
}

/// The stylesheet and all that it imports, each once.
fn closure(path: &str, imports: &BTreeMap<&str, String>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut open = vec![path.to_owned()];
    while let Some(path) = open.pop() {
        if found.contains(&path) {
            continue;
        }
        for import in imports.get(path.as_str()).map_or("", |list| list).lines() {
            if let Target::Source { path, .. } = names::resolve(&path, import) {
                open.push(path);
            }
        }
        found.push(path);
    }
    found
}

/// Puts the final addresses in the places held for them.
fn publish(path: &str, bundled: Bundled, set: &mut Set) -> Result<(), Vec<Fault>> {
    let mut code = bundled.code;
    let mut faults = Vec::new();
    for reference in bundled.references {
        match address(path, &reference, set) {
            Ok(address) => {
                let place = format!("\"{}\"", reference.placeholder);
                code = code.replace(&place, &format!("\"{}\"", escape(&address)));
            }
            Err(message) => {
                faults.push(Fault::at(
                    &reference.from,
                    reference.line,
                    reference.column,
                    message,
                ));
            }
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    // Its own name is not in it, so the hash is that of the rest.
    let name = names::published(path, code.as_bytes(), set.mode);
    if let Some(map) = bundled.map {
        let map_name = format!("{name}.map");
        let place = names::relative(&name, &map_name);
        let comment = format!("\n/*# sourceMappingURL={place} */\n");
        code.push_str(&comment);
        set.add(Asset::new(None, map_name, map.into_bytes()));
    }
    set.add(Asset::new(Some(path), name, code.into_bytes()));
    Ok(())
}

/// As in a string of CSS.
fn escape(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\a ")
}

fn address(entry: &str, reference: &Reference, set: &Set) -> Result<String, String> {
    let url = &reference.url;
    match names::resolve(&reference.from, url) {
        Target::Elsewhere => Ok(url.clone()),
        Target::Outside => Err(format!("`{url}` leads out of the assets")),
        Target::Source { path, suffix } => {
            let found = set.path_of(&path);
            let found = found.ok_or_else(|| format!("there is no asset `{path}`"))?;
            // Of the stylesheet itself only the folder counts, so its name may be another later.
            Ok(names::relative(&names::encode(entry), found) + &suffix)
        }
    }
}
