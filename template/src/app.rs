//! The composition root: every component is listed here, and nothing else knows them all.{% capture body %}

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use utoipa::openapi::{InfoBuilder, OpenApi, OpenApiBuilder, Server};
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::component::{Component, Health, Probe, Route, Routes, Samples, Task, Warm};
use crate::handlers::operator::debug::TaskTable;
use crate::handlers::system::Phase;
use crate::http::api::{DOCUMENT, VIEWER};
use crate::http::problem::Presentation;
use crate::http::{Edge, Front, Listeners, Operator, ServerSettings};
use crate::infra::error_reports::ErrorReports;
use crate::platform::Platform;
use crate::telemetry::{Failure, FailureKind};
use crate::{handlers, http, infra, telemetry};

/// How long background tasks and writes may take to end.
const TASK_GRACE: Duration = Duration::from_secs(10);

/// How long the database and the cache may take to close.
const CLOSE_GRACE: Duration = Duration::from_secs(5);

/// How long the operator's listener lets a last answer go out.
const OPERATOR_GRACE: Duration = Duration::from_secs(1);

/// What this service consists of.
fn components(platform: &Platform) -> Vec<Component> {
    let articles = infra::articles::service(platform); //~{% if frontend == "pages" %}
    let content = crate::features::pages::content::Content::load(platform); //~{% endif %}
    vec![
        stores(platform),
        handlers::operator::component(platform),
        handlers::articles::component(articles.clone()), //~{% if frontend == "spa" %}
        //+ crate::features::spa::component(platform),
        //+ crate::features::spa::articles::component(articles.clone(), platform),
        //+ crate::features::sitemap::component(articles.clone(), [], platform), //~{% endif %}{% if frontend == "pages" %}
        crate::features::pages::component(platform),
        crate::features::pages::articles::component(articles.clone(), platform),
        crate::features::pages::browser::component(platform),
        crate::features::pages::feed::component(articles.clone(), platform),
        crate::features::sitemap::component(articles.clone(), content.paths(), platform),
        crate::features::pages::content::component(content, platform), //~{% endif %}{% if features contains "pwa" %}
        // For visitors without a network.
        crate::features::pwa::component(platform), //~{% endif %}
    ]
}

/// The health and the housekeeping of the database, the cache and the event bus.
fn stores(platform: &Platform) -> Component {
    let (database, cache) = (platform.database.clone(), platform.cache.clone());
    let database_probe = Probe::new("database", move || {
        let database = database.clone();
        async move { database.ping().await.map_or(Health::Error, |()| Health::Ok) }
    });
    let cache_probe = Probe::new("cache_l2", move || {
        let cache = cache.clone();
        async move { cache.check().await.map_or(Health::Ok, Health::Degraded) }
    });
    let sweep = platform
        .cache
        .clone()
        .sweep_until(platform.stop_tasks.clone());
    let count = telemetry::count_events(platform.events.subscribe(), platform.stop_tasks.clone());
    Component {
        name: "stores",
        probes: vec![database_probe, cache_probe],
        tasks: vec![
            Task::new("cache sweep", sweep),
            Task::new("event counter", count),
        ],
        ..Component::default()
    }
}

/// Sends what is our fault to where it is collected, if that is anywhere.
fn error_reports(platform: &Platform) -> Vec<Task> {
    let settings = &platform.settings;
    let reports = ErrorReports::start(
        &settings.errors,
        settings.environment,
        &platform.outbound,
        platform.clock.clone(),
    );
    let stop = platform.stop_tasks.clone();
    let task = reports.map(|reports| Task::new("error reports", reports.send_until(stop)));
    task.into_iter().collect()
}

/// Fills the cache beside serving. Until that is done `is_starting` holds, if the settings say so.
fn warm_up(
    platform: &Platform,
    warm: Vec<Warm>,
    routes: Edge,
    is_starting: Arc<AtomicBool>,
) -> Option<Task> {
    let settings = &platform.settings.cache;
    // What cannot be read out of the cache need not be put into it.
    if warm.is_empty() || !settings.warmup_enabled || !settings.read_enabled {
        return None;
    }
    is_starting.store(settings.warmup_before_ready, Ordering::Relaxed);
    let (cache, stop) = (platform.cache.clone(), platform.shutdown.clone());
    Some(Task::new("cache warm-up", async move {
        let visit = |path| http::visit(routes.clone(), path);
        cache.warm_up(warm, visit, stop).await;
        is_starting.store(false, Ordering::Relaxed);
    }))
}

/// The assembled service.
pub struct App {
    platform: Platform,
    public: Front,
    operator: Operator,
    routes: Vec<Route>,
    document: OpenApi,
    tasks: Vec<Task>,
    samples: Vec<Samples>,
}

impl App {
    /// # Errors
    /// If a component refuses to start, or two claim the same address.
    pub fn new(platform: Platform) -> anyhow::Result<Self> {
        let mut api = OpenApiRouter::new();
        let (mut pages, mut operator) = (Routes::new(), Routes::new());
        let (mut probes, mut tasks) = (Vec::new(), error_reports(&platform));
        let (mut warm, mut samples) = (Vec::new(), Vec::new());
        let (settings, limits) = (&platform.settings, &platform.rate_limits);
        let phase = Phase {
            shutdown: platform.shutdown.clone(),
            ..Phase::default()
        };
        let mut presentation = Presentation {
            page: None,
            development: settings.environment.is_development(),
        };
        let components = components(&platform); //~{% if features contains "auth" %}
        let components = crate::features::auth::protect(components, &platform); //~{% endif %}
        for component in components {
            tracing::debug!(component = component.name, "assembled");
            component.refused.map_or(Ok(()), Err)?;
            api = api.merge(component.api);
            pages = pages.join(component.pages.merge(component.forms))?;
            operator = operator.join(component.operator)?;
            tasks.extend(component.tasks);
            probes.extend(component.probes);
            warm.extend(component.warm);
            samples.extend(component.samples);
            presentation.page = component.error_page.or(presentation.page);
        }
        pages = pages.join(handlers::system::routes(probes, phase.clone()))?; //~{% if frontend == "none" %}

        //+ pages = pages.get("/", handlers::system::index); //~{% endif %}

        let (api, document) = documented(api);
        let pages = pages.merge(api);
        let mut routes = pages.table().to_vec();
        routes.sort();
        let writes = platform.tasks.clone();
        let public = Edge::public(pages, settings, presentation, writes.clone(), limits);
        let front = Front::new(
            platform.pages.clone(),
            public.clone(),
            platform.clock.clone(),
        );
        let front = front.with_settings(&settings.server, &settings.security); //~{% if frontend == "pages" %}
        let front = front.with_assets(platform.assets.clone()); //~{% endif %}
        tasks.extend(warm_up(&platform, warm, public, phase.is_starting));
        let (table, tasks) = TaskTable::watch(tasks);
        let debug = handlers::operator::debug::routes(&routes, settings, table);
        let operator = Operator::new(operator.join(debug)?, settings, limits, writes);
        Ok(Self {
            public: front,
            operator,
            platform,
            routes,
            document,
            tasks,
            samples,
        })
    }

    /// Every route of the public listener, by path.
    #[must_use]
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    #[must_use]
    pub fn document(&self) -> &OpenApi {
        &self.document
    }

    /// Cancel it to stop [`App::run`].
    #[must_use]
    pub fn shutdown(&self) -> CancellationToken {
        self.platform.shutdown.clone()
    }

    /// Adds the sample data of every component and says how much that was.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn add_samples(self) -> anyhow::Result<usize> {
        let mut added = 0;
        for samples in self.samples {
            added += samples.await?;
        }
        self.platform.close().await;
        Ok(added)
    }

    /// Serves until the shutdown token is cancelled, then stops in order: not ready any more, no new requests, the ones
    /// in flight to their end, tasks, stores; the operator's listener last, so that it can be watched.
    pub async fn run(self, listeners: Listeners) {
        let settings = self.platform.settings.server.clone();
        let tasks = self.platform.tasks.clone();
        for Task { name, run } in self.tasks {
            let run = tokio::spawn(run);
            tasks.spawn(async move {
                if let Err(error) = run.await {
                    tracing::error!(task = name, %error, "a background task ended early");
                    telemetry::report(&Failure {
                        kind: FailureKind::Task,
                        cause: Some(&error.to_string()),
                        request_id: "",
                        route: None,
                    });
                }
            });
        }
        let stop_operator = CancellationToken::new();
        let operator = http::serve(
            listeners.operator,
            self.operator,
            ServerSettings {
                shutdown_grace: OPERATOR_GRACE,
                ..settings.clone()
            },
            stop_operator.clone(),
        );
        let operator = tokio::spawn(operator);

        let drain_delay = settings.drain_delay;
        let stop_accepting = CancellationToken::new();
        let drained = stop_accepting.clone().drop_guard();
        let shutdown = self.platform.shutdown.clone();
        tokio::spawn(async move {
            shutdown.cancelled().await;
            tokio::time::sleep(drain_delay).await;
            drop(drained);
        });
        http::serve(listeners.public, self.public, settings, stop_accepting).await;

        self.platform.stop_tasks.cancel();
        tasks.close();
        if tokio::time::timeout(TASK_GRACE, tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!(
                left = tasks.len(),
                "background tasks and writes did not end in time"
            );
        }
        if tokio::time::timeout(CLOSE_GRACE, self.platform.close())
            .await
            .is_err()
        {
            tracing::warn!("the database and the cache did not close in time");
        }
        stop_operator.cancel();
        if let Err(error) = operator.await {
            tracing::error!(%error, "the operator listener failed");
        }
    }
}

/// The page that shows the document.
fn viewer(document: &OpenApi) -> Routes {
    let viewer = SwaggerUi::new(VIEWER)
        // By default it sends the address of the document to a validator on the internet.
        .config(Config::default().validator_url("none"))
        .url(DOCUMENT, document.clone());
    let below = ["/", "/{*rest}"].map(|rest| [VIEWER, rest].concat());
    let paths = [VIEWER, &below[0], &below[1], DOCUMENT];
    let table = paths.map(|path| Route {
        path: path.to_owned(),
        method: "GET".to_owned(),
        handler: "utoipa_swagger_ui".to_owned(),
    });
    Routes::with_table(viewer.into(), table.into())
}

/// The routes of the API, what is to be known of them, and the page that shows it.
fn documented(api: OpenApiRouter) -> (Routes, OpenApi) {
    let (api, mut document) = OpenApiRouter::with_openapi(base_document())
        .nest(http::api::PREFIX, api)
        .split_for_parts();
    http::responses::add_those_around(&mut document);
    let api = Routes::with_table(api, documented_routes(&document));
    (api.merge(viewer(&document)), document)
}

/// The document before any component has added to it.
fn base_document() -> OpenApi {
    OpenApiBuilder::new()
        .info(InfoBuilder::new().title("HTTP API").version("1").build())
        .servers(Some([Server::new("/")]))
        .build()
}

fn documented_routes(document: &OpenApi) -> Vec<Route> {
    let mut routes = Vec::new();
    for (path, item) in &document.paths.paths {
        let operations = [
            ("GET", &item.get),
            ("POST", &item.post),
            ("PUT", &item.put),
            ("PATCH", &item.patch),
            ("DELETE", &item.delete),
        ];
        for (method, operation) in operations {
            if let Some(operation) = operation {
                routes.push(Route {
                    path: path.clone(),
                    method: method.to_owned(),
                    handler: operation.operation_id.clone().unwrap_or_default(),
                });
            }
        }
    }
    routes
} //~{% endcapture %}{{ body | remove: " //~" | remove: "//+ " }}
