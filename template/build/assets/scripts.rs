//! Scripts: TypeScript and JavaScript modules, each a file of its own that imports the others by their final names.
//!
//! Modules are not joined: a page preloads all that its script imports, so they come side by side, and a change in one
//! leaves the others in the browser's cache.

mod compile;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Mode;
use super::fault::Fault;
use super::names::{self, Target};
use super::set::{Asset, Set};
use super::sources::{Sources, extension, is_part};
use super::store::Store;

const EXTENSIONS: &[&str] = &["js", "mjs", "ts", "mts"];

pub fn is_script(path: &str) -> bool {
    EXTENSIONS.contains(&extension(path).as_str())
}

/// A module without types and blanks, a placeholder in place of each specifier.
#[derive(Serialize, Deserialize)]
struct Compiled {
    code: String,
    /// A source map, in development.
    map: Option<String>,
    imports: Vec<Import>,
}

#[derive(Serialize, Deserialize)]
struct Import {
    specifier: String,
    placeholder: String,
    kind: Kind,
    line: usize,
    column: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Kind {
    /// Loaded before the module runs.
    Static,
    /// `import("./x.js")`: loaded when the code gets there.
    Dynamic,
    /// `new URL("./x", import.meta.url)`: of any asset.
    Address,
}

struct Module {
    compiled: Compiled,
    /// Where its imports lead, in their order.
    targets: Vec<Place>,
}

enum Place {
    /// The source of a module.
    Module(String),
    /// The final address of another asset.
    Asset(String),
    Elsewhere,
}

pub fn add(sources: &Sources, set: &mut Set, store: &mut Store) -> Result<(), Vec<Fault>> {
    let (mut modules, mut faults) = (BTreeMap::new(), Vec::new());
    for (path, source) in sources.with_extension(EXTENSIONS) {
        if path.ends_with(".d.ts") {
            continue;
        }
        let mode = [u8::from(set.mode == Mode::Release)];
        let parts = [path.as_bytes(), &mode, &source.hash.to_le_bytes()[..]];
        let compiled = store.get_or_make("script", path, &parts, || {
            let compiled = compile::compile(
                path,
                source.text(path).map_err(|fault| vec![fault])?,
                set.mode,
            )?;
            Ok(serde_json::to_vec(&compiled).unwrap_or_default())
        });
        let compiled = compiled.and_then(|json| {
            let unreadable = |error| vec![Fault::of_file(path, error)];
            serde_json::from_slice::<Compiled>(&json).map_err(unreadable)
        });
        match compiled.and_then(|compiled| resolve(path, compiled, sources, set)) {
            Ok(module) => {
                modules.insert(path, module);
            }
            Err(found) => faults.extend(found),
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let paths: BTreeMap<&str, String> = modules
        .keys()
        .map(|path| (*path, published(path, &modules, set.mode)))
        .collect();
    for (path, module) in &modules {
        add_one(path, module, &modules, &paths, set);
    }
    Ok(())
}

fn resolve(
    path: &str,
    compiled: Compiled,
    sources: &Sources,
    set: &Set,
) -> Result<Module, Vec<Fault>> {
    let (mut targets, mut faults) = (Vec::new(), Vec::new());
    for import in &compiled.imports {
        let target = match import.kind {
            Kind::Static | Kind::Dynamic => imported(path, &import.specifier, sources),
            Kind::Address => addressed(path, &import.specifier, sources, set),
        };
        match target {
            Ok(target) => targets.push(target),
            Err(message) => faults.push(Fault::at(path, import.line, import.column, message)),
        }
    }
    if faults.is_empty() {
        Ok(Module { compiled, targets })
    } else {
        Err(faults)
    }
}

/// What the specifier of an import means.
fn imported(from: &str, specifier: &str, sources: &Sources) -> Result<Place, String> {
    let is_path = ["./", "../", "/"]
        .iter()
        .any(|start| specifier.starts_with(start));
    if !is_path && !specifier.contains("://") {
        return Err(format!(
            "`{specifier}` is no path: modules are imported by one that begins with ./ or ../"
        ));
    }
    match names::resolve(from, specifier) {
        Target::Elsewhere => Ok(Place::Elsewhere),
        Target::Outside => Err(format!("`{specifier}` leads out of the assets")),
        Target::Source { path, .. } => module(&path, sources)
            .map(Place::Module)
            .ok_or_else(|| format!("there is no module `{specifier}`")),
    }
}

/// What an address that is made in a module means.
fn addressed(from: &str, url: &str, sources: &Sources, set: &Set) -> Result<Place, String> {
    let (path, suffix) = match names::resolve(from, url) {
        Target::Elsewhere => return Ok(Place::Elsewhere),
        Target::Outside => return Err(format!("`{url}` leads out of the assets")),
        Target::Source { path, suffix } => (path, suffix),
    };
    if is_script(&path)
        && let Some(found) = module(&path, sources)
    {
        return Ok(Place::Module(found));
    }
    let found = set.path_of(&path);
    let found = found.ok_or_else(|| format!("there is no asset `{path}`"))?;
    Ok(Place::Asset(format!("{found}{suffix}")))
}

/// The source of a module: with its extension, with the one that it has once compiled, or with none.
fn module(path: &str, sources: &Sources) -> Option<String> {
    let candidates = [
        path.to_owned(),
        format!("{path}.ts"),
        format!("{path}.js"),
        names::with_extension(path, "ts"),
        names::with_extension(path, "mts"),
    ];
    candidates
        .into_iter()
        .find(|candidate| is_script(candidate) && sources.get(candidate).is_some())
}

/// Every module that `path` needs, itself among them; without `later`, only those that it cannot start without.
fn closure<'a>(
    path: &'a str,
    modules: &'a BTreeMap<&str, Module>,
    later: bool,
) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut open = vec![path];
    while let Some(path) = open.pop() {
        if let Some(module) = modules.get(path)
            && found.insert(path)
        {
            let imports = module.compiled.imports.iter().zip(&module.targets);
            let wanted = imports.filter(|(import, _)| later || import.kind == Kind::Static);
            open.extend(wanted.filter_map(|(_, target)| match target {
                Place::Module(source) => Some(source.as_str()),
                Place::Asset(_) | Place::Elsewhere => None,
            }));
        }
    }
    found
}

/// The name of a module changes with everything that it refers to, because it holds their names.
fn published(path: &str, modules: &BTreeMap<&str, Module>, mode: Mode) -> String {
    let mut content = String::new();
    for path in closure(path, modules, true) {
        let module = &modules[path];
        content += path;
        content += &module.compiled.code;
        for target in &module.targets {
            if let Place::Asset(address) = target {
                content += address;
            }
        }
    }
    let output = match extension(path).as_str() {
        "ts" => names::with_extension(path, "js"),
        "mts" => names::with_extension(path, "mjs"),
        _ => path.to_owned(),
    };
    names::published(&output, content.as_bytes(), mode)
}

fn add_one(
    path: &str,
    module: &Module,
    modules: &BTreeMap<&str, Module>,
    paths: &BTreeMap<&str, String>,
    set: &mut Set,
) {
    let own = &paths[path];
    let mut code = module.compiled.code.clone();
    for (import, target) in module.compiled.imports.iter().zip(&module.targets) {
        let specifier = match target {
            Place::Module(source) => names::relative(own, &paths[source.as_str()]),
            Place::Asset(address) => names::relative(own, address),
            Place::Elsewhere => import.specifier.clone(),
        };
        code = code.replace(&import.placeholder, &specifier);
    }
    if let Some(map) = &module.compiled.map {
        let name = format!("{own}.map");
        let comment = format!("//# sourceMappingURL={}\n", names::relative(own, &name));
        code.push_str(&comment);
        set.add(Asset::new(None, name, map.clone().into_bytes()));
    }
    let source = Some(path).filter(|path| !is_part(path));
    let mut asset = Asset::new(source, own.clone(), code.into_bytes());
    let needed = closure(path, modules, false).into_iter();
    asset.imports = needed
        .filter(|needed| *needed != path)
        .map(|needed| paths[needed].clone())
        .collect();
    set.add(asset);
}
