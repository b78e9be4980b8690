//! What a request's metrics cost, which nobody can switch off: `cargo bench --bench metrics`.

use std::hint::black_box;
use std::time::Duration;

use app::telemetry::{Exporter, InFlight, RequestSeries};
use criterion::{Criterion, criterion_group, criterion_main};

/// As often as that somebody asks for them, or what has been recorded would fill the memory.
const SCRAPE_EVERY: u64 = 1000;

fn a_request(criterion: &mut Criterion) {
    let exporter = Exporter::install().expect("nothing else records");
    let mut requests = 0;
    criterion.bench_function("the metrics of a request", |bencher| {
        bencher.iter(|| {
            let _in_flight = InFlight::enter();
            let series = RequestSeries::of("GET", black_box("/articles/{slug}"), 200);
            series.record(Duration::from_micros(100), Some(4096));
            requests += 1;
            if requests % SCRAPE_EVERY == 0 {
                black_box(exporter.render());
            }
        });
    });
}

criterion_group!(benches, a_request);
criterion_main!(benches);
