//! The files of `content/` as one set of pages, in which every path is claimed once.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use include_dir::{Dir, include_dir};

use super::file::ContentPage;

static EMBEDDED: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/content");

/// The folder, from the project's.
const FOLDER: &str = "content";

/// The texts of the files, by their paths below the folder.
pub type Files = BTreeMap<String, String>;

/// What the binary has, or, for a developer in the project's folder, what is on disk.
///
/// # Errors
/// If a file cannot be read, or is not UTF-8.
pub fn read(is_development: bool) -> anyhow::Result<Files> {
    let mut files = Files::new();
    if is_development && Path::new(FOLDER).is_dir() {
        read_folder(Path::new(FOLDER), &mut files)?;
    } else {
        read_embedded(&EMBEDDED, &mut files)?;
    }
    Ok(files)
}

fn read_folder(folder: &Path, files: &mut Files) -> anyhow::Result<()> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            read_folder(&path, files)?;
        } else {
            let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            add(path.strip_prefix(FOLDER)?, text, files)?;
        }
    }
    Ok(())
}

fn read_embedded(folder: &Dir<'_>, files: &mut Files) -> anyhow::Result<()> {
    for file in folder.files() {
        let text = file.contents_utf8();
        let text =
            text.with_context(|| format!("{FOLDER}/{}: not UTF-8", file.path().display()))?;
        add(file.path(), text.to_owned(), files)?;
    }
    folder
        .dirs()
        .try_for_each(|folder| read_embedded(folder, files))
}

/// Editors and systems leave hidden files behind; nobody means them.
fn add(path: &Path, text: String, files: &mut Files) -> anyhow::Result<()> {
    let path = path
        .to_str()
        .with_context(|| format!("{} is not UTF-8", path.display()))?;
    let is_hidden = path
        .rsplit('/')
        .next()
        .is_some_and(|name| name.starts_with('.'));
    if !is_hidden {
        files.insert(path.to_owned(), text);
    }
    Ok(())
}

/// The pages in `files`.
///
/// # Errors
/// The first thing that is wrong, with the files that have to do with it.
pub fn pages(files: &Files) -> anyhow::Result<Vec<ContentPage>> {
    let pages = files.iter().map(|(file, text)| {
        ContentPage::parse(file, text).with_context(|| format!("{FOLDER}/{file}"))
    });
    let pages: Vec<ContentPage> = pages.collect::<Result<_, _>>()?;
    let mut claims: BTreeMap<&str, &str> = BTreeMap::new();
    for page in &pages {
        let aliases = page.aliases.iter().map(String::as_str);
        for path in aliases.chain([&*page.path]) {
            ensure!(
                path != "/api" && !path.starts_with("/api/"),
                "{}: {path} belongs to the API",
                page.file
            );
            if let Some(other) = claims.insert(path, &page.file) {
                bail!("{path} is claimed twice: by {other} and by {}", page.file);
            }
        }
    }
    Ok(pages)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(files: &[(&str, &str)]) -> anyhow::Result<Vec<ContentPage>> {
        let text = |aliases: &str| format!("+++\ntitle = \"A\"\naliases = [{aliases}]\n+++\n");
        let files = files.iter();
        pages(
            &files
                .map(|(file, aliases)| ((*file).to_owned(), text(aliases)))
                .collect(),
        )
    }

    #[test]
    fn what_is_in_the_binary_can_be_shown() {
        let embedded = pages(&read(false).unwrap()).unwrap();
        assert!(!embedded.is_empty());
        // Tests run in the project's folder.
        let on_disk = pages(&read(true).unwrap()).unwrap();
        let paths = |pages: &[ContentPage]| {
            pages
                .iter()
                .map(|page| page.path.clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(paths(&on_disk), paths(&embedded));
    }

    #[test]
    fn a_path_belongs_to_one_file() {
        for (files, path) in [
            ([("a/page.md", ""), ("a/page.html", "")], "/a "),
            ([("a/page.md", "\"/b\""), ("b/page.md", "")], "/b "),
            ([("a/page.md", "\"/c\""), ("b/page.md", "\"/c\"")], "/c "),
        ] {
            let refusal = set(&files).unwrap_err().to_string();
            assert!(refusal.starts_with(path), "{refusal}");
            for (file, _) in files {
                assert!(refusal.contains(&format!("content/{file}")), "{refusal}");
            }
        }
        assert!(
            set(&[("a/page.md", "\"/a\"")]).is_err(),
            "an alias of itself"
        );
        assert_eq!(
            set(&[("a/page.md", "\"/a/\""), ("a/b/page.md", "")])
                .unwrap()
                .len(),
            2
        );
    }

    #[test]
    fn the_api_keeps_its_paths() {
        for files in [
            ("api/page.md", ""),
            ("api/docs/page.md", ""),
            ("a/page.md", "\"/api/v1\""),
        ] {
            assert!(
                set(&[files])
                    .unwrap_err()
                    .to_string()
                    .contains("belongs to the API")
            );
        }
        assert!(set(&[("apis/page.md", "")]).is_ok());
    }

    #[test]
    fn a_broken_file_is_named() {
        let files = Files::from([("a/page.md".to_owned(), "+++\n+++\n".to_owned())]);
        let refusal = format!("{:#}", pages(&files).unwrap_err());
        assert!(refusal.starts_with("content/a/page.md: line "), "{refusal}");
    }

    #[test]
    fn a_hidden_file_is_nobody_s_page() {
        let mut files = Files::new();
        for path in [".DS_Store", "about/.page.md.swp", "about/page.md"] {
            add(Path::new(path), String::new(), &mut files).unwrap();
        }
        assert_eq!(files.into_keys().collect::<Vec<_>>(), ["about/page.md"]);
    }
}
