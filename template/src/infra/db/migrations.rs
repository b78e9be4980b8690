//! The files in `migrations/`, inside the binary.

use std::sync::LazyLock;

use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

/// Version, description, SQL; listed by the build script. `sqlx::migrate!` would do the same, but compiles the database
/// drivers a second time for the macro.
#[expect(clippy::unreadable_literal, reason = "a version is a date and a time")]
const FILES: &[(i64, &str, &str)] = &include!(concat!(env!("OUT_DIR"), "/migrations.rs"));

pub(super) static MIGRATOR: LazyLock<Migrator> = LazyLock::new(|| {
    let migration = |&(version, description, sql): &(i64, &'static str, &'static str)| {
        // Some statements, such as CREATE INDEX CONCURRENTLY, must run outside a transaction.
        let no_transaction = sql.starts_with("-- no-transaction");
        Migration::new(
            version,
            description.into(),
            MigrationType::Simple,
            sql.into_sql_str(),
            no_transaction,
        )
    };
    Migrator::with_migrations(FILES.iter().map(migration).collect())
});
