//! Accounts in SQL: one text for SQLite and PostgreSQL.

mod links;
mod sessions;
mod users;

use sqlx::Row as _;

pub use links::{Link, Purpose};
pub use sessions::{NewSession, Rotation, Session, SessionId};

use super::domain::{Email, Name, Role, User};
use crate::domain::error::Invalid;
use crate::infra::db::{Database, Driver};

type Row = <Driver as sqlx::Database>::Row;

/// A cheap handle.
#[derive(Clone)]
pub struct Store {
    db: Database,
}

impl Store {
    pub fn new(db: Database) -> Self {
        Self { db }
    }
}

/// The columns of `users` that make a [`User`], also where another table is joined.
macro_rules! user_columns {
    () => {
        "users.id, users.email, users.name, users.role, users.is_active, users.verified_at, users.created_at, users.updated_at"
    };
}
use user_columns;

fn user(row: &Row) -> sqlx::Result<User> {
    Ok(User {
        id: row.try_get("id")?,
        email: parsed(row, "email", Email::parse)?,
        name: parsed(row, "name", Name::parse)?,
        role: parsed(row, "role", Role::parse)?,
        is_active: row.try_get("is_active")?,
        verified_at: row.try_get("verified_at")?,
        created_at: row.try_get("created_at")?,
        updated_at: row.try_get("updated_at")?,
    })
}

/// A stored value that breaks a rule of today is an error of the store.
fn parsed<T>(row: &Row, column: &str, parse: fn(&str) -> Result<T, Invalid>) -> sqlx::Result<T> {
    parse(row.try_get(column)?).map_err(|rule| sqlx::Error::ColumnDecode {
        index: column.to_owned(),
        source: rule.into(),
    })
}
