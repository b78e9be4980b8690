//! Single flight: of all who miss the same key at the same time, one loads and the others get what it loaded.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;
use tokio::sync::watch;

/// The loads on their way in one namespace, by key and type of result.
#[derive(Default)]
pub(super) struct Flights(Mutex<HashMap<FlightKey, Flight, RandomState>>);

struct Flight {
    began: u64,
    /// A [`watch::Receiver`] of an optional result.
    receiver: Box<dyn Any + Send>,
}

type FlightKey = (Arc<str>, TypeId);

/// Waits for a result. It ends without one if the leader is gone.
pub(super) struct Follower<T> {
    /// The generation in which the flight began.
    pub began: u64,
    receiver: watch::Receiver<Option<T>>,
}

/// The duty to bring a result. Dropped without one, for example by a panic, it lets the followers go and the key is
/// free again.
pub(super) struct Leader<T> {
    flights: Arc<Flights>,
    key: FlightKey,
    result: watch::Sender<Option<T>>,
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
                let Flight { began, receiver } = flight.get();
                let receiver = receiver.downcast_ref::<watch::Receiver<Option<T>>>();
                let follower = Follower {
                    began: *began,
                    receiver: receiver.expect("the key names the type").clone(),
                };
                (follower, None)
            }
            Entry::Vacant(place) => {
                let (result, receiver) = watch::channel(None);
                let leader = Leader {
                    flights: Arc::clone(self),
                    key: place.key().clone(),
                    result,
                };
                place.insert(Flight {
                    began: now,
                    receiver: Box::new(receiver.clone()),
                });
                let follower = Follower {
                    began: now,
                    receiver,
                };
                (follower, Some(leader))
            }
        }
    }

    fn map(&self) -> MutexGuard<'_, HashMap<FlightKey, Flight, RandomState>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Clone> Follower<T> {
    pub async fn result(mut self) -> Option<T> {
        let result = self.receiver.wait_for(Option::is_some).await.ok()?;
        result.clone()
    }
}

impl<T> Leader<T> {
    /// Ends the flight. Who comes later finds the value in the cache, or begins another flight.
    pub fn land(self, result: T) {
        self.result.send_replace(Some(result));
    }
}

impl<T> Drop for Leader<T> {
    fn drop(&mut self) {
        self.flights.map().remove(&self.key);
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
