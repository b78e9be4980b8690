//! Every generated service that differs in Rust: checked, tested, started, asked and stopped.
//!
//! One test after the other, because all share one target folder: `cargo test --test services [-- FILTER]`.

mod balancer;
mod domains;
mod frontend;
mod redis;
mod refusals;
mod service;

use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use libtest_mimic::{Arguments, Failed, Trial};
use service::Generated;
use xtask::process;
use xtask::profiles;
use xtask::repo;
use xtask::template::Config;

pub type Check = fn(&Generated) -> anyhow::Result<()>;

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
    let times: Arc<Mutex<Vec<_>>> = Arc::default();
    let compiled = profiles::compiled(&config);
    for (number, profile) in compiled.iter().enumerate() {
        let mut checks = CHECKS.to_vec();
        if profile.name == "defaults" {
            checks.push(("passes_its_own_check", Generated::passes_its_own_check));
            checks.push(("passes_its_own_tests", Generated::passes_its_own_tests));
            checks.extend(balancer::OF_THE_DEFAULTS);
        } else if tested.contains(&profile.name) {
            checks.push((
                "passes_its_own_tests_beside_those_of_the_cache",
                Generated::passes_the_tests_beside_the_cache,
            ));
            checks.push((
                "documents_itself_without_a_broken_link",
                Generated::documents_itself,
            ));
        }
        // The other answers make no difference to these, so one profile with the answer is enough.
        let is_first = |option: &str, choice: &str| {
            let mut others = compiled.iter().filter(|other| tested.contains(&other.name));
            let first = others.find(|other| other.takes(option, choice));
            first.is_some_and(|first| first.name == profile.name)
        };
        if is_first("database", "sqlite") {
            checks.extend(refusals::OF_SQLITE);
        }
        if is_first("database", "postgres") {
            checks.extend(refusals::OF_POSTGRES);
        }
        if is_first("features", "redis") {
            checks.extend(redis::OF_ONE);
        }
        if profile.takes("features", "redis") {
            checks.extend(redis::OF_EACH);
        }
        if is_first("frontend", "spa") {
            checks.extend(frontend::OF_AN_APPLICATION);
        }
        if is_first("frontend", "pages") {
            checks.extend(domains::WITH_PAGES);
        }
        if is_first("frontend", "none") {
            checks.extend(domains::WITHOUT_PAGES);
        }
        let generated = Arc::new(Generated::later(profile.clone(), number));
        for (name, check) in checks {
            let generated = Arc::clone(&generated);
            let name = format!("{}::{name}", generated.profile.name);
            let (times, own_name) = (Arc::clone(&times), name.clone());
            trials.push(Trial::test(name, move || {
                let started = Instant::now();
                let result = check(&generated);
                let mut times = times.lock().expect("no holder panics");
                times.push((started.elapsed(), own_name));
                result.map_err(|error| Failed::from(indented(&error)))
            }));
        }
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    // For who wants the suite to be faster.
    let mut times = times.lock().expect("no holder panics");
    times.sort();
    for (took, name) in times.iter().rev().take(20) {
        println!("{:>7.1} s  {name}", took.as_secs_f32());
    }
    conclusion.exit_code()
}

/// What a generated service's own tests print must not be taken for results of these.
fn indented(error: &anyhow::Error) -> String {
    format!("{error:#}").replace('\n', "\n    ")
}
