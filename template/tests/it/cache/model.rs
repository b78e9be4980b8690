//! The cache in memory against the plainest model of it: ten thousand random sequences of operations.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use app::infra::cache::{Cache, Cached, Loaded, Policy, Source, Store};

use super::{Bench, Failure, Loading, settle};

const KEYS: [&str; 3] = ["a", "b", "c"];
const NAMESPACES: [&str; 2] = ["one", "two"];
const TAGS: [&str; 3] = ["red", "green", "blue"];

/// A refresh that failed is not tried again for so long.
const PAUSE: u64 = 1000;

/// A namespace and a key.
type Place = (usize, usize);

/// What the model knows of an entry. Times are milliseconds.
#[derive(Clone, Debug)]
struct Entry {
    value: String,
    tags: Vec<&'static str>,
    stale_at: u64,
    ends_at: u64,
    no_refresh_before: u64,
}

/// How long a call wants a value to be kept, in milliseconds.
#[derive(Clone, Copy, Debug)]
struct Terms {
    ttl: Option<u64>,
    window: u64,
    negative: u64,
    tag: Option<&'static str>,
}

impl Terms {
    fn any(random: &mut fastrand::Rng) -> Self {
        let mut pick = |choices: [u64; 3]| choices[random.usize(..3)];
        let (ttl, window, negative) = (
            pick([0, 500, 3000]),
            pick([0, 700, 5000]),
            pick([1, 400, 4000]),
        );
        Self {
            ttl: (ttl > 0).then_some(ttl),
            window,
            negative,
            tag: random.bool().then(|| TAGS[random.usize(..TAGS.len())]),
        }
    }

    fn policy(&self) -> Policy {
        let policy = Policy::new()
            .stale_for(Duration::from_millis(self.window))
            .negative_ttl(Duration::from_millis(self.negative));
        let policy = match self.ttl {
            Some(ttl) => policy.ttl(Duration::from_millis(ttl)),
            None => policy.forever(),
        };
        self.tag.into_iter().fold(policy, Policy::tag)
    }
}

/// What a loader comes back with.
#[derive(Clone, Debug)]
enum Outcome {
    Value(Vec<&'static str>),
    Absent(Vec<&'static str>),
    NotKept,
    Failure,
}

impl Outcome {
    fn any(random: &mut fastrand::Rng) -> Self {
        let tags = (0..random.usize(..3)).map(|_| TAGS[random.usize(..TAGS.len())]);
        let tags = tags.collect();
        match random.u8(..10) {
            0..6 => Self::Value(tags),
            6..8 => Self::Absent(tags),
            8 => Self::NotKept,
            _ => Self::Failure,
        }
    }

    fn loading(&self, value: &str) -> Loading {
        let (loaded, tags) = match self {
            Self::Value(tags) => (Loaded::new(value.to_owned()), &tags[..]),
            Self::Absent(tags) => (Loaded::absent(value.to_owned()), &tags[..]),
            Self::NotKept => (Loaded::not_kept(value.to_owned()), &[][..]),
            Self::Failure => return Err(Failure::Own("down")),
        };
        Ok(tags.iter().fold(loaded, Loaded::tag))
    }
}

struct World<'a> {
    bench: &'a Bench,
    store: Store,
    random: fastrand::Rng,
    now: u64,
    entries: HashMap<Place, Entry>,
    /// What was found last, and whether it is still what is kept.
    held: Option<(Place, Cached<String>)>,
    values: u64,
}

impl<'a> World<'a> {
    fn new(bench: &'a Bench, seed: u64) -> Self {
        Self {
            store: bench.in_memory(),
            bench,
            random: fastrand::Rng::with_seed(seed),
            now: 0,
            entries: HashMap::new(),
            held: None,
            values: 0,
        }
    }

    fn cache(&self, place: Place) -> Cache<String> {
        self.store.namespace(NAMESPACES[place.0])
    }

    fn any_place(&mut self) -> Place {
        (
            self.random.usize(..NAMESPACES.len()),
            self.random.usize(..KEYS.len()),
        )
    }

    fn new_value(&mut self) -> String {
        self.values += 1;
        self.values.to_string()
    }

    /// What is to be found there.
    fn expected(&mut self, place: Place) -> Option<(String, Source)> {
        let now = self.now;
        self.entries.retain(|_, entry| now < entry.ends_at);
        let entry = self.entries.get(&place)?;
        let source = if now < entry.stale_at {
            Source::L1
        } else {
            Source::Stale
        };
        Some((entry.value.clone(), source))
    }

    fn keep(&mut self, place: Place, terms: &Terms, outcome: &Outcome, value: &str) {
        let (ttl, window, tags) = match outcome {
            Outcome::Value(tags) => (terms.ttl, terms.window, tags),
            Outcome::Absent(tags) => (Some(terms.negative), 0, tags),
            Outcome::NotKept => {
                self.entries.remove(&place);
                return;
            }
            Outcome::Failure => return,
        };
        let stale_at = ttl.map_or(u64::MAX, |ttl| self.now + ttl);
        let entry = Entry {
            value: value.to_owned(),
            tags: tags.iter().copied().chain(terms.tag).collect(),
            stale_at,
            ends_at: stale_at.saturating_add(window),
            no_refresh_before: 0,
        };
        self.entries.insert(place, entry);
    }

    async fn fetch(&mut self) {
        let place = self.any_place();
        let terms = Terms::any(&mut self.random);
        let outcome = Outcome::any(&mut self.random);
        let value = self.new_value();
        let expected = self.expected(place);
        let (ran, loading) = (Arc::new(AtomicBool::new(false)), outcome.loading(&value));
        let has_run = ran.clone();
        let load = async move || {
            ran.store(true, Ordering::Relaxed);
            loading
        };
        let cache = self.cache(place);
        let answer = cache.fetch(KEYS[place.1], &terms.policy(), load).await;
        let is_stale = matches!(expected, Some((_, Source::Stale)));
        if is_stale {
            // The refresh in the background ends before anything else begins.
            settle().await;
        }
        let is_due = is_stale && self.now >= self.entries[&place].no_refresh_before;
        let loads = expected.is_none() || is_due;
        assert_eq!(has_run.load(Ordering::Relaxed), loads);
        match (expected, &outcome) {
            (Some(expected), _) => self.hold(place, answer.expect("never fails"), &expected),
            (None, Outcome::Failure) => {
                assert_eq!(answer.unwrap_err(), Failure::Own("down"));
            }
            (None, _) => {
                let expected = (value.clone(), Source::Loader);
                self.hold(place, answer.expect("loads"), &expected);
            }
        }
        if loads && !matches!(outcome, Outcome::Failure) {
            self.keep(place, &terms, &outcome, &value);
        } else if is_due {
            let entry = self.entries.get_mut(&place).expect("it is stale");
            entry.no_refresh_before = self.now + PAUSE;
        }
    }

    fn hold(&mut self, place: Place, found: Cached<String>, expected: &(String, Source)) {
        assert_eq!((found.as_str(), found.source()), (&*expected.0, expected.1));
        self.held = Some((place, found));
    }

    async fn get(&mut self) {
        let place = self.any_place();
        let expected = self.expected(place);
        let cache = self.cache(place);
        let is_fresh = matches!(expected, Some((_, Source::L1)));
        assert_eq!(cache.get_fresh(KEYS[place.1]).is_some(), is_fresh);
        let found = cache.get(KEYS[place.1]).await;
        assert_eq!(found.is_some(), expected.is_some());
        if let (Some(found), Some(expected)) = (found, expected) {
            self.hold(place, found, &expected);
        }
    }

    async fn set(&mut self) {
        let place = self.any_place();
        let terms = Terms::any(&mut self.random);
        let value = self.new_value();
        let cache = self.cache(place);
        cache
            .set(KEYS[place.1], &terms.policy(), value.clone())
            .await;
        self.keep(place, &terms, &Outcome::Value(Vec::new()), &value);
    }

    /// Replaces what was held, if that is still there.
    fn replace(&mut self) {
        let Some((place, held)) = self.held.take() else {
            return;
        };
        let other = self.new_value();
        self.cache(place).replace(&held, other.clone());
        let is_there = self
            .expected(place)
            .is_some_and(|(value, _)| value == *held);
        if is_there {
            let entry = self.entries.get_mut(&place).expect("it is there");
            entry.value = other;
            entry.no_refresh_before = 0;
        }
    }

    async fn step(&mut self) {
        match self.random.u8(..32) {
            0..14 => self.fetch().await,
            14..18 => self.get().await,
            18..21 => self.set().await,
            21..23 => self.replace(),
            23..25 => {
                let place = self.any_place();
                self.cache(place).invalidate(KEYS[place.1]).await;
                self.entries.remove(&place);
            }
            25..27 => {
                let tag = TAGS[self.random.usize(..TAGS.len())];
                self.store.invalidate_tags([tag]).await;
                self.entries.retain(|_, entry| !entry.tags.contains(&tag));
            }
            27 => {
                let (namespace, _) = self.any_place();
                self.cache((namespace, 0)).clear().await;
                self.entries.retain(|place, _| place.0 != namespace);
            }
            28 if self.random.bool() => {
                self.store.flush().await;
                self.entries.clear();
            }
            29 => self.store.sweep().await,
            _ => {
                let millis = [1, 399, 600, 2500][self.random.usize(..4)];
                self.bench.advance(Duration::from_millis(millis));
                self.now += millis;
            }
        }
    }
}

async fn run(seeds: std::ops::Range<u64>) {
    let bench = Bench::long();
    for seed in seeds {
        let mut world = World::new(&bench, seed);
        for _ in 0..25 {
            world.step().await;
        }
    }
}

#[tokio::test]
async fn the_cache_does_what_the_model_does_in_five_thousand_sequences() {
    run(0..5000).await;
}

#[tokio::test]
async fn and_in_five_thousand_more() {
    run(5000..10_000).await;
}
