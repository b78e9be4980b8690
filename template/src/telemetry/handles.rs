//! The handles of a metric with labels, each looked up once.

use std::borrow::Borrow;
use std::fmt;
use std::hash::Hash;

use foldhash::fast::RandomState;
use papaya::HashMap;

/// A handle for each value that the labels have had. They are kept for good, so the values must be few.
pub struct Handles<K, H> {
    make: fn(&K) -> H,
    made: HashMap<K, H, RandomState>,
}

impl<K: Hash + Eq, H: Clone> Handles<K, H> {
    /// `make` registers the metric with labels of these values. Nothing that records may start after that.
    #[must_use]
    pub fn new(make: fn(&K) -> H) -> Self {
        Self {
            make,
            made: HashMap::default(),
        }
    }

    /// Allocates for values that are new only.
    pub fn get<Q>(&self, values: &Q) -> H
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let made = self.made.pin();
        if let Some(handle) = made.get(values) {
            return handle.clone();
        }
        let values = values.to_owned();
        let handle = (self.make)(&values);
        made.get_or_insert(values, handle).clone()
    }
}

impl<K, H> fmt::Debug for Handles<K, H> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Handles").finish_non_exhaustive()
    }
}
