//! Accounts: who somebody is, where they are signed in, and what they may do. docs/accounts.md tells how it works.{% capture body %}

mod access_token;
mod accounts;
mod api;
mod command;
mod cookie;
mod domain;
mod error;
mod fences;
mod guard;
mod hashing;
mod mail; //~{% if frontend == "pages" %}
mod pages; //~{% endif %}
mod responses;
mod sessions;
mod settings;
mod storage;
mod token;

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use metrics::{describe_counter, describe_gauge};

use self::access_token::Keys;
use self::accounts::Accounts;
use self::cookie::SessionCookie;
use self::hashing::Hasher;
use self::mail::PostOffice;
use self::sessions::Sessions;
use self::storage::Store;
use crate::component::{Component, Routes, Task};
use crate::http::rate_limit::{Quota, RateLimiter};
use crate::platform::Platform;

pub use self::command::{NewUser, UsersCommand, access_token_for};
pub use self::domain::{Permission, Role};
pub use self::guard::{ManageUsers, Needs, Require, SignedIn};
pub use self::sessions::Caller;
pub use self::settings::AuthSettings;

/// Bytes of a request to one of its routes: what somebody says of themselves is short.
const MOST_BODY: u64 = 16 * 1024;

/// Accounts and sessions, for handlers and fences. A cheap handle.
#[derive(Clone)]
pub struct Auth {
    accounts: Arc<Accounts>,
    sessions: Arc<Sessions>,
    cookie: SessionCookie,
    /// What a user may ask, from however many addresses.
    limiter: Option<RateLimiter>,
}

impl Auth {
    /// The accounts of this service, and the task that sends their mails.
    ///
    /// # Errors
    /// If the settings do not fit together, or production lacks a secret.
    fn open(platform: &Platform) -> anyhow::Result<(Self, PostOffice)> {
        let settings = &platform.settings.auth;
        let environment = platform.settings.environment;
        let clock = &platform.clock;
        let store = Store::new(platform.database.clone());
        let keys = Keys::new(settings, environment.is_production())?;
        let sessions = Sessions::new(store.clone(), keys, settings, clock.clone());
        let (outbox, office) = PostOffice::open(
            settings,
            environment.is_production(),
            platform.settings.server.public_url(),
            store.clone(),
            platform.events.clone(),
            clock.clone(),
        )?;
        let quota = Quota::new(settings.attempts, settings.attempts_window);
        let accounts = Accounts {
            store,
            sessions: sessions.clone(),
            hasher: Hasher::new(&settings.password)?,
            tries: platform.rate_limits.limiter("login", quota),
            requests: platform.rate_limits.limiter("account_mail", quota),
            outbox,
            events: platform.events.clone(),
            clock: clock.clone(),
        };
        let is_encrypted = platform.settings.server.public_url().starts_with("https:");
        let cookie = SessionCookie {
            is_secure: is_encrypted || !environment.is_development(),
        };
        let auth = Self {
            accounts: Arc::new(accounts),
            sessions: Arc::new(sessions),
            cookie,
            limiter: platform
                .settings
                .rate_limit
                .quota()
                .map(|quota| platform.rate_limits.limiter("user", quota)),
        };
        Ok((auth, office))
    }

    fn component(self, office: PostOffice, platform: &Platform) -> Component {
        describe();
        let stop = &platform.stop_tasks;
        let sweep = Sessions::clone(&self.sessions).sweep_until(stop.clone());
        let deliver = office.deliver_until(stop.clone());
        let mut pages = Routes::new();
        if platform.settings.environment.is_development() {
            pages = pages.merge(mail::routes(platform.settings.auth.mail.dir.clone()));
        } //~{% if frontend == "pages" %}
        pages = pages.merge(pages::routes(self.clone(), platform)); //~{% endif %}
        let most = platform.settings.server.max_body.as_u64().min(MOST_BODY);
        let limit = DefaultBodyLimit::max(usize::try_from(most).unwrap_or(usize::MAX));
        Component {
            name: "accounts",
            api: api::routes(self).layer(limit),
            pages: pages.wrap(|pages| pages.layer(limit)),
            tasks: vec![
                Task::new("session sweep", sweep),
                Task::new("mail", deliver),
            ],
            ..Component::default()
        }
    }
}

/// Puts a fence around each of `components`, and adds the accounts.
#[must_use]
pub fn protect(components: Vec<Component>, platform: &Platform) -> Vec<Component> {
    let opened = Auth::open(platform).and_then(|(auth, office)| {
        let mut components = fences::around(components, &auth)?;
        components.push(auth.component(office, platform));
        Ok(components)
    });
    opened.unwrap_or_else(|error| {
        vec![Component {
            name: "accounts",
            refused: Some(error),
            ..Component::default()
        }]
    })
}

fn describe() {
    describe_counter!(
        "authentication_attempts_total",
        "Attempts to sign in, by result."
    );
    describe_gauge!(
        "active_sessions",
        "Sessions that are not over, counted every minute."
    );
} //~{% endcapture %}{{ body | remove: " //~" | remove: "//+ " }}
