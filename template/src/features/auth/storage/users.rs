//! The table of users.

use chrono::{DateTime, Utc};
use sqlx::Row as _;

use super::{Store, user, user_columns};
use crate::domain::error::StoreError;
use crate::features::auth::domain::{Email, Name, Role, User, UserId};
use crate::infra::db::store_error;

impl Store {
    /// Adds the user, or puts it in place of one whose address was never confirmed. `None` if there is a confirmed one.
    pub async fn add_user(
        &self,
        user: &User,
        password_hash: &str,
    ) -> Result<Option<UserId>, StoreError> {
        let add = || {
            sqlx::query_scalar(
                "INSERT INTO users (id, email, name, password_hash, role, is_active, verified_at, created_at, updated_at) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
                 ON CONFLICT (email) DO UPDATE SET name = excluded.name, password_hash = excluded.password_hash, \
                 role = excluded.role, verified_at = excluded.verified_at, updated_at = excluded.updated_at \
                 WHERE users.verified_at IS NULL RETURNING id",
            )
            .bind(user.id)
            .bind(user.email.as_str())
            .bind(user.name.as_str())
            .bind(password_hash)
            .bind(user.role.as_str())
            .bind(user.is_active)
            .bind(user.verified_at)
            .bind(user.created_at)
            .bind(user.updated_at)
            .fetch_optional(self.db.pool())
        };
        self.db
            .write("insert", "users", add)
            .await
            .map_err(store_error)
    }

    pub async fn find_user(&self, id: UserId) -> Result<Option<User>, StoreError> {
        let row = sqlx::query(concat!(
            "SELECT ",
            user_columns!(),
            " FROM users WHERE id = $1"
        ))
        .bind(id)
        .fetch_optional(self.db.pool());
        let row = self
            .db
            .timed("select", "users", row)
            .await
            .map_err(store_error)?;
        row.as_ref().map(user).transpose().map_err(store_error)
    }

    /// The user and the hash of the password.
    pub async fn find_credentials(
        &self,
        email: &Email,
    ) -> Result<Option<(User, String)>, StoreError> {
        let row = sqlx::query(concat!(
            "SELECT ",
            user_columns!(),
            ", users.password_hash FROM users WHERE email = $1"
        ))
        .bind(email.as_str())
        .fetch_optional(self.db.pool());
        let row = self
            .db
            .timed("select", "users", row)
            .await
            .map_err(store_error)?;
        let credentials = row.map(|row| Ok((user(&row)?, row.try_get("password_hash")?)));
        credentials.transpose().map_err(store_error)
    }

    /// At most `limit` users after the one with id `after`, in the order they came.
    pub async fn list_users(
        &self,
        after: Option<UserId>,
        limit: u8,
    ) -> Result<Vec<User>, StoreError> {
        let rows = sqlx::query(concat!(
            "SELECT ",
            user_columns!(),
            " FROM users WHERE id > $1 ORDER BY id LIMIT $2"
        ))
        .bind(after.unwrap_or(UserId::nil()))
        .bind(i64::from(limit))
        .fetch_all(self.db.pool());
        let rows = self
            .db
            .timed("list", "users", rows)
            .await
            .map_err(store_error)?;
        rows.iter()
            .map(user)
            .collect::<sqlx::Result<_>>()
            .map_err(store_error)
    }

    /// Makes the address the user's. It is not kept from them by somebody who has never shown that it is theirs.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if it is somebody else's.
    pub async fn confirm_email(
        &self,
        id: UserId,
        email: &Email,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let confirm = || async {
            let mut tx = self.db.begin().await?;
            sqlx::query("DELETE FROM users WHERE email = $1 AND id <> $2 AND verified_at IS NULL")
                .bind(email.as_str())
                .bind(id)
                .execute(&mut *tx)
                .await?;
            sqlx::query(
                "UPDATE users SET email = $1, verified_at = COALESCE(verified_at, $2), updated_at = $2 WHERE id = $3",
            )
            .bind(email.as_str())
            .bind(now)
            .bind(id)
            .execute(&mut *tx)
            .await?;
            tx.commit().await
        };
        self.db
            .write("update", "users", confirm)
            .await
            .map_err(store_error)
    }

    /// Removes those who asked for an account before `since`, and have no link any more that would confirm it.
    pub async fn delete_unconfirmed_users(&self, since: DateTime<Utc>) -> Result<(), StoreError> {
        let delete = || {
            sqlx::query(
                "DELETE FROM users WHERE verified_at IS NULL AND updated_at <= $1 \
             AND NOT EXISTS (SELECT 1 FROM mailed_links WHERE mailed_links.user_id = users.id)",
            )
            .bind(since)
            .execute(self.db.pool())
        };
        let deleted = self.db.write("delete", "users", delete).await;
        deleted.map(drop).map_err(store_error)
    }

    pub async fn set_password(
        &self,
        id: UserId,
        hash: &str,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let update = || {
            sqlx::query("UPDATE users SET password_hash = $1, updated_at = $2 WHERE id = $3")
                .bind(hash)
                .bind(now)
                .bind(id)
                .execute(self.db.pool())
        };
        let updated = self.db.write("update", "users", update).await;
        updated.map(drop).map_err(store_error)
    }

    /// The same password in another hash; nothing, if `old` has been replaced meanwhile.
    pub async fn rehash_password(
        &self,
        id: UserId,
        old: &str,
        new: &str,
    ) -> Result<(), StoreError> {
        let update = || {
            sqlx::query("UPDATE users SET password_hash = $1 WHERE id = $2 AND password_hash = $3")
                .bind(new)
                .bind(id)
                .bind(old)
                .execute(self.db.pool())
        };
        let updated = self.db.write("update", "users", update).await;
        updated.map(drop).map_err(store_error)
    }

    pub async fn rename_user(
        &self,
        id: UserId,
        name: &Name,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let update = || {
            sqlx::query("UPDATE users SET name = $1, updated_at = $2 WHERE id = $3")
                .bind(name.as_str())
                .bind(now)
                .bind(id)
                .execute(self.db.pool())
        };
        let updated = self.db.write("update", "users", update).await;
        updated.map(drop).map_err(store_error)
    }

    /// Whether there is such a user.
    pub async fn set_access(
        &self,
        id: UserId,
        role: Role,
        is_active: bool,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let update = || {
            sqlx::query("UPDATE users SET role = $1, is_active = $2, updated_at = $3 WHERE id = $4")
                .bind(role.as_str())
                .bind(is_active)
                .bind(now)
                .bind(id)
                .execute(self.db.pool())
        };
        let updated = self
            .db
            .write("update", "users", update)
            .await
            .map_err(store_error)?;
        Ok(updated.rows_affected() == 1)
    }
}
