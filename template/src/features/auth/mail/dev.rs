//! `/dev/mail`: the mails of this machine, the newest first; in development only.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::response::IntoResponse;

use crate::component::Routes;

/// Mails on the page.
const SHOWN: usize = 20;

pub fn routes(folder: PathBuf) -> Routes {
    Routes::new().get("/dev/mail", mails).with_state(folder)
}

async fn mails(State(folder): State<PathBuf>) -> impl IntoResponse {
    let mails = tokio::task::spawn_blocking(move || newest(&folder)).await;
    let text = match mails.unwrap_or_default() {
        mails if mails.is_empty() => "No mails yet.\n".to_owned(),
        mails => mails.join("\n----------------------------------------\n\n"),
    };
    ([(CACHE_CONTROL, "no-store")], text)
}

/// A folder that is not there has no mails.
fn newest(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mails = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "eml"));
    let mut mails: Vec<(SystemTime, PathBuf)> = mails
        .filter_map(|path| Some((path.metadata().ok()?.modified().ok()?, path)))
        .collect();
    mails.sort_by(|a, b| b.cmp(a));
    let texts = mails
        .into_iter()
        .take(SHOWN)
        .filter_map(|(_, path)| std::fs::read_to_string(path).ok());
    texts.collect()
}
