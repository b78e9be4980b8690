//! Where users are signed in: browsers by a cookie, programs by tokens. The database has the last word on each, at every
//! request, so that whatever is revoked is revoked at once.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio_util::sync::CancellationToken;
use uuid::{NoContext, Timestamp, Uuid};

use super::access_token::Keys;
use super::domain::{User, UserId};
use super::error::AuthError;
use super::settings::AuthSettings;
use super::storage::{NewSession, Rotation, Session, SessionId, Store};
use super::token::Token;
use crate::domain::clock::Clock;

/// How far behind the time may be at which a session was last used: not every request is worth a write.
const SEEN_STEP: TimeDelta = TimeDelta::minutes(1);

/// How often sessions and links that are over are removed.
const SWEEP: Duration = Duration::from_mins(1);

/// Characters of what a client says it is.
const LONGEST_AGENT: usize = 200;

/// Who sends a request.
#[derive(Clone, Debug)]
pub struct Caller {
    pub user: User,
    pub session: SessionId,
}

/// What a program gets when it signs in.
#[derive(Debug)]
pub struct Tokens {
    pub access: String,
    pub access_ttl: Duration,
    pub refresh: Token,
}

/// A cheap handle.
#[derive(Clone)]
pub struct Sessions {
    store: Store,
    keys: Keys,
    clock: Clock,
    idle_ttl: Duration,
    refresh_ttl: Duration,
    session_ttl: Duration,
    verify_ttl: Duration,
}

impl Sessions {
    pub fn new(store: Store, keys: Keys, settings: &AuthSettings, clock: Clock) -> Self {
        Self {
            store,
            keys,
            clock,
            idle_ttl: settings.idle_ttl,
            refresh_ttl: settings.refresh_ttl,
            session_ttl: settings.session_ttl,
            verify_ttl: settings.verify_ttl,
        }
    }

    /// How long a browser may keep its cookie.
    pub fn ttl(&self) -> Duration {
        self.session_ttl
    }

    /// Signs a browser in, out of the session that it may have had: nobody can know the new one beforehand.
    pub async fn open_for_browser(
        &self,
        user: UserId,
        agent: &str,
        before: Option<&Token>,
    ) -> Result<Token, AuthError> {
        let cookie = Token::random();
        self.open(user, agent, Some(&cookie), None).await?;
        if let Some(before) = before {
            self.store.delete_session_by_cookie(before).await?;
        }
        Ok(cookie)
    }

    /// Signs a program in.
    pub async fn open_for_program(&self, user: UserId, agent: &str) -> Result<Tokens, AuthError> {
        let refresh = Token::random();
        let session = self.open(user, agent, None, Some(&refresh)).await?;
        self.tokens(user, session, refresh)
    }

    async fn open(
        &self,
        user: UserId,
        agent: &str,
        cookie: Option<&Token>,
        refresh: Option<&Token>,
    ) -> Result<SessionId, AuthError> {
        let now = self.clock.now();
        let id = new_id(now);
        let ends_at = now + self.session_ttl;
        let new = NewSession {
            id,
            user,
            cookie,
            refresh,
            agent: shortened(agent),
            now,
            expires_at: ends_at.min(now + self.unused_ttl(cookie.is_some())),
            ends_at,
        };
        self.store.add_session(&new).await?;
        Ok(id)
    }

    /// How long a session lasts that is not used.
    fn unused_ttl(&self, is_browser: bool) -> Duration {
        if is_browser {
            self.idle_ttl
        } else {
            self.refresh_ttl
        }
    }

    fn tokens(
        &self,
        user: UserId,
        session: SessionId,
        refresh: Token,
    ) -> Result<Tokens, AuthError> {
        Ok(Tokens {
            access: self.keys.issue(user, session, self.clock.now())?,
            access_ttl: self.keys.ttl(),
            refresh,
        })
    }

    /// Gives other tokens for a refresh token, which is used up by that. One that is used twice ends its session: either
    /// the first or the second was not the client (RFC 9700, section 4.14.2).
    pub async fn refresh(&self, token: &Token) -> Result<Tokens, AuthError> {
        let (new, now) = (Token::random(), self.clock.now());
        match self.store.rotate(token, &new, now).await? {
            Rotation::Unknown => Err(AuthError::TokenInvalid),
            Rotation::Reused(session) => {
                if self.store.delete_session(session).await? {
                    tracing::warn!(%session, "a refresh token was used twice; its session is ended");
                }
                Err(AuthError::TokenInvalid)
            }
            Rotation::Done(user, _) if !user.is_active => Err(AuthError::Inactive),
            Rotation::Done(user, session) => {
                let expires_at = session.ends_at.min(now + self.refresh_ttl);
                self.store
                    .touch_session(session.id, now, expires_at)
                    .await?;
                self.tokens(user.id, session.id, new)
            }
        }
    }

    /// Who has the cookie.
    pub async fn of_cookie(&self, cookie: &Token) -> Result<Caller, AuthError> {
        let now = self.clock.now();
        let found = self.store.find_session_by_cookie(cookie, now).await?;
        let (user, session) = found.ok_or(AuthError::Unauthenticated)?;
        if now - session.seen_at >= SEEN_STEP {
            let expires_at = session.ends_at.min(now + self.idle_ttl);
            self.store
                .touch_session(session.id, now, expires_at)
                .await?;
        }
        active(user, &session)
    }

    /// Who has the access token.
    pub async fn of_access_token(&self, token: &str) -> Result<Caller, AuthError> {
        let now = self.clock.now();
        let session = self.keys.check(token, now)?;
        let found = self.store.find_session_by_id(session, now).await?;
        let (user, session) = found.ok_or(AuthError::TokenInvalid)?;
        active(user, &session)
    }

    pub async fn list(&self, user: UserId) -> Result<Vec<Session>, AuthError> {
        Ok(self.store.list_sessions(user, self.clock.now()).await?)
    }

    /// Ends one session of the user.
    pub async fn end(&self, user: UserId, session: SessionId) -> Result<(), AuthError> {
        let was_there = self.store.delete_session_of(user, session).await?;
        was_there.then_some(()).ok_or(AuthError::NotFound)
    }

    /// Ends all sessions of the user but `kept`.
    pub async fn end_all(&self, user: UserId, kept: Option<SessionId>) -> Result<(), AuthError> {
        Ok(self.store.delete_sessions_of(user, kept).await?)
    }

    /// Removes what is over and counts what is not, until `stop`.
    pub async fn sweep_until(self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(SWEEP);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            if let Err(error) = self.sweep().await {
                tracing::warn!(error = ?error, "sessions that are over could not be removed");
            }
        }
    }

    async fn sweep(&self) -> Result<(), AuthError> {
        let now = self.clock.now();
        self.store.delete_expired_sessions(now).await?;
        self.store.delete_expired_links(now).await?;
        let too_long_ago = now - self.verify_ttl;
        self.store.delete_unconfirmed_users(too_long_ago).await?;
        let active = self.store.count_sessions(now).await?;
        metrics::gauge!("active_sessions").set(u32::try_from(active).unwrap_or(u32::MAX));
        Ok(())
    }
}

fn active(user: User, session: &Session) -> Result<Caller, AuthError> {
    if !user.is_active {
        return Err(AuthError::Inactive);
    }
    Ok(Caller {
        user,
        session: session.id,
    })
}

/// A `UUIDv7` of this moment.
pub fn new_id(now: DateTime<Utc>) -> Uuid {
    let seconds = now.timestamp().unsigned_abs();
    Uuid::new_v7(Timestamp::from_unix(
        NoContext,
        seconds,
        now.timestamp_subsec_nanos(),
    ))
}

fn shortened(agent: &str) -> &str {
    let end = agent.char_indices().nth(LONGEST_AGENT);
    end.map_or(agent, |(end, _)| &agent[..end])
}
