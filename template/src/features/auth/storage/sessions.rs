//! The tables of sessions and of the refresh tokens that belong to them.

use chrono::{DateTime, Utc};
use sqlx::Row as _;
use sqlx::query::Query;
use uuid::Uuid;

use super::{Row, Store, user, user_columns};
use crate::domain::error::StoreError;
use crate::features::auth::domain::{User, UserId};
use crate::features::auth::token::Token;
use crate::infra::db::{Driver, store_error};

/// A `UUIDv7` (RFC 9562). No secret: it is shown to the user.
pub type SessionId = Uuid;

/// One place where a user is signed in.
#[derive(Clone, Debug)]
pub struct Session {
    pub id: SessionId,
    /// A browser with a cookie; otherwise a program with tokens.
    pub is_browser: bool,
    /// What the client says it is.
    pub agent: String,
    pub created_at: DateTime<Utc>,
    pub seen_at: DateTime<Utc>,
    /// Unless it is used before.
    pub expires_at: DateTime<Utc>,
    /// Whatever happens.
    pub ends_at: DateTime<Utc>,
}

pub struct NewSession<'a> {
    pub id: SessionId,
    pub user: UserId,
    pub cookie: Option<&'a Token>,
    pub refresh: Option<&'a Token>,
    pub agent: &'a str,
    pub now: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    pub ends_at: DateTime<Utc>,
}

/// What became of a refresh token.
#[derive(Debug)]
pub enum Rotation {
    Unknown,
    /// It has been used before: somebody has a copy.
    Reused(SessionId),
    Done(Box<User>, Session),
}

macro_rules! select_sessions {
    ($rest:literal) => {
        concat!(
            "SELECT ",
            user_columns!(),
            ", sessions.id AS session_id, (cookie_hash IS NOT NULL) AS is_browser, agent, sessions.created_at AS \
             opened_at, seen_at, expires_at, ends_at FROM sessions JOIN users ON users.id = sessions.user_id ",
            $rest
        )
    };
}

type Statement<'q> = Query<'q, Driver, <Driver as sqlx::Database>::Arguments>;

impl Store {
    pub async fn add_session(&self, new: &NewSession<'_>) -> Result<(), StoreError> {
        let insert = || async {
            let mut tx = self.db.begin().await?;
            sqlx::query(
                "INSERT INTO sessions (id, user_id, cookie_hash, agent, created_at, seen_at, expires_at, ends_at) \
                 VALUES ($1, $2, $3, $4, $5, $5, $6, $7)",
            )
            .bind(new.id)
            .bind(new.user)
            .bind(new.cookie.map(Token::digest))
            .bind(new.agent)
            .bind(new.now)
            .bind(new.expires_at)
            .bind(new.ends_at)
            .execute(&mut *tx)
            .await?;
            if let Some(token) = new.refresh {
                insert_refresh_token(token, new.id)
                    .execute(&mut *tx)
                    .await?;
            }
            tx.commit().await
        };
        self.db
            .write("insert", "sessions", insert)
            .await
            .map_err(store_error)
    }

    /// The session of a cookie, if it is not over.
    pub async fn find_session_by_cookie(
        &self,
        cookie: &Token,
        now: DateTime<Utc>,
    ) -> Result<Option<(User, Session)>, StoreError> {
        let query = sqlx::query(select_sessions!(
            "WHERE cookie_hash = $1 AND expires_at > $2"
        ));
        self.find_session(query.bind(cookie.digest()).bind(now))
            .await
    }

    /// The session with this id, if it is not over.
    pub async fn find_session_by_id(
        &self,
        id: SessionId,
        now: DateTime<Utc>,
    ) -> Result<Option<(User, Session)>, StoreError> {
        let query = sqlx::query(select_sessions!(
            "WHERE sessions.id = $1 AND expires_at > $2"
        ));
        self.find_session(query.bind(id).bind(now)).await
    }

    async fn find_session(
        &self,
        query: Statement<'_>,
    ) -> Result<Option<(User, Session)>, StoreError> {
        let row = query.fetch_optional(self.db.pool());
        let row = self
            .db
            .timed("select", "sessions", row)
            .await
            .map_err(store_error)?;
        row.as_ref()
            .map(user_and_session)
            .transpose()
            .map_err(store_error)
    }

    pub async fn list_sessions(
        &self,
        user: UserId,
        now: DateTime<Utc>,
    ) -> Result<Vec<Session>, StoreError> {
        let rows = sqlx::query(select_sessions!(
            "WHERE user_id = $1 AND expires_at > $2 ORDER BY seen_at DESC"
        ))
        .bind(user)
        .bind(now)
        .fetch_all(self.db.pool());
        let rows = self
            .db
            .timed("list", "sessions", rows)
            .await
            .map_err(store_error)?;
        let sessions = rows.iter().map(|row| Ok(user_and_session(row)?.1));
        sessions.collect::<sqlx::Result<_>>().map_err(store_error)
    }

    /// Notes that the session was used, and how long it lasts from now on.
    pub async fn touch_session(
        &self,
        id: SessionId,
        now: DateTime<Utc>,
        expires_at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let update = || {
            sqlx::query("UPDATE sessions SET seen_at = $1, expires_at = $2 WHERE id = $3")
                .bind(now)
                .bind(expires_at)
                .bind(id)
                .execute(self.db.pool())
        };
        let updated = self.db.write("update", "sessions", update).await;
        updated.map(drop).map_err(store_error)
    }

    /// Puts `new` in the place of `old`, which nobody can use again. Of two who try at once, one does.
    pub async fn rotate(
        &self,
        old: &Token,
        new: &Token,
        now: DateTime<Utc>,
    ) -> Result<Rotation, StoreError> {
        let rotate = || async {
            let mut tx = self.db.begin().await?;
            let rotated = sqlx::query_scalar(
                "UPDATE refresh_tokens SET used_at = $1 WHERE hash = $2 AND used_at IS NULL RETURNING session_id",
            )
            .bind(now)
            .bind(old.digest())
            .fetch_optional(&mut *tx)
            .await?;
            let Some(session): Option<SessionId> = rotated else {
                let known =
                    sqlx::query_scalar("SELECT session_id FROM refresh_tokens WHERE hash = $1")
                        .bind(old.digest())
                        .fetch_optional(&mut *tx)
                        .await?;
                return Ok(known.map_or(Rotation::Unknown, Rotation::Reused));
            };
            let row = sqlx::query(select_sessions!(
                "WHERE sessions.id = $1 AND expires_at > $2"
            ))
            .bind(session)
            .bind(now)
            .fetch_optional(&mut *tx)
            .await?;
            let Some(row) = row else {
                return Ok(Rotation::Unknown);
            };
            insert_refresh_token(new, session).execute(&mut *tx).await?;
            tx.commit().await?;
            let (user, session) = user_and_session(&row)?;
            Ok(Rotation::Done(Box::new(user), session))
        };
        self.db
            .write("rotate", "refresh_tokens", rotate)
            .await
            .map_err(store_error)
    }

    /// Whether there was such a session.
    pub async fn delete_session(&self, id: SessionId) -> Result<bool, StoreError> {
        let delete = || sqlx::query("DELETE FROM sessions WHERE id = $1").bind(id);
        self.delete_sessions(delete)
            .await
            .map(|deleted| deleted > 0)
    }

    /// Whether the user had such a session.
    pub async fn delete_session_of(&self, user: UserId, id: SessionId) -> Result<bool, StoreError> {
        let delete = || {
            sqlx::query("DELETE FROM sessions WHERE id = $1 AND user_id = $2")
                .bind(id)
                .bind(user)
        };
        self.delete_sessions(delete)
            .await
            .map(|deleted| deleted > 0)
    }

    pub async fn delete_session_by_cookie(&self, cookie: &Token) -> Result<(), StoreError> {
        let delete =
            || sqlx::query("DELETE FROM sessions WHERE cookie_hash = $1").bind(cookie.digest());
        self.delete_sessions(delete).await.map(drop)
    }

    /// All sessions of the user but `kept`.
    pub async fn delete_sessions_of(
        &self,
        user: UserId,
        kept: Option<SessionId>,
    ) -> Result<(), StoreError> {
        let delete = || {
            sqlx::query("DELETE FROM sessions WHERE user_id = $1 AND id <> $2")
                .bind(user)
                .bind(kept.unwrap_or(Uuid::nil()))
        };
        self.delete_sessions(delete).await.map(drop)
    }

    pub async fn delete_expired_sessions(&self, now: DateTime<Utc>) -> Result<u64, StoreError> {
        let delete = || sqlx::query("DELETE FROM sessions WHERE expires_at <= $1").bind(now);
        self.delete_sessions(delete).await
    }

    pub async fn count_sessions(&self, now: DateTime<Utc>) -> Result<i64, StoreError> {
        let count = sqlx::query_scalar("SELECT COUNT(*) FROM sessions WHERE expires_at > $1")
            .bind(now)
            .fetch_one(self.db.pool());
        self.db
            .timed("count", "sessions", count)
            .await
            .map_err(store_error)
    }

    async fn delete_sessions<'q>(
        &self,
        delete: impl Fn() -> Statement<'q>,
    ) -> Result<u64, StoreError> {
        let delete = || delete().execute(self.db.pool());
        let deleted = self.db.write("delete", "sessions", delete).await;
        Ok(deleted.map_err(store_error)?.rows_affected())
    }
}

fn insert_refresh_token(token: &Token, session: SessionId) -> Statement<'static> {
    sqlx::query("INSERT INTO refresh_tokens (hash, session_id) VALUES ($1, $2)")
        .bind(token.digest())
        .bind(session)
}

fn user_and_session(row: &Row) -> sqlx::Result<(User, Session)> {
    let session = Session {
        id: row.try_get("session_id")?,
        is_browser: row.try_get("is_browser")?,
        agent: row.try_get("agent")?,
        created_at: row.try_get("opened_at")?,
        seen_at: row.try_get("seen_at")?,
        expires_at: row.try_get("expires_at")?,
        ends_at: row.try_get("ends_at")?,
    };
    Ok((user(row)?, session))
}
