//! What is wrong with a setting, in words for the person who wrote it: serde's own name Rust types.

use toml::Value;

/// Says what the setting must be, from the message of serde and the value that was refused.
pub(super) fn explain(message: &str, value: Option<&Value>) -> String {
    if let Some(rest) = message.strip_prefix("unknown field ") {
        return match rest.split_once(", expected ") {
            Some((_, known)) => {
                let known = known.strip_prefix("one of ").unwrap_or(known);
                format!("is not a setting; those here are {known}").replace('`', "")
            }
            None => "is not a setting".to_owned(),
        };
    }
    let expected = match message.rsplit_once(", expected ") {
        Some((_, "a boolean")) => "true or false".to_owned(),
        Some((_, "u16")) => "a whole number from 0 to 65535".to_owned(),
        Some((_, "u32" | "u64" | "usize")) => "a whole number, 0 or more".to_owned(),
        Some((_, "f64")) => "a number".to_owned(),
        Some((_, "a duration")) => r#"a duration like "250ms", "5m" or "24h""#.to_owned(),
        // How `bytesize` says it.
        Some((_, "parsable string" | "an integer or string" | "integer overflow")) => {
            r#"a size like "64KiB" or "10MiB""#.to_owned()
        }
        Some((_, "path string")) => "a path in quotes".to_owned(),
        Some((_, section)) if section.starts_with("struct ") => "a section".to_owned(),
        // It may be a secret, so the value stays unsaid.
        Some((_, "a string")) => return "must be text in quotes".to_owned(),
        Some((_, "IP address")) => ADDRESS.to_owned(),
        Some((_, "a sequence")) => r#"a list like ["a", "b"]"#.to_owned(),
        None if message == NO_ADDRESS && value.is_some_and(Value::is_array) => {
            r#"a list of networks like ["10.0.0.0/8", "fd00::/8"]"#.to_owned()
        }
        None if message == NO_ADDRESS => ADDRESS.to_owned(),
        Some((variant, known)) if variant.starts_with("unknown variant") => {
            known.replace("one of ", "").replace('`', "")
        }
        _ => return message.to_owned(),
    };
    format!("must be {expected}, not {}", shown(value))
}

/// How the standard library and `ipnet` say it.
const NO_ADDRESS: &str = "invalid IP address syntax";

const ADDRESS: &str = r#"an IP address like "127.0.0.1" or "::""#;

fn shown(value: Option<&Value>) -> String {
    match value {
        None => "missing".to_owned(),
        Some(Value::String(text)) if text.is_empty() => "empty".to_owned(),
        Some(Value::String(text)) => format!("`{}`", text.escape_debug()),
        Some(Value::Table(_)) => "a section".to_owned(),
        Some(value) => format!("`{value}`"),
    }
}
