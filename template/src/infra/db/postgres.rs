//! `PostgreSQL`: a server elsewhere, which may be slow or away when the service starts.

use anyhow::Context;
use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;

use super::DatabaseSettings;

pub type Driver = sqlx::Postgres;

pub const BEGIN_WRITE: &str = "BEGIN";

/// # Errors
/// If the URL is not one of `PostgreSQL`.
pub fn options(settings: &DatabaseSettings) -> anyhow::Result<PgConnectOptions> {
    let options: PgConnectOptions = settings
        .url
        .expose()
        .parse()
        .context("database.url must look like postgres://user:password@host:5432/name")?;
    Ok(options
        .application_name(env!("CARGO_PKG_NAME"))
        .log_statements(log::LevelFilter::Off)
        .log_slow_statements(log::LevelFilter::Warn, settings.slow_query))
}

/// Nothing to prepare: the database is made by whoever runs the server.
///
/// # Errors
/// None.
pub fn prepare(_options: &PgConnectOptions) -> anyhow::Result<()> {
    Ok(())
}
