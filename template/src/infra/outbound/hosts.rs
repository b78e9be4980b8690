//! A circuit breaker for each host that was called lately.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::Url;

use crate::domain::clock::Clock;
use crate::infra::resilience::{Breaker, BreakerSettings, BreakerState};

/// Users can name any number of hosts.
const MOST: usize = 256;

/// Half of the last calls.
const SETTINGS: BreakerSettings = BreakerSettings {
    failures: 5,
    of: 10,
    open_for: Duration::from_secs(10),
};

pub(super) struct Hosts {
    breakers: Mutex<HashMap<String, Breaker>>,
    clock: Clock,
}

impl Hosts {
    pub fn new(clock: Clock) -> Self {
        Self {
            breakers: Mutex::default(),
            clock,
        }
    }

    /// The host of an address, with its port, and its breaker.
    pub fn breaker(&self, url: &Url) -> (String, Breaker) {
        let port = url.port_or_known_default().unwrap_or_default();
        let host = format!("{}:{port}", url.host_str().unwrap_or_default());
        let mut breakers = self.breakers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(breaker) = breakers.get(&host) {
            return (host, breaker.clone());
        }
        if breakers.len() >= MOST {
            // A closed one knows little that is worth keeping.
            breakers.retain(|_, breaker| breaker.state() != BreakerState::Closed);
        }
        if breakers.len() >= MOST {
            breakers.clear();
        }
        let breaker = Breaker::one_of_many("outbound", SETTINGS, self.clock.clone());
        breakers.insert(host.clone(), breaker.clone());
        (host, breaker)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(number: usize) -> Url {
        Url::parse(&format!("https://host-{number}.example/path")).unwrap()
    }

    #[test]
    fn a_host_keeps_its_breaker_and_shares_it_with_no_other() {
        let hosts = Hosts::new(Clock::system());
        let (name, breaker) = hosts.breaker(&url(1));
        assert_eq!(name, "host-1.example:443");
        for _ in 0..5 {
            breaker.admit().unwrap().fail();
        }
        assert_eq!(hosts.breaker(&url(1)).1.state(), BreakerState::Open);
        assert_eq!(hosts.breaker(&url(2)).1.state(), BreakerState::Closed);
    }

    #[test]
    fn any_number_of_hosts_takes_bounded_room_and_an_open_breaker_outlives_closed_ones() {
        let hosts = Hosts::new(Clock::system());
        let (_, open) = hosts.breaker(&url(0));
        for _ in 0..5 {
            open.admit().unwrap().fail();
        }
        for number in 0..10 * MOST {
            hosts.breaker(&url(number));
            assert!(hosts.breakers.lock().unwrap().len() <= MOST);
        }
        assert_eq!(hosts.breaker(&url(0)).1.state(), BreakerState::Open);
    }
}
