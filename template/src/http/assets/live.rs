//! The assets in development: made anew when a source has changed, by the program that made them for the build.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use std::{fs, io};

use anyhow::{Context, anyhow};
use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body_util::channel::Channel;
use hyper::body::Frame;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::file::Changeable;
use super::{AssetSettings, File, Files};
use crate::http::problem::{Kind, Problem};
use crate::telemetry::build_info;

/// What the build script has made, and what it made it with.
const SET: &str = env!("ASSET_SET");
const COMPILER: &str = env!("ASSET_COMPILER");

/// How often a page that is open asks for changes.
const BETWEEN_LOOKS: Duration = Duration::from_millis(250);

static IS_WATCHED: AtomicBool = AtomicBool::new(false);

pub struct Live {
    sources: PathBuf,
    is_watched: bool,
    state: Mutex<State>,
}

struct State {
    /// Of the sources that `files` are made of.
    stamp: Option<u64>,
    /// Since when a new page gets what there is now.
    since: Instant,
    files: Files,
    /// What is wrong with them, if they could not be made.
    broken: Option<String>,
}

/// What a page compares with what it was told before.
#[derive(PartialEq, Serialize)]
struct Now {
    build: &'static str,
    styles: String,
    rest: String,
    broken: Option<String>,
}

/// What a page is told.
#[derive(Serialize)]
struct News<'a> {
    #[serde(flatten)]
    now: &'a Now,
    /// In milliseconds: a page that is older was made with something else.
    age: u128,
}

impl Live {
    pub fn open(settings: &AssetSettings, is_watched: bool) -> Self {
        let is_watched = is_watched && settings.dir.is_dir();
        if is_watched {
            IS_WATCHED.store(true, Ordering::Relaxed);
        }
        let files = read_set(Path::new(SET)).unwrap_or_else(|error| {
            tracing::error!(%error, "the assets of this build cannot be read");
            Files::default()
        });
        let state = State {
            stamp: None,
            since: Instant::now(),
            files,
            broken: None,
        };
        Self {
            sources: settings.dir.clone(),
            is_watched,
            state: Mutex::new(state),
        }
    }

    /// Whether this process is one for development.
    #[must_use]
    pub fn is_watched() -> bool {
        IS_WATCHED.load(Ordering::Relaxed)
    }

    /// The files of the sources as they are now.
    ///
    /// # Errors
    /// What is wrong with a source.
    pub async fn current(self: Arc<Self>, path: &str) -> Result<Files, Problem> {
        // The script that shows what is broken comes from the last good set.
        let must_be_whole = !path.contains(".debug.");
        if !self.is_watched {
            return Ok(self.lock().files.clone());
        }
        let looked = tokio::task::spawn_blocking(move || {
            let state = self.refresh();
            match &state.broken {
                Some(broken) if must_be_whole => Err(Problem::new(Kind::Internal)
                    .detail(broken.clone())
                    .cause(anyhow!("an asset is broken: {broken}"))),
                _ => Ok(state.files.clone()),
            }
        });
        let failed = |error| Err(Problem::new(Kind::Internal).cause(anyhow::Error::new(error)));
        looked.await.unwrap_or_else(failed)
    }

    /// Makes the files anew if a source has changed. One that is broken leaves the last good ones.
    fn refresh(&self) -> std::sync::MutexGuard<'_, State> {
        let mut state = self.lock();
        let (stamp, age) = look(&self.sources);
        if state.stamp == Some(stamp) {
            return state;
        }
        state.stamp = Some(stamp);
        let (before, written) = (state.now(), Instant::now().checked_sub(age));
        match compile(&self.sources) {
            Ok(files) => {
                state.files = files;
                state.broken = None;
            }
            Err(error) => {
                let text = format!("{error:#}");
                tracing::error!("the assets cannot be made:\n{text}");
                state.broken = Some(text);
            }
        }
        // What was written may be of no consequence.
        if let Some(written) = written
            && state.now() != before
        {
            state.since = written.max(state.since);
        }
        state
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells a page, as long as it listens, of which state the assets are, and of which build the service is.
    pub async fn tell(self: Arc<Self>, stop: CancellationToken) -> Response {
        let (mut sender, body) = Channel::<Bytes>::new(1);
        let mut told = None;
        // Whoever has the head of the answer misses nothing that comes after it.
        let mut event = self.news(&mut told).await;
        tokio::spawn(async move {
            while let Some(text) = event.take() {
                if sender.send(Frame::data(text.into())).await.is_err() {
                    return;
                }
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(BETWEEN_LOOKS) => {}
                }
                event = self.news(&mut told).await;
            }
        });
        let headers = [
            (CONTENT_TYPE, "text/event-stream"),
            (CACHE_CONTROL, "no-store"),
        ];
        (headers, Body::new(body)).into_response()
    }

    /// What a page that was `told` is told next, as an event.
    async fn news(self: &Arc<Self>, told: &mut Option<Now>) -> Option<String> {
        let live = Arc::clone(self);
        let look = tokio::task::spawn_blocking(move || live.describe());
        let (now, age) = look.await.ok()?;
        if told.as_ref() == Some(&now) {
            // A line that means nothing finds out whether anybody listens.
            return Some(":\n\n".to_owned());
        }
        let now = told.insert(now);
        let news = serde_json::to_string(&News { now, age }).ok()?;
        Some(format!("data: {news}\n\n"))
    }

    fn describe(&self) -> (Now, u128) {
        let state = self.refresh();
        (state.now(), state.since.elapsed().as_millis())
    }
}

impl State {
    fn now(&self) -> Now {
        Now {
            build: build_info().fingerprint,
            styles: format!("{:016x}", self.files.fingerprint(Changeable::Styles)),
            rest: format!("{:016x}", self.files.fingerprint(Changeable::Rest)),
            broken: self.broken.clone(),
        }
    }
}

/// A number that changes when a file below `folder` comes, goes or is written, and how long ago one was written last.
fn look(folder: &Path) -> (u64, Duration) {
    fn visit(folder: &Path, depth: u8, hasher: &mut DefaultHasher, last: &mut SystemTime) {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        paths.sort();
        for path in paths {
            let Ok(metadata) = fs::metadata(&path) else {
                continue;
            };
            path.hash(hasher);
            let written = metadata.modified().ok();
            // A folder is written when something in it comes or goes.
            *last = written.map_or(*last, |written| written.max(*last));
            // A link that leads in a circle ends here; the compiler says what is wrong with it.
            if metadata.is_dir() && depth > 0 {
                visit(&path, depth - 1, hasher, last);
            } else {
                metadata.len().hash(hasher);
                written.hash(hasher);
            }
        }
    }
    let written = fs::metadata(folder).and_then(|folder| folder.modified());
    let mut last = written.unwrap_or(SystemTime::UNIX_EPOCH);
    let mut hasher = DefaultHasher::new();
    visit(folder, 16, &mut hasher, &mut last);
    // What says that it comes from the future is new.
    (hasher.finish(), last.elapsed().unwrap_or_default())
}

/// Makes the files in a folder beside those of the build, so that other processes that use those are not disturbed.
fn compile(sources: &Path) -> anyhow::Result<Files> {
    let mut hasher = DefaultHasher::new();
    fs::canonicalize(sources).ok().hash(&mut hasher);
    let out = PathBuf::from(format!("{SET}-{:016x}", hasher.finish()));
    let run = Command::new(COMPILER)
        .args(["assets", "development"])
        .args([sources, &out])
        .output()
        .with_context(|| format!("{COMPILER} cannot be run; build the service anew"))?;
    if !run.status.success() {
        return Err(anyhow!("{}", String::from_utf8_lossy(&run.stderr).trim()));
    }
    Ok(read_set(&out)?)
}

#[derive(Deserialize)]
struct Manifest {
    assets: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    path: String,
    content_type: String,
}

fn read_set(folder: &Path) -> io::Result<Files> {
    let manifest: Manifest = serde_json::from_slice(&fs::read(folder.join("manifest.json"))?)?;
    let read = |Entry { path, content_type }: Entry| {
        let body = fs::read(folder.join("files").join(&path))?;
        let file = File::changeable(&content_type, body.into());
        Ok((path.into(), Arc::new(file)))
    };
    manifest.assets.into_iter().map(read).collect()
}
