//! What one can do with accounts: the use cases, one method each.

use std::net::IpAddr;

use metrics::counter;
use uuid::Uuid;

use super::domain::{Email, Name, Password, Role, User, UserId};
use super::error::AuthError;
use super::hashing::Hasher;
use super::mail::{Letter, Outbox};
use super::sessions::{Caller, Sessions, new_id};
use super::storage::{Purpose, Store};
use super::token::Token;
use crate::domain::clock::Clock;
use crate::domain::error::{Invalid, StoreError};
use crate::domain::events::{Event, Events};
use crate::http::rate_limit::{Key, RateLimiter};

/// Users on one page of their list.
pub const PER_PAGE: u8 = 100;

/// The names of the events this service publishes.
pub mod events {
    pub const REGISTERED: &str = "user.registered";
    pub const VERIFIED: &str = "user.verified";
}

/// What somebody who wants an account tells.
pub struct Registration {
    pub email: Email,
    pub name: Name,
    pub password: Password,
}

/// A cheap handle.
#[derive(Clone)]
pub struct Accounts {
    pub(super) store: Store,
    pub(super) sessions: Sessions,
    pub(super) hasher: Hasher,
    /// To guess a password, by client and by account.
    pub(super) tries: RateLimiter,
    /// For a mail, by client and by address.
    pub(super) requests: RateLimiter,
    pub(super) outbox: Outbox,
    pub(super) events: Events,
    pub(super) clock: Clock,
}

impl Accounts {
    /// Makes an account that waits for its address to be confirmed. The answer is the same if there is one already; the
    /// mail is another.
    pub async fn register(&self, new: Registration, client: IpAddr) -> Result<(), AuthError> {
        limit(&self.requests, client).await?;
        // Every one sends a mail there.
        limit(&self.requests, new.email.as_str()).await?;
        let hash = self.hasher.hash(new.password.expose()).await?;
        let user = self.new_user(new.email, new.name, Role::Member);
        match self.store.add_user(&user, &hash).await? {
            Some(id) => {
                self.publish(events::REGISTERED, id);
                self.outbox.send(Letter::Confirm(id));
            }
            None => self.outbox.send(Letter::HasAccount(user.email)),
        }
        Ok(())
    }

    /// Adds an account that needs no confirmation; for administrators.
    ///
    /// # Errors
    /// [`AuthError::Wrong`] if the address has one.
    pub async fn add_confirmed(&self, new: Registration, role: Role) -> Result<UserId, AuthError> {
        let hash = self.hasher.hash(new.password.expose()).await?;
        let mut user = self.new_user(new.email, new.name, role);
        user.verified_at = Some(user.created_at);
        let added = self.store.add_user(&user, &hash).await?;
        added.ok_or(AuthError::Wrong("email", Invalid("has an account already")))
    }

    fn new_user(&self, email: Email, name: Name, role: Role) -> User {
        let now = self.clock.now();
        User {
            id: new_id(now),
            email,
            name,
            role,
            is_active: true,
            verified_at: None,
            created_at: now,
            updated_at: now,
        }
    }

    /// Confirms the address to which `token` was sent: it is the user's from now on. Asks for the password as well: an
    /// account that somebody else has asked for with this address must not become theirs by its owner's click.
    pub async fn verify(&self, token: &Token, password: &str) -> Result<UserId, AuthError> {
        let now = self.clock.now();
        let found = self.store.find_link(token, Purpose::Verify, now).await?;
        let link = found.ok_or(AuthError::LinkInvalid)?;
        let user = self.get(link.user).await?;
        // A password that is wrong leaves the link as it is.
        self.check_password(&user, "password", password).await?;
        if !user.is_active {
            return Err(AuthError::Inactive);
        }
        let link = self.store.take_link(token, Purpose::Verify, now).await?;
        let link = link.ok_or(AuthError::LinkInvalid)?;
        match self.store.confirm_email(link.user, &link.email, now).await {
            Ok(()) => {}
            // Somebody else has shown meanwhile that it is theirs.
            Err(StoreError::Conflict(_)) => return Err(AuthError::LinkInvalid),
            Err(error) => return Err(error.into()),
        }
        self.publish(events::VERIFIED, link.user);
        tracing::info!(user = %link.user, "an address was confirmed");
        Ok(link.user)
    }

    /// Sends a link to `email`, which becomes the address of the caller when it is followed, and tells the old address.
    pub async fn change_email(
        &self,
        caller: &Caller,
        email: Email,
        current: &str,
    ) -> Result<(), AuthError> {
        let user = &caller.user;
        self.check_password(user, "current_password", current)
            .await?;
        if email == user.email {
            return Ok(());
        }
        limit(&self.requests, email.as_str()).await?;
        tracing::info!(user = %user.id, "another address was asked for");
        self.outbox.send(Letter::Moving(user.id));
        self.outbox.send(Letter::Move(user.id, email));
        Ok(())
    }

    /// Who has this address and this password. Takes as long, and says the same, where there is no such account.
    pub async fn authenticate(
        &self,
        email: &str,
        password: &str,
        client: IpAddr,
    ) -> Result<User, AuthError> {
        let result = self.try_to_authenticate(email, password, client).await;
        let label = result.as_ref().map_or_else(AuthError::label, |_| "success");
        counter!("authentication_attempts_total", "result" => label).increment(1);
        let user = result
            .as_ref()
            .ok()
            .map(|user| tracing::field::display(user.id));
        tracing::info!(result = label, user, "an attempt to sign in");
        result
    }

    async fn try_to_authenticate(
        &self,
        email: &str,
        password: &str,
        client: IpAddr,
    ) -> Result<User, AuthError> {
        limit(&self.tries, client).await?;
        let email = Email::parse(email).ok();
        if let Some(email) = &email {
            limit(&self.tries, email.as_str()).await?;
        }
        let found = match &email {
            Some(email) => self.store.find_credentials(email).await?,
            None => None,
        };
        let stored = found.as_ref().map(|(_, hash)| hash.as_str());
        let verdict = self.hasher.verify(password, stored).await?;
        let Some((user, hash)) = found.filter(|_| verdict.matches) else {
            return Err(AuthError::InvalidCredentials);
        };
        if !user.is_active {
            return Err(AuthError::Inactive);
        }
        if user.verified_at.is_none() {
            return Err(AuthError::Unverified);
        }
        if verdict.is_outdated {
            let new = self.hasher.hash(password).await?;
            self.store.rehash_password(user.id, &hash, &new).await?;
        }
        Ok(user)
    }

    /// Sends a link to set another password, if there is an account. Whether there is one is looked up behind the answer.
    pub async fn forgot(&self, email: Email, client: IpAddr) -> Result<(), AuthError> {
        limit(&self.requests, client).await?;
        limit(&self.requests, email.as_str()).await?;
        self.outbox.send(Letter::Reset(email));
        Ok(())
    }

    /// Sets another password for whom `token` was sent to, and signs them out everywhere.
    pub async fn reset(&self, token: &Token, password: &str) -> Result<(), AuthError> {
        let now = self.clock.now();
        let found = self.store.find_link(token, Purpose::Reset, now).await?;
        let link = found.ok_or(AuthError::LinkInvalid)?;
        let user = self.get(link.user).await?;
        // Whoever reads the mails of an address that was given up has nothing to say any more.
        if user.email != link.email {
            return Err(AuthError::LinkInvalid);
        }
        // A password that is refused leaves the link as it is.
        let hash = self.hashed("password", password, &user).await?;
        let owner = self.store.take_link(token, Purpose::Reset, now).await?;
        owner.ok_or(AuthError::LinkInvalid)?;
        self.store.set_password(user.id, &hash, now).await?;
        tracing::info!(user = %user.id, "the password was set by a mailed link");
        // Whoever reads the mails of an address has it.
        self.store.confirm_email(user.id, &user.email, now).await?;
        self.outbox.send(Letter::PasswordChanged(user.id));
        self.sessions.end_all(user.id, None).await
    }

    /// Changes the password and signs the caller out everywhere else.
    pub async fn change_password(
        &self,
        caller: &Caller,
        current: &str,
        new: &str,
    ) -> Result<(), AuthError> {
        let user = &caller.user;
        self.check_password(user, "current_password", current)
            .await?;
        let hash = self.hashed("new_password", new, user).await?;
        self.store
            .set_password(user.id, &hash, self.clock.now())
            .await?;
        tracing::info!(user = %user.id, "the password was changed");
        self.outbox.send(Letter::PasswordChanged(user.id));
        self.sessions.end_all(user.id, Some(caller.session)).await
    }

    /// Asks for the password again, as what cannot be taken back does.
    async fn check_password(
        &self,
        user: &User,
        field: &'static str,
        password: &str,
    ) -> Result<(), AuthError> {
        limit(&self.tries, user.email.as_str()).await?;
        let stored = self.store.find_credentials(&user.email).await?;
        let stored = stored.as_ref().map(|(_, hash)| hash.as_str());
        if self.hasher.verify(password, stored).await?.matches {
            return Ok(());
        }
        Err(AuthError::Wrong(field, Invalid("is wrong")))
    }

    async fn hashed(
        &self,
        field: &'static str,
        password: &str,
        user: &User,
    ) -> Result<String, AuthError> {
        let password = Password::parse(password, &user.email, &user.name);
        let password = password.map_err(|rule| AuthError::Wrong(field, rule))?;
        self.hasher.hash(password.expose()).await
    }

    pub async fn rename(&self, user: UserId, name: &Name) -> Result<User, AuthError> {
        self.store.rename_user(user, name, self.clock.now()).await?;
        self.get(user).await
    }

    pub async fn get(&self, user: UserId) -> Result<User, AuthError> {
        self.store.find_user(user).await?.ok_or(AuthError::NotFound)
    }

    /// The users after the one with id `after`, in the order they came.
    pub async fn list(&self, after: Option<UserId>) -> Result<Vec<User>, AuthError> {
        Ok(self.store.list_users(after, PER_PAGE).await?)
    }

    /// Decides what a user may do. Nobody decides about themselves, so that the last administrator stays one.
    pub async fn set_access(
        &self,
        caller: &Caller,
        user: UserId,
        role: Option<Role>,
        is_active: Option<bool>,
    ) -> Result<User, AuthError> {
        if caller.user.id == user {
            return Err(AuthError::Forbidden);
        }
        let before = self.get(user).await?;
        let role = role.unwrap_or(before.role);
        let is_active = is_active.unwrap_or(before.is_active);
        self.store
            .set_access(user, role, is_active, self.clock.now())
            .await?;
        tracing::info!(
            %user, role = role.as_str(), is_active, by = %caller.user.id,
            "somebody's access was set"
        );
        if !is_active {
            self.sessions.end_all(user, None).await?;
        }
        self.get(user).await
    }

    fn publish(&self, name: &'static str, subject: Uuid) {
        self.events.publish(Event {
            name,
            subject,
            at: self.clock.now(),
        });
    }
}

async fn limit<'a>(limiter: &'a RateLimiter, key: impl Into<Key<'a>>) -> Result<(), AuthError> {
    let taken = limiter.check(key).await;
    taken.map(drop).map_err(AuthError::TooMany)
}
