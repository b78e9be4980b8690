//! Every generated service that differs in Rust: checked, tested, started, asked and stopped.
//!
//! One test after the other, because all share one target folder: `cargo test --test services [-- FILTER]`.

mod domains;
mod frontend;
mod redis;
mod refusals;
mod service;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use libtest_mimic::{Arguments, Failed, Trial};
use service::Generated;
use xtask::process;
use xtask::profiles;
use xtask::repo;
use xtask::template::Config;

type Check = fn(&Generated) -> anyhow::Result<()>;

/// In this order, for every profile.
const CHECKS: [(&str, Check); 4] = [
    (
        "uses_all_its_dependencies",
        Generated::uses_all_its_dependencies,
    ),
    ("has_no_clippy_warning", Generated::has_no_clippy_warning),
    (
        "keeps_the_versions_of_the_shipped_lock",
        Generated::keeps_the_versions_of_the_shipped_lock,
    ),
    (
        "answers_and_stops_cleanly",
        Generated::answers_and_stops_cleanly,
    ),
];

fn main() -> ExitCode {
    process::handle_interrupts().expect("signals can be handled");
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let config = Config::read(repo::root()).expect("the template's configuration can be read");
    let tested = profiles::tested(&config);
    let mut trials = Vec::new();
    for (number, profile) in profiles::compiled(&config).into_iter().enumerate() {
        let mut checks = CHECKS.to_vec();
        if profile.name == "defaults" {
            checks.push(("passes_its_own_tests", Generated::passes_its_own_tests));
        } else if tested.contains(&profile.name) {
            checks.push((
                "passes_its_own_tests_beside_those_of_the_cache",
                Generated::passes_the_tests_beside_the_cache,
            ));
        }
        if tested.contains(&profile.name) {
            checks.push((
                "documents_itself_without_a_broken_link",
                Generated::documents_itself,
            ));
        }
        checks.extend(refusals::of(&profile));
        checks.extend(redis::of(&profile));
        checks.extend(frontend::of(&profile));
        checks.extend(domains::of(&profile));
        let generated = Arc::new(Generated::later(profile, number));
        for (name, check) in checks {
            let generated = Arc::clone(&generated);
            trials.push(Trial::test(
                format!("{}::{name}", generated.profile.name),
                move || timed(|| check(&generated)).map_err(|error| Failed::from(indented(&error))),
            ));
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Says how long it took, for who wants the suite to be faster.
fn timed<T>(check: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let result = check();
    println!("{:>7.1} s", started.elapsed().as_secs_f32());
    result
}

/// What a generated service's own tests print must not be taken for results of these.
fn indented(error: &anyhow::Error) -> String {
    format!("{error:#}").replace('\n', "\n    ")
}
