//! One stylesheet with everything that it imports.

use std::path::{Path, PathBuf};

use lightningcss::bundler::{Bundler, ResolveResult, SourceProvider};
use lightningcss::dependencies::{Dependency, DependencyOptions};
use lightningcss::error::{Error, ErrorLocation};
use lightningcss::printer::PrinterOptions;
use lightningcss::rules::CssRule;
use lightningcss::stylesheet::{MinifyOptions, ParserOptions, StyleSheet};
use lightningcss::targets::{Browsers, Targets};
use parcel_sourcemap::SourceMap;

use super::{Bundled, Reference};
use crate::assets::Mode;
use crate::assets::fault::Fault;
use crate::assets::names::{self, Target};
use crate::assets::sources::Sources;

/// The browsers of the middle of 2024: what is newer than them is written in their terms.
const BROWSERS: Browsers = Browsers {
    android: None,
    chrome: Some(123 << 16),
    edge: Some(123 << 16),
    firefox: Some(128 << 16),
    ie: None,
    ios_saf: Some(17 << 16 | 5 << 8),
    opera: None,
    safari: Some(17 << 16 | 5 << 8),
    samsung: None,
};

/// What a stylesheet imports, as it is written.
///
/// # Errors
/// If it cannot be parsed.
pub fn imports(path: &str, text: &str) -> Result<Vec<String>, Fault> {
    let parsed = StyleSheet::parse(text, parser(path)).map_err(|error| fault(path, &error))?;
    let rules = parsed.rules.0.iter();
    let imports = rules.filter_map(|rule| match rule {
        CssRule::Import(import) => Some(import.url.to_string()),
        _ => None,
    });
    Ok(imports.collect())
}

/// Joins the stylesheet at `path` with what it imports.
///
/// # Errors
/// If any of them is missing or broken.
pub fn bundle(path: &str, sources: &Sources, mode: Mode) -> Result<Bundled, Fault> {
    let (targets, provider) = (Targets::from(BROWSERS), Provider(sources));
    let mut map = (mode == Mode::Development).then(|| SourceMap::new("/"));
    let mut bundler = Bundler::new(&provider, map.as_mut(), parser(path));
    let mut joined = bundler
        .bundle(Path::new(path))
        .map_err(|error| fault(path, &error))?;
    drop(bundler);
    if mode == Mode::Release {
        let options = MinifyOptions {
            targets,
            ..MinifyOptions::default()
        };
        joined
            .minify(options)
            .map_err(|error| fault(path, &error))?;
    }
    let printed = joined.to_css(PrinterOptions {
        minify: mode == Mode::Release,
        source_map: map.as_mut(),
        targets,
        analyze_dependencies: Some(DependencyOptions {
            remove_imports: false,
        }),
        ..PrinterOptions::default()
    });
    let printed = printed.map_err(|error| fault(path, &error))?;
    let references = printed.dependencies.unwrap_or_default();
    Ok(Bundled {
        code: printed.code,
        map: map.and_then(|mut map| map.to_json(None).ok()),
        references: references
            .into_iter()
            .map(|found| reference(path, found))
            .collect(),
    })
}

fn parser<'a>(path: &str) -> ParserOptions<'a> {
    ParserOptions {
        filename: path.to_owned(),
        ..ParserOptions::default()
    }
}

fn reference(entry: &str, found: Dependency) -> Reference {
    match found {
        Dependency::Url(found) => Reference {
            from: found.loc.file_path,
            url: found.url,
            placeholder: found.placeholder,
            line: found.loc.start.line as usize,
            column: found.loc.start.column as usize,
        },
        // Only those from elsewhere are left.
        Dependency::Import(found) => Reference {
            from: entry.to_owned(),
            url: found.url,
            placeholder: found.placeholder,
            line: found.loc.start.line as usize,
            column: found.loc.start.column as usize,
        },
    }
}

fn fault<T: std::fmt::Display>(path: &str, error: &Error<T>) -> Fault {
    match &error.loc {
        // Its lines count from 0, its columns from 1.
        Some(ErrorLocation {
            filename,
            line,
            column,
        }) => Fault::at(filename, *line as usize + 1, *column as usize, &error.kind),
        None => Fault::of_file(path, &error.kind),
    }
}

/// Lets the bundler read the sources.
struct Provider<'a>(&'a Sources);

#[derive(Debug, thiserror::Error)]
enum Missing {
    #[error("there is no stylesheet `{0}`")]
    File(String),
    #[error("`{0}` leads out of the assets")]
    Outside(String),
    #[error("{}", .0.message)]
    Unreadable(Fault),
}

impl SourceProvider for Provider<'_> {
    type Error = Missing;

    fn read<'a>(&'a self, file: &Path) -> Result<&'a str, Missing> {
        let path = file.to_string_lossy();
        let source = self.0.get(&path);
        let source = source.ok_or_else(|| Missing::File(path.clone().into_owned()))?;
        source.text(&path).map_err(Missing::Unreadable)
    }

    fn resolve(&self, specifier: &str, originating_file: &Path) -> Result<ResolveResult, Missing> {
        match names::resolve(&originating_file.to_string_lossy(), specifier) {
            Target::Elsewhere => Ok(ResolveResult::External(specifier.to_owned())),
            Target::Outside => Err(Missing::Outside(specifier.to_owned())),
            Target::Source { path, .. } => Ok(ResolveResult::File(PathBuf::from(path))),
        }
    }
}
