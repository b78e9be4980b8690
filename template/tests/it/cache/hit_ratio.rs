//! How many requests are answered from memory: as many as mini-moka would answer in the same room, although it hears of a
//! sample of the hits only.

use app::infra::cache::{LoadFailed, Loaded, Policy, Source};
use bytesize::ByteSize;
use mini_moka::sync::Cache as MiniMoka;

use super::{Bench, strings};

const KEYS: usize = 100_000;
/// How many of them there is room for.
const ROOM: u64 = 10_000;
const REQUESTS: usize = 100_000;

/// Draws keys so that the n-th is asked for n times less often than the first.
struct Zipf {
    /// The sum of the shares of each key and those before it.
    sums: Vec<f64>,
    random: fastrand::Rng,
}

impl Zipf {
    fn new() -> Self {
        let mut sum = 0.0;
        let shares = (1..=KEYS).map(|n| {
            sum += 1.0 / f64::from(u32::try_from(n).expect("a small number"));
            sum
        });
        Self {
            sums: shares.collect(),
            random: fastrand::Rng::with_seed(42),
        }
    }

    fn draw(&mut self) -> usize {
        let throw = self.random.f64() * self.sums[KEYS - 1];
        self.sums.partition_point(|&sum| sum < throw)
    }
}

/// The bytes that memory counts for an entry.
async fn bytes_of_an_entry() -> u64 {
    let store = Bench::long().in_memory();
    request(&store, 7).await;
    store.stats().l1.bytes
}

fn key(n: usize) -> String {
    format!("{n:06}")
}

/// Whether memory answers.
async fn request(store: &app::infra::cache::Store, n: usize) -> bool {
    let load = async || Ok::<_, LoadFailed>(Loaded::new(String::new()));
    let answer = strings(store).fetch(&key(n), &Policy::new(), load).await;
    answer.expect("loads").source() == Source::L1
}

#[expect(clippy::cast_precision_loss, reason = "small numbers")]
fn share(hits: usize) -> f64 {
    hits as f64 / REQUESTS as f64
}

/// The shares that the cache and a mini-moka of the same size answer from memory.
async fn hit_ratios(trace: &[usize]) -> (f64, f64) {
    let bytes = bytes_of_an_entry().await;
    let capacity = ROOM * bytes;
    let mut bench = Bench::long();
    bench.settings.l1_capacity = Some(ByteSize::b(capacity));
    let store = bench.in_memory();
    let mut hits = 0;
    for &n in trace {
        hits += usize::from(request(&store, n).await);
    }
    let weight = u32::try_from(bytes).expect("a small number");
    let plain = MiniMoka::builder()
        .max_capacity(capacity)
        .weigher(move |_, ()| weight)
        .build();
    let mut plain_hits = 0;
    for &n in trace {
        if plain.get(&n).is_some() {
            plain_hits += 1;
        } else {
            plain.insert(n, ());
        }
    }
    (share(hits), share(plain_hits))
}

fn assert_as_good(ours: f64, plain: f64) {
    println!("{ours:.4} of the requests are hits, {plain:.4} for mini-moka");
    assert!(ours > plain - 0.01, "{ours:.4}, mini-moka {plain:.4}");
}

#[tokio::test]
async fn on_a_zipf_trace_memory_answers_as_much_as_mini_moka() {
    let mut zipf = Zipf::new();
    let trace: Vec<_> = (0..REQUESTS).map(|_| zipf.draw()).collect();
    let (ours, plain) = hit_ratios(&trace).await;
    assert_as_good(ours, plain);
    assert!(ours > 0.65, "{ours:.4}");
}

#[tokio::test]
async fn scans_do_not_drive_out_what_is_asked_for() {
    let mut zipf = Zipf::new();
    let scanned = |n| KEYS + n % KEYS;
    let trace = (0..REQUESTS).map(|n| if n % 3 == 0 { scanned(n) } else { zipf.draw() });
    let (ours, plain) = hit_ratios(&trace.collect::<Vec<_>>()).await;
    assert_as_good(ours, plain);
}
