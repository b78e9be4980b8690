//! The Rust code by which the service knows its assets: their content, and macros that check every reference.

use std::fmt::Display;
use std::path::Path;

use super::output::ENDINGS;
use super::set::{Asset, Set};

/// A slice of `Embedded`, with the files below `files` in it.
pub fn embedded(set: &Set, files: &Path) -> String {
    let assets = set.assets.iter().map(|asset| {
        let file = |ending: &str| files.join(format!("{}{ending}", asset.path)).display().to_string();
        let encoded = asset.encoded.iter().zip(ENDINGS);
        let encoded = encoded.map(|(content, ending)| match content {
            Some(_) => format!("Some(include_bytes!({:?}))", file(&format!(".{ending}"))),
            None => "None".to_owned(),
        });
        let (path, content_type, body) = (&asset.path, asset.content_type, file(""));
        let encoded = list(encoded);
        format!(
            "    Embedded {{ path: {path:?}, content_type: {content_type:?}, body: include_bytes!({body:?}), \
             encoded: [{encoded}] }},\n"
        )
    });
    format!("&[\n{}]\n", assets.collect::<String>())
}

/// `asset!`, `imports!` and `picture!`, each with an arm for every source.
pub fn macros(set: &Set) -> String {
    let known = || {
        let known = set.assets.iter();
        known.filter_map(|asset| Some((asset.source.as_deref()?, asset)))
    };
    let addresses = known().map(|(source, asset)| (source, url(&asset.path)));
    let scripts = known().filter(|(_, asset)| asset.content_type.starts_with("text/javascript"));
    let imports = scripts.map(|(source, asset)| {
        let urls = list(asset.imports.iter().map(|path| url(path)));
        (
            source,
            format!("const {{ &[{urls}] as &[$crate::http::assets::Url] }}"),
        )
    });
    let pictures = known().filter_map(|(source, asset)| Some((source, picture(asset)?)));
    [
        rules("asset", "The address of an asset", "asset", addresses),
        rules(
            "imports",
            "The addresses of the modules that a script needs",
            "script",
            imports,
        ),
        rules(
            "picture",
            "A picture with its size and its smaller versions",
            "picture",
            pictures,
        ),
    ]
    .concat()
}

fn picture(asset: &Asset) -> Option<String> {
    let picture = asset.picture.as_ref()?;
    let versions = picture.versions.iter();
    let versions = list(versions.map(|(width, path)| format!("({width}, {})", url(path))));
    let (width, height, url) = (picture.width, picture.height, url(&asset.path));
    Some(format!(
        "$crate::http::assets::Picture {{ url: {url}, width: {width}, height: {height}, \
         versions: const {{ &[{versions}] }} }}"
    ))
}

fn url(path: &str) -> String {
    format!("$crate::http::assets::Url::new({path:?})")
}

fn list(items: impl Iterator<Item: AsRef<str>>) -> String {
    items.fold(String::new(), |list, item| list + item.as_ref() + ", ")
}

fn rules<'a>(
    name: &str,
    says: &str,
    what: &str,
    arms: impl Iterator<Item = (&'a str, impl Display)>,
) -> String {
    let arms = arms.fold(String::new(), |arms, (source, value)| {
        arms + &format!("    ({source:?}) => {{ {value} }};\n")
    });
    format!(
        "/// {says}, by the path of its source. It is an error if there is none.\n\
         #[allow(unused_macros)]\n\
         macro_rules! {name} {{\n\
         {arms}    \
         ($other:literal) => {{ compile_error!(concat!(\"there is no {what} `\", $other, \"` in the folder of assets\")) }};\n\
         }}\n\n"
    )
}
