//! What a database error means: worth waiting for, a broken rule, or a defect.

use std::sync::Arc;

use sqlx::Error;

use crate::domain::error::StoreError;

/// The error as the domain sees it.
#[must_use]
pub fn store_error(error: Error) -> StoreError {
    if is_temporary(&error) {
        StoreError::Unavailable(Arc::new(error))
    } else {
        StoreError::Failed(Arc::new(error))
    }
}

/// Whether the same call may succeed later.
pub(super) fn is_temporary(error: &Error) -> bool {
    match error {
        Error::Io(_) | Error::PoolTimedOut | Error::PoolClosed | Error::WorkerCrashed => true,
        Error::Database(error) => error.code().is_some_and(|code| is_temporary_code(&code)),
        _ => false,
    }
}

/// `PostgreSQL`: the classes for connections, resources, rollbacks and operator intervention
/// (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).
/// `SQLite`: busy, locked and a full disk in all their extended forms (<https://sqlite.org/rescode.html>).
fn is_temporary_code(code: &str) -> bool {
    if code.len() == 5 {
        return ["08", "40", "53", "57"]
            .iter()
            .any(|class| code.starts_with(class));
    }
    code.parse::<u32>()
        .is_ok_and(|code| matches!(code & 0xff, 5 | 6 | 13))
}

pub(super) fn is_missing_table(error: &Error) -> bool {
    let Error::Database(error) = error else {
        return false;
    };
    match error.code() {
        Some(code) if code.len() == 5 => code == "42P01",
        // SQLite has no code of its own for it.
        _ => error.message().starts_with("no such table"),
    }
}

/// The label of the error metric: a fixed, short list.
pub(super) fn kind(error: &Error) -> &'static str {
    match error {
        Error::PoolTimedOut => "pool_timeout",
        Error::Io(_) | Error::PoolClosed | Error::WorkerCrashed => "connection",
        Error::Database(error) if error.is_unique_violation() => "unique",
        Error::Database(error) if error.is_foreign_key_violation() => "foreign_key",
        Error::Database(error) if error.is_check_violation() => "check",
        error if is_temporary(error) => "busy",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busy_full_and_unreachable_databases_are_worth_waiting_for() {
        for code in [
            "5", "6", "13", "261", "517", "08006", "40001", "40P01", "53300", "57P03",
        ] {
            assert!(is_temporary_code(code), "{code}");
        }
        for code in ["1", "8", "14", "2067", "23505", "28P01", "3D000", "42P01"] {
            assert!(!is_temporary_code(code), "{code}");
        }
    }
}
