//! `SQLite`: one file beside the service, set up to serve many readers and one writer.

use anyhow::{Context, anyhow};
use sqlx::ConnectOptions;
use sqlx::error::DatabaseError;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};

use super::DatabaseSettings;

pub type Driver = sqlx::Sqlite;

/// Takes the write lock at once: a transaction that reads first and writes later could not wait for it.
pub const BEGIN_WRITE: &str = "BEGIN IMMEDIATE";

/// Whether a connection is asked if it is still there before it is used: a file does not hang up, and asking takes as long as
/// reading a row.
pub const ASK_FIRST: bool = false;

/// # Errors
/// What the URL must be, if it is not one of `SQLite`.
pub fn parse(url: &str) -> Result<SqliteConnectOptions, String> {
    let rule = "must look like sqlite://data/app.db";
    // The driver takes any text for the name of a file.
    match url.strip_prefix("sqlite:") {
        None | Some("" | "//") => Err(rule.to_owned()),
        Some(_) => url.parse().map_err(|error| format!("{rule}: {error}")),
    }
}

pub const IS_A_FILE: bool = true;

/// A file has none.
#[must_use]
pub fn has_weak_password(_url: &str) -> bool {
    false
}

/// # Errors
/// If the URL is not one of `SQLite`.
pub fn options(settings: &DatabaseSettings) -> anyhow::Result<SqliteConnectOptions> {
    let options = parse(settings.url.expose()).map_err(|rule| anyhow!("database.url {rule}"))?;
    Ok(options
        .create_if_missing(true)
        .foreign_keys(true)
        // Readers go on while a writer writes, and a commit costs no fsync; the file stays sound after a
        // crash, a power cut may lose the last commits. https://sqlite.org/wal.html
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        // A second writer waits for the first instead of failing.
        .busy_timeout(settings.acquire_timeout)
        .pragma("cache_size", "-16384")
        .pragma("temp_store", "memory")
        .optimize_on_close(true, 400)
        .log_statements(log::LevelFilter::Off)
        .log_slow_statements(log::LevelFilter::Warn, settings.slow_query))
}

/// For a connection on which a statement may take as long as it likes, which here is every one.
#[must_use]
pub fn patient(options: &SqliteConnectOptions) -> SqliteConnectOptions {
    options.clone()
}

/// What broke: `table.column`, or the name of a constraint that checks.
#[must_use]
pub fn constraint(error: &dyn DatabaseError) -> Option<String> {
    // `UNIQUE constraint failed: articles.slug`; of several columns the first counts.
    let (_, broken) = error.message().split_once(" constraint failed: ")?;
    broken.split(", ").next().map(str::to_owned)
}

/// Makes the folder of the database file, which `SQLite` itself does not.
///
/// # Errors
/// If it cannot be made.
pub fn prepare(options: &SqliteConnectOptions) -> anyhow::Result<()> {
    let file = options.get_filename();
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => std::fs::create_dir_all(folder)
            .with_context(|| format!("the folder {} cannot be made", folder.display())),
        _ => Ok(()),
    }
}
