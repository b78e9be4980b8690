//! The service as the tests use it: the real application on a database and a cache of its own.{% capture body %}

mod client;
mod database;
mod log; //~{% if features contains "redis" %}
#[expect(dead_code, reason = "the tests of the tier itself use the rest")]
pub mod redis; //~{% endif %}{% if features contains "auth" %}
pub mod writer; //~{% endif %}

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use app::app::App;
use app::domain::clock::Clock;
use app::domain::events::Event;
use app::http::Listeners;
use app::infra::db::{Database, Driver};
use app::platform::Platform;
use app::settings::{self, Settings};
use axum::body::Body;
use axum::http::Request;
use chrono::DateTime;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::{broadcast, oneshot};
use tokio_util::sync::CancellationToken;

pub use self::client::{Answer, send};
pub use self::database::TestDatabase;
pub use self::log::Log;

/// A running application. It is stopped and its data is deleted when it is dropped.
pub struct TestApp {
    instance: Instance,
    settings: Settings,
    pub clock: Clock,
    // Last, because it can only be deleted when nothing uses it.
    home: Home,
}

/// One start of the application.
struct Instance {
    handles: Handles,
    /// Dropped, it ends the application on the spot, as a crash does.
    kill: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What a test needs of the application while it runs.
struct Handles {
    public: SocketAddr,
    operator: SocketAddr,
    database: Database, //~{% if features contains "auth" %}
    /// Who may write.
    writer: writer::Writer, //~{% endif %}
    events: broadcast::Receiver<Event>,
    shutdown: CancellationToken,
}

/// The data of one test.
pub struct Home {
    pub database: TestDatabase,
    folder: TempDir,
}

impl Home {
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self {
            database: TestDatabase::create(folder.path()).await,
            folder,
        }
    }

    pub fn cache_dir(&self) -> PathBuf {
        self.folder.path().join("cache")
    } //~{% if features contains "auth" %}

    /// Where mails are written.
    pub fn mails(&self) -> PathBuf {
        self.folder.path().join("mail")
    } //~{% endif %}

    /// The settings of a service that lives here.
    pub fn settings(&self, overrides: &[(&str, &str)]) -> Settings {
        let cache_dir = self.cache_dir().display().to_string();
        let own = [
            ("APP_ENV", "test"),
            ("DATABASE_URL", &self.database.url),
            ("PORT", "0"),
            ("APP__OPERATOR__PORT", "0"),
            ("APP__DATABASE__MAX_CONNECTIONS", "5"),
            ("APP__CACHE__DIR", &cache_dir),
            ("APP__CACHE__L1_CAPACITY", "16MiB"),
            // What is in the cache is what the test has asked for.
            ("APP__CACHE__WARMUP_ENABLED", "false"),
            // Their clock stands still, and with it what a client may ask.
            ("APP__RATE_LIMIT__ENABLED", "false"),
        ];
        let own = own.iter(); //~{% if features contains "auth" %}
        let mails = self.mails().display().to_string();
        let cheap = writer::settings(&mails);
        let own = own.chain(&cheap); //~{% endif %}
        let variables: BTreeMap<String, String> = own
            .chain(overrides)
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        settings::load_from(None, &variables)
            .expect("the settings of a test are valid")
            .settings
    }
}

/// The settings of a test that needs no database, with `overrides` written as environment variables.
pub fn settings_alone(overrides: &[(&str, &str)]) -> Settings {
    let url = match <Driver as sqlx::Database>::NAME {
        "SQLite" => "sqlite://unused.db",
        _ => "postgres://localhost/unused",
    };
    let variables = [("APP_ENV", "test"), ("DATABASE_URL", url)];
    let variables = variables
        .iter()
        .chain(overrides)
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    settings::load_from(None, &variables)
        .expect("the settings of a test are valid")
        .settings
}

/// Waits until nobody holds the files of the cache in `dir`: sled lets go of them a moment after it is dropped.
pub fn wait_until_released(dir: &Path) {
    let stores = fs::read_dir(dir).into_iter().flatten().flatten();
    let indices = stores.map(|store| store.path().join("index/db"));
    for path in indices.chain([dir.join("in-use")]) {
        if let Ok(file) = File::open(path) {
            file.lock().expect("a lock");
        }
    }
}

/// A clock that stands still at a moment with microseconds.
pub fn fixed_clock() -> Clock {
    Clock::fixed(DateTime::from_timestamp_micros(1_767_323_045_123_456).expect("a date"))
}

impl TestApp {
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// Starts with `overrides`, written as environment variables.
    pub async fn with(overrides: &[(&str, &str)]) -> Self {
        let home = Home::new().await;
        let settings = home.settings(overrides);
        Self::start_in(home, settings, fixed_clock()).await
    }

    /// Starts on what an earlier start has left in `home`.
    pub async fn start_in(home: Home, settings: Settings, clock: Clock) -> Self {
        wait_until_released(&home.cache_dir());
        let instance = Instance::start(settings.clone(), clock.clone()).await;
        Self {
            instance,
            settings,
            clock,
            home,
        }
    }

    /// Stops in order and starts again on the same database and cache folder.
    pub async fn restart(self) -> Self {
        self.instance.stop().await;
        Self::start_in(self.home, self.settings, self.clock).await
    } //~{% if frontend == "pages" or features contains "auth" %}

    /// The same with other settings, written as environment variables.
    pub async fn restart_with(self, overrides: &[(&str, &str)]) -> Self {
        let settings = self.home.settings(overrides);
        self.instance.stop().await;
        Self::start_in(self.home, settings, self.clock).await
    } //~{% endif %}

    /// Ends without closing anything and starts again on the same database and cache folder.
    pub async fn crash_and_restart(self) -> Self {
        self.instance.kill().await;
        Self::start_in(self.home, self.settings, self.clock).await
    }

    /// Stops in order and hands over the data.
    pub async fn stop(self) -> Home {
        self.instance.stop().await;
        self.home
    }

    pub fn address(&self) -> SocketAddr {
        self.instance.handles.public
    }

    pub fn database(&self) -> &Database {
        &self.instance.handles.database
    } //~{% if features contains "auth" %}

    /// Every event from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.instance.handles.events.resubscribe()
    } //~{% endif %}

    /// Every event since the start.
    pub fn events(&mut self) -> &mut broadcast::Receiver<Event> {
        &mut self.instance.handles.events
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, &[], Body::empty()).await
    }

    /// Asks the operator's listener.
    pub async fn operator(&self, path: &str) -> Answer {
        self.operator_call("GET", path, &[]).await
    }

    pub async fn operator_call(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Answer {
        let request = request(method, path, headers, Body::empty());
        send(self.instance.handles.operator, request).await
    }

    pub async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.call("GET", path, headers, Body::empty()).await
    }

    pub async fn call(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let request = request(method, path, headers, body.into()); //~{% if features contains "auth" %}
        let request = self.instance.handles.writer.sign(request); //~{% endif %}
        send(self.address(), request).await
    } //~{% if features contains "auth" and frontend == "pages" %}

    /// The same from somebody who is not signed in.
    pub async fn call_as_nobody(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        send(self.address(), request(method, path, headers, body.into())).await
    } //~{% endif %}{% if features contains "auth" %}

    /// Where mails are written.
    pub fn mails(&self) -> PathBuf {
        self.home.mails()
    } //~{% endif %}

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.call("POST", path, &[JSON], body.to_string()).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.call("PUT", path, &[JSON], body.to_string()).await
    }

    pub async fn put_if(&self, path: &str, if_match: &str, body: &Value) -> Answer {
        let headers = [JSON, ("if-match", if_match)];
        self.call("PUT", path, &headers, body.to_string()).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.call("DELETE", path, &[], Body::empty()).await
    }

    /// Adds a thing to a collection of the API and says where it is.
    pub async fn create(&self, collection: &str, thing: &Value) -> String {
        let answer = self.post(collection, thing).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.header("location").to_owned()
    }
}

pub const ARTICLES: &str = "/api/v1/articles";

pub const JSON: (&str, &str) = ("content-type", "application/json");

/// A published article as a writer sends it.
pub fn published(title: &str) -> Value {
    json!({ "title": title, "summary": "In short.", "body": "At length.", "status": "published" })
}

/// The same with tags.
pub fn tagged(title: &str, tags: &[&str]) -> Value {
    let mut article = published(title);
    article["tags"] = json!(tags);
    article
}

pub fn request(method: &str, path: &str, headers: &[(&str, &str)], body: Body) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body).expect("a request that can be sent")
}

impl Instance {
    /// Runs the application on a thread and a runtime of its own, so that nothing of it is left when that ends.
    async fn start(settings: Settings, clock: Clock) -> Self {
        let (started, handles) = oneshot::channel();
        let (kill, killed) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async {
                let (app, listeners, handles) = Box::pin(assemble(settings, clock)).await;
                let _ = started.send(handles);
                tokio::select! {
                    () = app.run(listeners) => {}
                    _ = killed => {}
                }
            });
        });
        Self {
            handles: handles.await.expect("the app starts"),
            kill: Some(kill),
            thread: Some(thread),
        }
    }

    async fn stop(mut self) {
        self.handles.shutdown.cancel();
        self.join().await;
    }

    async fn kill(mut self) {
        self.kill = None;
        self.join().await;
    }

    async fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            let joined = tokio::task::spawn_blocking(|| thread.join()).await;
            joined.expect("not cancelled").expect("the app ends well");
        }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.kill = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn assemble(settings: Settings, clock: Clock) -> (App, Listeners, Handles) {
    let listeners = Listeners::bind(&settings.server, &settings.operator)
        .await
        .expect("free ports");
    let platform = Platform::connect(settings, clock)
        .await
        .expect("a database");
    let database = platform.database.clone();
    let events = platform.events.subscribe(); //~{% if features contains "auth" %}
    let writer = writer::Writer::of(&platform).await; //~{% endif %}
    let app = App::new(platform).expect("components that agree");
    let handles = Handles {
        public: listeners.public.local_addr().expect("an address"),
        operator: listeners.operator.local_addr().expect("an address"),
        database, //~{% if features contains "auth" %}
        // Signed in once.
        writer, //~{% endif %}
        events,
        shutdown: app.shutdown(),
    };
    (app, listeners, handles)
} //~{% endcapture %}{{ body | remove: " //~" | remove: "//+ " }}
