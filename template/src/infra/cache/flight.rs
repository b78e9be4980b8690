//! Single flight: of all who miss the same key at the same time, one loads and the others get what it loaded.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use foldhash::fast::RandomState;
use tokio::sync::Notify;

/// The loads on their way in one namespace.
#[derive(Default)]
pub(super) struct Flights(Mutex<Map>);

/// Each is a [`Flight`] of the type in its key.
type Map = HashMap<FlightKey, Arc<dyn Any + Send + Sync>, RandomState>;

type FlightKey = (Arc<str>, TypeId);

struct Flight<T> {
    /// The generation in which it began.
    began: u64,
    /// `None` if the leader is gone without one.
    result: OnceLock<Option<T>>,
    has_landed: Notify,
}

/// Waits for a result. It ends without one if the leader is gone.
pub(super) struct Follower<T>(Arc<Flight<T>>);

/// The duty to bring a result. Dropped without one, for example by a panic, it lets the followers go and the key is
/// free again.
pub(super) struct Leader<T> {
    flights: Arc<Flights>,
    key: FlightKey,
    flight: Arc<Flight<T>>,
}

impl Flights {
    /// Joins the flight for `key`. Who is first, in the generation `now`, also gets the duty to lead it.
    pub fn join<T>(self: &Arc<Self>, key: &str, now: u64) -> (Follower<T>, Option<Leader<T>>)
    where
        T: Clone + Send + Sync + 'static,
    {
        let key: FlightKey = (key.into(), TypeId::of::<T>());
        match self.map().entry(key) {
            Entry::Occupied(flight) => {
                let flight = Arc::clone(flight.get()).downcast();
                let flight = flight.unwrap_or_else(|_| panic!("the key names the type"));
                (Follower(flight), None)
            }
            Entry::Vacant(place) => {
                let flight = Arc::new(Flight {
                    began: now,
                    result: OnceLock::new(),
                    has_landed: Notify::new(),
                });
                let leader = Leader {
                    flights: Arc::clone(self),
                    key: place.key().clone(),
                    flight: Arc::clone(&flight),
                };
                place.insert(Arc::clone(&flight) as _);
                (Follower(flight), Some(leader))
            }
        }
    }

    fn map(&self) -> MutexGuard<'_, Map> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Clone> Follower<T> {
    /// The generation in which the flight began.
    pub fn began(&self) -> u64 {
        self.0.began
    }

    pub async fn result(self) -> Option<T> {
        // Before the look: it hears of a landing from here on.
        let landing = self.0.has_landed.notified();
        if self.0.result.get().is_none() {
            landing.await;
        }
        self.0.result.get().cloned().flatten()
    }
}

impl<T> Leader<T> {
    /// Ends the flight. Who comes later finds the value in the cache, or begins another flight.
    pub fn land(self, result: T) {
        self.flight.result.get_or_init(|| Some(result));
    }
}

impl<T> Drop for Leader<T> {
    fn drop(&mut self) {
        self.flight.result.get_or_init(|| None);
        self.flights.map().remove(&self.key);
        self.flight.has_landed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_leads_and_all_get_its_result() {
        let flights = Arc::new(Flights::default());
        let (first, leader) = flights.join::<u32>("key", 0);
        let (second, none) = flights.join::<u32>("key", 0);
        assert!(none.is_none());
        leader.unwrap().land(7);
        assert_eq!(first.result().await, Some(7));
        assert_eq!(second.result().await, Some(7));
    }

    #[tokio::test]
    async fn a_leader_that_is_gone_frees_the_key_and_its_followers() {
        let flights = Arc::new(Flights::default());
        let (follower, leader) = flights.join::<u32>("key", 0);
        drop(leader);
        assert_eq!(follower.result().await, None);
        assert!(flights.join::<u32>("key", 0).1.is_some());
    }

    #[tokio::test]
    async fn keys_and_types_of_result_do_not_mix() {
        let flights = Arc::new(Flights::default());
        let (_follower, _leader) = flights.join::<u32>("key", 0);
        assert!(flights.join::<u32>("other", 0).1.is_some());
        assert!(flights.join::<u64>("key", 0).1.is_some());
    }
}
