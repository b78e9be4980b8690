//! Calls to other services: one pooled client with timeouts, retries within a budget, and a circuit breaker for each host.{% capture body %}
//!
//! What calls out takes [`Platform::outbound`](crate::platform::Platform::outbound) and [`send`](Outbound::send)s, as
//! [`error_reports`](super::error_reports) does, or, where a user has given the address,
//! [`send_guarded`](Outbound::send_guarded)s.

mod budget;
mod guard;
mod hosts;
mod repeat;

use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Request, Response};
use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;
use validator::Validate;

use self::budget::Budget;
use self::guard::{Forbidden, Guard};
use self::hosts::Hosts;
use super::resilience::{self, Backoff, Permit};
use crate::domain::clock::Clock;
use crate::settings::some_time; //~{% if features contains "otel" %}
use crate::telemetry::traces::spans; //~{% endif %}

const MOST_REDIRECTS: usize = 5;

/// `[outbound]`
#[derive(Clone, Debug, Deserialize, Serialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct OutboundSettings {
    #[serde(with = "humantime_serde")]
    #[validate(custom(function = some_time))]
    pub connect_timeout: Duration,
    /// How long one attempt may take, with the answer's body.
    #[serde(with = "humantime_serde")]
    #[validate(custom(function = some_time))]
    pub timeout: Duration,
    /// How often a request is sent at most.
    #[validate(range(min = 1, max = 10, message = "must be 1 to 10"))]
    pub attempts: u32,
    /// Networks that addresses given by users may lead to although they are not on the internet.
    pub allow: Vec<IpNet>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum OutboundError {
    #[error("the circuit breaker of {0} is open")]
    LeftAlone(String),
    /// The address, or one it redirects to, is not on the internet.
    #[error("the address is not on the internet")]
    Forbidden,
    #[error("the other service did not answer")]
    Failed(#[source] reqwest::Error),
}

impl From<reqwest::Error> for OutboundError {
    fn from(error: reqwest::Error) -> Self {
        if guard::has_refused(&error) {
            return Self::Forbidden;
        }
        // An address may hold a password or a token.
        Self::Failed(error.without_url())
    }
}

/// A cheap handle; clones share the connections.
#[derive(Clone)]
pub struct Outbound(Arc<Inner>);

struct Inner {
    settings: OutboundSettings,
    /// Made when they are needed: each reads the root certificates of the system.
    trusted: OnceCell<Client>,
    guarded: OnceCell<Client>,
    guard: Guard,
    hosts: Hosts,
    budget: Budget,
    backoff: Backoff,
}

impl Outbound {
    #[must_use]
    pub fn new(settings: &OutboundSettings, clock: Clock) -> Self {
        // Somebody else may have installed one, which does as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        resilience::count_from_now("outbound");
        Self(Arc::new(Inner {
            settings: settings.clone(),
            trusted: OnceCell::new(),
            guarded: OnceCell::new(),
            guard: Guard::new(settings.allow.clone()),
            hosts: Hosts::new(clock),
            budget: Budget::default(),
            backoff: Backoff {
                attempts: settings.attempts,
                first: Duration::from_millis(200),
                longest: settings.timeout,
            },
        }))
    }

    /// Sends to an address from the code or the settings. Every status is an answer, also that of a failure.
    ///
    /// # Errors
    /// If there is no answer, after as many attempts as are allowed.
    pub async fn send(&self, request: Request) -> Result<Response, OutboundError> {
        let Inner { settings, .. } = &*self.0;
        let trusted = async || {
            client(settings)
                .redirect(Policy::limited(MOST_REDIRECTS))
                .build()
        };
        let client = self.0.trusted.get_or_try_init(trusted).await?;
        self.send_through(client, request).await
    }

    /// Sends to an address that a user has given: only if it, its name's addresses and all it redirects to are on the
    /// internet, so that nobody makes the service ask its own neighbours (server-side request forgery).
    ///
    /// # Errors
    /// [`OutboundError::Forbidden`] if not, otherwise as [`send`](Self::send).
    pub async fn send_guarded(&self, request: Request) -> Result<Response, OutboundError> {
        let Inner {
            settings, guard, ..
        } = &*self.0;
        if guard.check(request.url()) == Err(Forbidden) {
            return Err(OutboundError::Forbidden);
        }
        let guarded = async || {
            client(settings)
                .redirect(guard.redirects(MOST_REDIRECTS))
                .dns_resolver(guard.clone())
                // A proxy would look up the name itself, where the guard does not see it.
                .no_proxy()
                .build()
        };
        let client = self.0.guarded.get_or_try_init(guarded).await?;
        self.send_through(client, request).await
    }

    async fn send_through(
        &self,
        client: &Client,
        mut request: Request,
    ) -> Result<Response, OutboundError> {
        let Inner { hosts, budget, .. } = &*self.0;
        let (host, breaker) = hosts.breaker(request.url());
        let may_repeat = repeat::may_repeat(&request);
        budget.deposit();
        let mut attempt = 1;
        loop {
            let next = request.try_clone();
            let Some(permit) = breaker.admit() else {
                return Err(OutboundError::LeftAlone(host));
            }; //~{% if features contains "otel" %}
            let span = spans::call(&mut request, attempt - 1); //~{% endif %}
            let sent = client.execute(request); //~{% if features contains "otel" %}
            let sent = spans::answered(span, sent); //~{% endif %}
            let result = sent.await;
            settle(permit, &result);
            if attempt > 1 {
                resilience::count("outbound", !repeat::is_worth_it(&result, true));
            }
            let pause = self.pause_before_next(attempt, &result, may_repeat);
            let (Some(pause), Some(next)) = (pause, next) else {
                return Ok(result?);
            };
            tokio::time::sleep(pause).await;
            request = next;
            attempt += 1;
        }
    }

    /// How long to wait for another attempt, or `None` if there is to be none.
    fn pause_before_next(
        &self,
        attempt: u32,
        result: &reqwest::Result<Response>,
        may_repeat: bool,
    ) -> Option<Duration> {
        let Inner {
            settings,
            backoff,
            budget,
            ..
        } = &*self.0;
        if attempt >= backoff.attempts || !repeat::is_worth_it(result, may_repeat) {
            return None;
        }
        let wanted = result.as_ref().ok().and_then(repeat::retry_after);
        let pause = backoff.pause(attempt).max(wanted.unwrap_or_default());
        (pause <= settings.timeout && budget.withdraw()).then_some(pause)
    }
}

fn client(settings: &OutboundSettings) -> ClientBuilder {
    Client::builder()
        .user_agent(concat!(
            env!("CARGO_PKG_NAME"),
            "/",
            env!("CARGO_PKG_VERSION")
        ))
        .connect_timeout(settings.connect_timeout)
        .timeout(settings.timeout)
        // The other side may be told where a request comes from, but not by which page.
        .referer(false)
}

fn settle(permit: Permit, result: &reqwest::Result<Response>) {
    match result {
        // What was refused here says nothing about the host.
        Err(error) if guard::has_refused(error) => drop(permit),
        Err(_) => permit.fail(),
        Ok(response) if response.status().is_server_error() => permit.fail(),
        Ok(_) => permit.succeed(),
    }
} //~{% endcapture %}{{ body | remove: " //~" | remove: "//+ " }}
