//! `PostgreSQL`: a server elsewhere, which may be slow or away when the service starts.

use std::net::IpAddr;

use anyhow::anyhow;
use sqlx::ConnectOptions;
use sqlx::error::DatabaseError;
use sqlx::postgres::{PgConnectOptions, PgDatabaseError};

use super::DatabaseSettings;

pub type Driver = sqlx::Postgres;

pub const BEGIN_WRITE: &str = "BEGIN";

/// Whether a connection is asked if it is still there before it is used: a server may have been restarted.
pub const ASK_FIRST: bool = true;

pub const IS_A_FILE: bool = false;

/// Of those in the guides of images and of this service.
const KNOWN_PASSWORDS: [&str; 5] = [
    "postgres",
    "password",
    "changeme",
    "postgresql",
    "mysecretpassword",
];

/// Characters.
const SHORTEST_PASSWORD: usize = 8;

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

/// Whether the password is one that is tried first, unless the server is on this machine. None is no weak one: a socket, a
/// certificate or a file of passwords may say who it is.
#[must_use]
pub fn has_weak_password(url: &str) -> bool {
    let (address, query) = url.split_once('?').unwrap_or((url, ""));
    let authority = address.split("://").nth(1).unwrap_or_default();
    let login = authority.rsplit_once('@').map_or("", |(login, _)| login);
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    let parameters = query.split('&');
    let mut said = parameters.filter_map(|one| one.strip_prefix("password="));
    let password = said.next_back().unwrap_or(password);
    let is_known = KNOWN_PASSWORDS.contains(&password) || password == user;
    let is_weak = !password.is_empty() && (is_known || password.len() < SHORTEST_PASSWORD);
    is_weak && !is_on_this_machine(url)
}

fn is_on_this_machine(url: &str) -> bool {
    let host = parse(url).map(|options| options.get_host().to_owned());
    host.is_ok_and(|host| {
        let is_loopback = |ip: IpAddr| ip.is_loopback();
        host == "localhost" || host.starts_with('/') || host.parse().is_ok_and(is_loopback)
    })
}

/// # Errors
/// If the URL is not one of `PostgreSQL`.
pub fn options(settings: &DatabaseSettings) -> anyhow::Result<PgConnectOptions> {
    let options = parse(settings.url.expose()).map_err(|rule| anyhow!("database.url {rule}"))?;
    Ok(options
        .application_name(env!("CARGO_PKG_NAME"))
        .options([(
            "statement_timeout",
            settings.statement_timeout.as_millis().max(1),
        )])
        .log_statements(log::LevelFilter::Off)
        .log_slow_statements(log::LevelFilter::Warn, settings.slow_query))
}

/// For a connection on which a statement may take as long as it likes.
#[must_use]
pub fn patient(options: &PgConnectOptions) -> PgConnectOptions {
    // Of two the server takes the later one.
    options.clone().options([("statement_timeout", 0)])
}

/// What broke: the name of a constraint, or `table.column` where there is no name.
#[must_use]
pub fn constraint(error: &dyn DatabaseError) -> Option<String> {
    if let Some(name) = error.constraint() {
        return Some(name.to_owned());
    }
    let error = error.try_downcast_ref::<PgDatabaseError>()?;
    Some(format!("{}.{}", error.table()?, error.column()?))
}

/// Nothing to prepare: the database is made by whoever runs the server.
///
/// # Errors
/// None.
pub fn prepare(_options: &PgConnectOptions) -> anyhow::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_that_everybody_knows_is_weak_and_none_is_not() {
        for weak in [
            "postgres://postgres:postgres@database:5432/app",
            "postgres://app:password@db/app",
            "postgres://warehouse:warehouse@db/app?sslmode=require",
            "postgres://app:short12@db/app",
            "postgres://app:an-odd-long-one@db/app?password=postgres",
            "postgres://app@db/app?sslmode=require&password=changeme",
        ] {
            assert!(has_weak_password(weak), "{weak}");
        }
        for fine in [
            "postgres://app:short123@db/app",
            "postgres://postgres:postgres@localhost:5432/app",
            "postgres://postgres:postgres@127.0.0.1/app",
            "postgres://app:kP3%40vX9q@db:5432/app",
            "postgres://app@db/app",
            "postgres:///app?host=/run/postgresql",
            "postgres://localhost/app",
            "not a url",
        ] {
            assert!(!has_weak_password(fine), "{fine}");
        }
    }
}
