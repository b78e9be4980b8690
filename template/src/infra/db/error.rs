//! What a database error means: the class it belongs to, and what the domain makes of that.

use std::io;
use std::sync::Arc;

use sqlx::Error;
use sqlx::error::ErrorKind;

use super::constraints;
use crate::domain::error::{Invalid, RuleBroken, StoreError};

/// The kinds of failure a caller can do something about, whichever database it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Unique,
    ForeignKey,
    NotNull,
    Check,
    TooLong,
    OutOfRange,
    /// Text in another encoding, or that is no value of the column's type.
    BadText,
    /// The transaction lost against another one and was rolled back.
    Serialization,
    /// Another connection holds the lock that was wanted.
    Busy,
    /// No connection was free in time, or none could be made.
    PoolTimeout,
    /// The database said nothing for longer than any call may take.
    Silent,
    /// The database ended a statement that ran for too long.
    StatementTimeout,
    ConnectionLost,
    /// Nobody asked the database: its circuit breaker is open.
    LeftAlone,
    ReadOnly,
    /// The disk or the memory of the database is used up, or does not work.
    Storage,
    /// The file of the database could not be opened (`SQLite`).
    CannotOpen,
    /// A defect of this service, or a database of another shape.
    Other,
}

impl Class {
    #[must_use]
    pub fn of(error: &Error) -> Self {
        match error {
            Error::PoolTimedOut => Self::PoolTimeout,
            Error::Io(error) if is_left_alone(error) => Self::LeftAlone,
            Error::Io(error) if error.kind() == io::ErrorKind::TimedOut => Self::Silent,
            Error::Io(_) | Error::PoolClosed | Error::WorkerCrashed => Self::ConnectionLost,
            Error::Database(error) => match error.kind() {
                ErrorKind::UniqueViolation | ErrorKind::ExclusionViolation => Self::Unique,
                ErrorKind::ForeignKeyViolation => Self::ForeignKey,
                ErrorKind::NotNullViolation => Self::NotNull,
                ErrorKind::CheckViolation => Self::Check,
                _ => error.code().map_or(Self::Other, |code| of_code(&code)),
            },
            _ => Self::Other,
        }
    }

    /// The label of the error metric.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Unique => "unique",
            Self::ForeignKey => "foreign_key",
            Self::NotNull => "not_null",
            Self::Check => "check",
            Self::TooLong => "too_long",
            Self::OutOfRange => "out_of_range",
            Self::BadText => "bad_text",
            Self::Serialization => "serialization",
            Self::Busy => "busy",
            Self::PoolTimeout => "pool_timeout",
            Self::Silent => "silent",
            Self::StatementTimeout => "statement_timeout",
            Self::ConnectionLost => "connection_lost",
            Self::LeftAlone => "circuit_open",
            Self::ReadOnly => "read_only",
            Self::Storage => "storage",
            Self::CannotOpen => "cannot_open",
            Self::Other => "other",
        }
    }

    /// Whether the same transaction may go through at once: nothing of it has happened.
    pub(super) fn lost_a_race(self) -> bool {
        matches!(self, Self::Serialization | Self::Busy)
    }

    /// Whether the database is away or as good as that, which is what its circuit breaker counts.
    pub(super) fn is_outage(self) -> bool {
        matches!(
            self,
            Self::PoolTimeout | Self::Silent | Self::ConnectionLost
        )
    }

    /// Whether the same call may succeed later.
    pub(super) fn is_temporary(self) -> bool {
        self.lost_a_race()
            || self.is_outage()
            || matches!(
                self,
                Self::StatementTimeout | Self::LeftAlone | Self::Storage | Self::CannotOpen
            )
    }

    /// Whether it is worth waiting for at the start. A file that cannot be opened even once is the wrong one, or somebody
    /// else's; one that could be, and cannot now, is so because this process is out of file descriptors.
    pub(super) fn is_temporary_at_start(self) -> bool {
        self.is_temporary() && self != Self::CannotOpen
    }
}

/// `PostgreSQL`: <https://www.postgresql.org/docs/current/errcodes-appendix.html>, five characters.
/// `SQLite`: <https://sqlite.org/rescode.html>, where the low byte of an extended code is the code it extends.
fn of_code(code: &str) -> Class {
    match code {
        "22001" => return Class::TooLong,
        "22003" | "22008" => return Class::OutOfRange,
        "22021" | "22P02" | "22P05" => return Class::BadText,
        "25006" => return Class::ReadOnly,
        "40001" | "40P01" => return Class::Serialization,
        "55P03" => return Class::Busy,
        "57014" => return Class::StatementTimeout,
        "25P03" | "53300" => return Class::ConnectionLost,
        _ => {}
    }
    if code.len() == 5 {
        return match &code[..2] {
            // Of class 40 what is left does not say whether the transaction has happened.
            "08" | "40" | "57" => Class::ConnectionLost,
            "53" | "58" => Class::Storage,
            _ => Class::Other,
        };
    }
    match code.parse::<u32>().map(|code| code & 0xff) {
        Ok(5 | 6) => Class::Busy,
        Ok(8) => Class::ReadOnly,
        Ok(9) => Class::StatementTimeout,
        Ok(10 | 13) => Class::Storage,
        Ok(14) => Class::CannotOpen,
        Ok(18) => Class::TooLong,
        Ok(20) => Class::BadText,
        _ => Class::Other,
    }
}

/// The error as the domain sees it.
#[must_use]
pub fn store_error(error: Error) -> StoreError {
    let class = Class::of(&error);
    let rule = match class {
        Class::Unique => "is taken",
        Class::ForeignKey => "belongs to something that is not there, or is still in use",
        Class::NotNull => "must be given",
        Class::Check => "is not allowed",
        Class::TooLong => "is too long",
        Class::OutOfRange => "is out of range",
        Class::BadText => "is not readable",
        class if class.is_temporary() || class == Class::ReadOnly => {
            return StoreError::Unavailable(Arc::new(error));
        }
        _ => return StoreError::Failed(Arc::new(error)),
    };
    let broken = RuleBroken {
        field: constraints::field(&error),
        rule: Invalid(rule),
        source: Arc::new(error),
    };
    if matches!(class, Class::Unique | Class::ForeignKey) {
        return StoreError::Conflict(broken);
    }
    // Values are checked before they get here, so that one of the checks is missing.
    tracing::warn!(error = %broken.source, "the database refused a value");
    StoreError::Refused(broken)
}

/// In the place of an answer while the circuit breaker is open.
#[derive(Debug, thiserror::Error)]
#[error("the circuit breaker of the database is open")]
struct LeftAlone;

pub(super) fn left_alone() -> Error {
    Error::Io(io::Error::other(LeftAlone))
}

fn is_left_alone(error: &io::Error) -> bool {
    error
        .get_ref()
        .is_some_and(<dyn std::error::Error + Send + Sync>::is::<LeftAlone>)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busy_full_and_unreachable_databases_are_worth_waiting_for() {
        for code in [
            "5", "6", "13", "14", "261", "517", "778", "08006", "40001", "40P01", "53100", "53300",
            "57P03",
        ] {
            assert!(of_code(code).is_temporary(), "{code}");
        }
        for code in [
            "1", "8", "18", "2067", "22001", "25006", "28P01", "3D000", "42P01",
        ] {
            assert!(!of_code(code).is_temporary(), "{code}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_waited_for_only_if_it_could_be_before() {
        for code in ["14", "270", "1038"] {
            let class = of_code(code);
            assert_eq!(class, Class::CannotOpen, "{code}");
            assert!(class.is_temporary() && !class.is_temporary_at_start());
        }
        assert!(of_code("5").is_temporary_at_start());
    }

    #[test]
    fn only_a_transaction_of_which_nothing_happened_is_run_again() {
        for code in ["5", "6", "517", "40001", "40P01", "55P03"] {
            assert!(of_code(code).lost_a_race(), "{code}");
        }
        for code in ["13", "08006", "40003", "57P01", "57014"] {
            assert!(!of_code(code).lost_a_race(), "{code}");
        }
        assert!(!Class::of(&Error::PoolTimedOut).lost_a_race());
    }

    #[test]
    fn an_open_circuit_breaker_is_no_further_outage() {
        let class = Class::of(&left_alone());
        assert_eq!(class, Class::LeftAlone);
        assert!(class.is_temporary() && !class.is_outage());
    }
}
