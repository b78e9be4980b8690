//! The table of links that were mailed and not followed yet.

use chrono::{DateTime, Utc};
use sqlx::Row as _;

use super::{Row, Store, parsed};
use crate::domain::error::StoreError;
use crate::features::auth::domain::{Email, UserId};
use crate::features::auth::token::Token;
use crate::infra::db::store_error;

/// What a link is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To show that the address it was sent to is one's own.
    Verify,
    /// To set another password.
    Reset,
}

impl Purpose {
    fn as_str(self) -> &'static str {
        match self {
            Self::Verify => "verify",
            Self::Reset => "reset",
        }
    }
}

/// Whom a link was sent to.
#[derive(Clone, Debug)]
pub struct Link {
    pub user: UserId,
    /// Where. It need not be the address of the user, yet or any more.
    pub email: Email,
}

impl Store {
    /// Makes the link the only one of its kind that the user can follow.
    pub async fn add_link(
        &self,
        token: &Token,
        link: &Link,
        purpose: Purpose,
        expires_at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let replace = || async {
            let mut tx = self.db.begin().await?;
            sqlx::query("DELETE FROM mailed_links WHERE user_id = $1 AND purpose = $2")
                .bind(link.user)
                .bind(purpose.as_str())
                .execute(&mut *tx)
                .await?;
            sqlx::query(
                "INSERT INTO mailed_links (hash, user_id, email, purpose, expires_at) VALUES ($1, $2, $3, $4, $5)",
            )
                .bind(token.digest())
                .bind(link.user)
                .bind(link.email.as_str())
                .bind(purpose.as_str())
                .bind(expires_at)
                .execute(&mut *tx)
                .await?;
            tx.commit().await
        };
        self.db
            .write("insert", "mailed_links", replace)
            .await
            .map_err(store_error)
    }

    /// Whose link it is. It is gone with that: of two who follow it at once, one gets an answer.
    pub async fn take_link(
        &self,
        token: &Token,
        purpose: Purpose,
        now: DateTime<Utc>,
    ) -> Result<Option<Link>, StoreError> {
        let delete = || {
            sqlx::query(
                "DELETE FROM mailed_links WHERE hash = $1 AND purpose = $2 AND expires_at > $3 RETURNING user_id, email",
            )
            .bind(token.digest())
            .bind(purpose.as_str())
            .bind(now)
            .fetch_optional(self.db.pool())
        };
        let deleted = self.db.write("delete", "mailed_links", delete).await;
        found(deleted)
    }

    /// Whose link it is, without following it.
    pub async fn find_link(
        &self,
        token: &Token,
        purpose: Purpose,
        now: DateTime<Utc>,
    ) -> Result<Option<Link>, StoreError> {
        let shown = sqlx::query(
            "SELECT user_id, email FROM mailed_links WHERE hash = $1 AND purpose = $2 AND expires_at > $3",
        )
        .bind(token.digest())
        .bind(purpose.as_str())
        .bind(now)
        .fetch_optional(self.db.pool());
        let shown = self.db.timed("select", "mailed_links", shown).await;
        found(shown)
    }

    pub async fn delete_expired_links(&self, now: DateTime<Utc>) -> Result<(), StoreError> {
        let delete = || {
            sqlx::query("DELETE FROM mailed_links WHERE expires_at <= $1")
                .bind(now)
                .execute(self.db.pool())
        };
        let deleted = self.db.write("delete", "mailed_links", delete).await;
        deleted.map(drop).map_err(store_error)
    }
}

fn found(row: sqlx::Result<Option<Row>>) -> Result<Option<Link>, StoreError> {
    let link = |row: Row| {
        Ok(Link {
            user: row.try_get("user_id")?,
            email: parsed(&row, "email", Email::parse)?,
        })
    };
    row.and_then(|row| row.map(link).transpose())
        .map_err(store_error)
}
