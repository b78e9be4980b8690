//! Both tiers against the plainest model of them, through restarts and crashes.

use std::collections::HashMap;

use app::infra::cache::{Loaded, Policy, Source, Store};

use super::{Bench, Meter, SECOND, load, strings, until};

/// What the model knows of a key. Times are seconds.
struct Kept {
    value: String,
    tags: Vec<String>,
    expires: u64,
    memory_until: u64,
}

#[derive(Default)]
struct Model {
    now: u64,
    loads: u64,
    kept: HashMap<String, Kept>,
}

impl Model {
    /// Whether an answer may be so.
    fn check(&mut self, key: &str, value: &str, source: Source) {
        let now = self.now;
        let valid = self.kept.get_mut(key).filter(|kept| now < kept.expires);
        let Some(kept) = valid else {
            assert_eq!(source, Source::Loader, "{key} is not valid");
            return;
        };
        assert_eq!(value, kept.value, "{key}");
        if now < kept.memory_until {
            assert_eq!(source, Source::L1, "{key}");
        } else {
            assert_eq!(source, Source::L2, "{key}");
            kept.memory_until = kept.expires.min(now + 60);
        }
    }
}

async fn fetch(store: &Store, model: &mut Model, random: &mut fastrand::Rng, fresh: String) {
    let key = format!("k{}", random.u8(..6));
    let tags = (0..random.u8(..3)).map(|_| format!("t{}", random.u8(..3)));
    let tags: Vec<String> = tags.collect();
    let loaded = tags.iter().fold(Loaded::new(fresh.clone()), Loaded::tag);
    let found = load(&strings(store), &key, &Policy::new(), Ok(loaded)).await;
    let found = found.expect("loads");
    model.check(&key, &found, found.source());
    if found.source() == Source::Loader {
        let kept = Kept {
            value: fresh,
            tags,
            expires: model.now + 3600,
            memory_until: model.now + 60,
        };
        model.loads += 1;
        model.kept.insert(key, kept);
    }
}

#[tokio::test]
async fn through_restarts_and_crashes_only_valid_values_are_served_from_where_they_should_be() {
    for seed in 0..10 {
        let (bench, meter) = (Bench::new(), Meter::new());
        let _here = meter.listen();
        let mut random = fastrand::Rng::with_seed(seed);
        let mut store = bench.open().await;
        let mut model = Model::default();
        for step in 0..150 {
            // Shown if it fails.
            println!("seed {seed}, step {step}, second {}", model.now);
            match random.u8(..40) {
                0..26 => {
                    fetch(&store, &mut model, &mut random, step.to_string()).await;
                    // The clock of the test is faster than any disk.
                    until(|| meter.count("cache_sets_total{tier=\"l2\"}") == model.loads).await;
                }
                26..32 => {
                    let tag = format!("t{}", random.u8(..3));
                    store.invalidate_tags([&tag]).await;
                    model.kept.retain(|_, kept| !kept.tags.contains(&tag));
                }
                32..36 => {
                    let seconds = [1, 30, 60, 1800][random.usize(..4)];
                    bench.advance(u32::try_from(seconds).expect("few") * SECOND);
                    model.now += seconds;
                }
                36 => store.sweep().await,
                37..39 => {
                    store = bench.reopen(store).await;
                    for kept in model.kept.values_mut() {
                        kept.memory_until = 0;
                    }
                }
                _ => {
                    drop(store);
                    store = bench.open().await;
                    model.kept.clear();
                }
            }
        }
        store.close().await;
    }
}
