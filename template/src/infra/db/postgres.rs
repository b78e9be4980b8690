//! `PostgreSQL`: a server elsewhere, which may be slow or away when the service starts.

use anyhow::anyhow;
use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;

use super::DatabaseSettings;

pub type Driver = sqlx::Postgres;

pub const BEGIN_WRITE: &str = "BEGIN";

/// # Errors
/// What the URL must be, if it is not one of `PostgreSQL`.
pub fn parse(url: &str) -> Result<PgConnectOptions, String> {
    let rule = "must look like postgres://user:password@host:5432/name";
    // The driver takes any scheme.
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Err(rule.to_owned());
    }
    url.parse().map_err(|error| format!("{rule}: {error}"))
}

/// # Errors
/// If the URL is not one of `PostgreSQL`.
pub fn options(settings: &DatabaseSettings) -> anyhow::Result<PgConnectOptions> {
    let options = parse(settings.url.expose()).map_err(|rule| anyhow!("database.url {rule}"))?;
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
