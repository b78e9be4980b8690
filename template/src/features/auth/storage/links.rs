//! The table of links that were mailed and not followed yet.

use chrono::{DateTime, Utc};

use super::Store;
use crate::domain::error::StoreError;
use crate::features::auth::domain::UserId;
use crate::features::auth::token::Token;
use crate::infra::db::store_error;

/// What a link is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To show that an address is one's own.
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

impl Store {
    /// Makes the link the only one of its kind that the user can follow.
    pub async fn add_link(
        &self,
        token: &Token,
        user: UserId,
        purpose: Purpose,
        expires_at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let replace = async {
            let mut tx = self.db.begin().await?;
            sqlx::query("DELETE FROM mailed_links WHERE user_id = $1 AND purpose = $2")
                .bind(user)
                .bind(purpose.as_str())
                .execute(&mut *tx)
                .await?;
            sqlx::query("INSERT INTO mailed_links (hash, user_id, purpose, expires_at) VALUES ($1, $2, $3, $4)")
                .bind(token.digest())
                .bind(user)
                .bind(purpose.as_str())
                .bind(expires_at)
                .execute(&mut *tx)
                .await?;
            tx.commit().await
        };
        self.db
            .timed("insert", "mailed_links", replace)
            .await
            .map_err(store_error)
    }

    /// Whose link it is. It is gone with that: of two who follow it at once, one gets an answer.
    pub async fn take_link(
        &self,
        token: &Token,
        purpose: Purpose,
        now: DateTime<Utc>,
    ) -> Result<Option<UserId>, StoreError> {
        let owner = sqlx::query_scalar(
            "DELETE FROM mailed_links WHERE hash = $1 AND purpose = $2 AND expires_at > $3 RETURNING user_id",
        )
        .bind(token.digest())
        .bind(purpose.as_str())
        .bind(now)
        .fetch_optional(self.db.pool());
        self.db
            .timed("delete", "mailed_links", owner)
            .await
            .map_err(store_error)
    }

    /// Whose link it is, without following it.
    pub async fn find_link(
        &self,
        token: &Token,
        purpose: Purpose,
        now: DateTime<Utc>,
    ) -> Result<Option<UserId>, StoreError> {
        let found = sqlx::query_scalar(
            "SELECT user_id FROM mailed_links WHERE hash = $1 AND purpose = $2 AND expires_at > $3",
        )
        .bind(token.digest())
        .bind(purpose.as_str())
        .bind(now)
        .fetch_optional(self.db.pool());
        self.db
            .timed("select", "mailed_links", found)
            .await
            .map_err(store_error)
    }

    pub async fn delete_expired_links(&self, now: DateTime<Utc>) -> Result<(), StoreError> {
        let deleted = sqlx::query("DELETE FROM mailed_links WHERE expires_at <= $1")
            .bind(now)
            .execute(self.db.pool());
        let deleted = self.db.timed("delete", "mailed_links", deleted).await;
        deleted.map(drop).map_err(store_error)
    }
}
