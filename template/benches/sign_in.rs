//! What it costs to sign in, the whole way of the request, beside the hash of a password alone: `cargo bench --bench sign_in`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use app::component::{Component, Routes};
use app::domain::clock::Clock;
use app::features::auth::{NewUser, Role, protect};
use app::http::problem::Presentation;
use app::http::rate_limit::RateLimits;
use app::http::{ClientAddress, Edge};
use app::platform::Platform;
use app::settings::{self, Settings};
use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio_util::task::TaskTracker;

const EMAIL: &str = "ada@example.com";
const PASSWORD: &str = "correct horse battery staple";

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// As shipped, but that one client may try as often as it likes, and all cores work on passwords.
fn settings(folder: &TempDir) -> Settings {
    let database = format!("sqlite://{}", folder.path().join("app.db").display());
    let mails = folder.path().display().to_string();
    let variables = [
        ("APP_ENV", "test"),
        ("DATABASE_URL", &database),
        ("APP__RATE_LIMIT__ENABLED", "false"),
        ("APP__AUTH__ATTEMPTS", "1000000000"),
        ("APP__AUTH__PASSWORD__AT_ONCE", "0"),
        ("APP__AUTH__MAIL__DIR", &mails),
    ];
    let variables: BTreeMap<_, _> = variables
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let loaded = settings::load_from(None, &variables);
    loaded.expect("the settings are valid").settings
}

/// The accounts and what a request meets before them.
async fn service(folder: &TempDir) -> Edge {
    let platform = Platform::offline(settings(folder)).expect("a platform");
    let migrated = platform.database.migrate().await;
    migrated.expect("a database");
    let new = NewUser {
        email: EMAIL,
        name: "Ada",
        password: PASSWORD,
        role: Role::Member,
    };
    new.add(&platform).await.expect("an account");
    // The fences have to stand around something.
    let named = ["articles", "article pages"].map(|name| Component {
        name,
        ..Component::default()
    });
    let components = protect(named.into(), &platform).into_iter();
    let routes = components.fold(Routes::new(), |routes, component| {
        let api = Router::new().nest("/api/v1", component.api.split_for_parts().0);
        routes.merge(Routes::with_table(api, Vec::new()))
    });
    Edge::public(
        routes,
        &platform.settings,
        Presentation::default(),
        TaskTracker::new(),
        &RateLimits::local(Clock::system()),
    )
}

async fn sign_in(edge: &Edge) {
    let body = format!(r#"{{"email":"{EMAIL}","password":"{PASSWORD}"}}"#);
    let request = Request::post("/api/v1/auth/login").header("content-type", "application/json");
    let mut request = request.body(Body::from(body)).expect("a request");
    request.extensions_mut().insert(ClientAddress {
        ip: [192, 0, 2, 1].into(),
        is_https: false,
    });
    assert_eq!(edge.answer(request).await.status(), StatusCode::OK);
}

/// How long `calls` take that all cores make together.
fn on_all_cores(calls: u64, call: impl Fn() + Sync) -> Duration {
    let left = AtomicU64::new(calls);
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..cores() {
            scope.spawn(|| {
                let one_less = |left: u64| left.checked_sub(1);
                while left
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less)
                    .is_ok()
                {
                    call();
                }
            });
        }
    });
    began.elapsed()
}

fn sign_ins(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sign_in");
    group.throughput(Throughput::Elements(1)).sample_size(10);

    let folder = tempfile::tempdir().expect("a folder");
    let password = settings(&folder).auth.password;
    let memory = u32::try_from(password.memory.as_u64() / 1024).expect("kibibytes");
    let params = argon2::Params::new(memory, password.iterations, password.lanes, None);
    let argon = Argon2::new(
        argon2::Algorithm::Argon2id,
        argon2::Version::V0x13,
        params.expect("the cost as shipped"),
    );
    let stored = argon.hash_password_with_salt(PASSWORD.as_bytes(), b"sixteen bytes it");
    let stored = stored.expect("a hash").to_string();
    group.bench_function("argon2_on_all_cores", |bencher| {
        bencher.iter_custom(|calls| {
            on_all_cores(calls, || {
                let verified = argon.verify_password(PASSWORD.as_bytes(), stored.as_str());
                verified.expect("the right password");
            })
        });
    });

    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let edge = runtime.block_on(service(&folder));
    group.bench_function("service_16_clients", |bencher| {
        bencher.to_async(&runtime).iter_custom(async |calls| {
            let began = Instant::now();
            let mut clients = JoinSet::new();
            for client in 0..16 {
                let edge = edge.clone();
                let own = calls / 16 + u64::from(client < calls % 16);
                clients.spawn(async move {
                    for _ in 0..own {
                        sign_in(&edge).await;
                    }
                });
            }
            clients.join_all().await;
            began.elapsed()
        });
    });
    group.finish();
}

criterion_group!(benches, sign_ins);
criterion_main!(benches);
