//! The cache against the plainest model of it, under random operations.

use std::collections::HashMap;

use app::infra::cache::{Loaded, Source, Store};

use super::{Bench, strings};

/// A small generator of numbers that repeat for the same seed (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}

/// What the model knows of a key.
struct Kept {
    value: String,
    tags: Vec<String>,
    /// Seconds on the clock.
    expires: u64,
    memory_until: u64,
    /// Certainly on disk: the store was closed since.
    settled: bool,
}

struct Model {
    now: u64,
    kept: HashMap<String, Kept>,
}

impl Model {
    fn check(&mut self, key: &str, value: &str, source: Source, what: &str) {
        let now = self.now;
        let valid = self.kept.get_mut(key).filter(|kept| now < kept.expires);
        let Some(kept) = valid else {
            assert_eq!(
                source,
                Source::Loader,
                "{what}: {key} is served, though it is not valid"
            );
            return;
        };
        match source {
            Source::Loader => {
                assert!(now >= kept.memory_until, "{what}: {key} was in memory");
                assert!(!kept.settled, "{what}: {key} was on disk");
            }
            Source::L1 | Source::L2 => {
                assert_eq!(value, kept.value, "{what}: {key}");
                let in_memory = now < kept.memory_until;
                assert_eq!(source == Source::L1, in_memory, "{what}: the tier of {key}");
            }
        }
        if source == Source::L2 {
            kept.memory_until = kept.expires.min(now + 60);
        }
    }
}

async fn fetch(store: &Store, model: &mut Model, random: &mut Random, step: u64, what: &str) {
    let key = format!("k{}", random.below(6));
    let tags: Vec<String> = (0..random.below(3))
        .map(|_| format!("t{}", random.below(3)))
        .collect();
    let fresh = format!("value {step}");
    let load = async || {
        let loaded = Loaded::new(fresh.clone());
        Ok::<_, ()>(tags.iter().fold(loaded, Loaded::tag))
    };
    let found = strings(store).fetch(&key, load).await.expect("loads");
    model.check(&key, &found.value, found.source, what);
    if found.source == Source::Loader {
        let kept = Kept {
            value: fresh.clone(),
            tags: tags.clone(),
            expires: model.now + 3600,
            memory_until: model.now + 60,
            settled: false,
        };
        model.kept.insert(key, kept);
    }
}

#[tokio::test]
async fn whatever_happens_only_valid_values_are_served_from_where_they_should_be() {
    for seed in 0..12 {
        let bench = Bench::new();
        let mut random = Random(seed);
        let mut store = bench.open();
        let mut model = Model {
            now: 0,
            kept: HashMap::new(),
        };
        for step in 0..150 {
            let what = format!("seed {seed}, step {step}");
            match random.below(20) {
                0..13 => fetch(&store, &mut model, &mut random, step, &what).await,
                13..16 => {
                    let tag = format!("t{}", random.below(3));
                    store.invalidate_tags([&tag]);
                    model.kept.retain(|_, kept| !kept.tags.contains(&tag));
                }
                16..18 => {
                    let seconds = [1, 30, 60, 1800][usize::try_from(random.below(4)).unwrap()];
                    bench.advance(seconds);
                    model.now += seconds;
                }
                18 => {
                    store = bench.reopen(store).await;
                    for kept in model.kept.values_mut() {
                        (kept.settled, kept.memory_until) = (true, 0);
                    }
                }
                _ => {
                    drop(store);
                    store = bench.open_when_released();
                    model.kept.clear();
                }
            }
        }
        store.close().await;
    }
}
