//! The page cache and the front before it, on a small site of their own: what is kept, for whom, in which form it is sent.

mod conditions;
mod encodings;
mod sharing;
mod ways;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use app::component::Routes;
use app::domain::clock::Clock;
use app::http::page_cache::{CachePolicy, Page, PageCache};
use app::http::problem::Presentation;
use app::http::{self, Front, Problem};
use app::infra::cache::Store;
use app::telemetry::Exporter;
use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum::response::Response;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::support::{Answer, fixed_clock, request, send, settings_alone};

/// A page for everybody, as an article is.
const PLAIN: CachePolicy = CachePolicy::new();

/// A site that is being served. It ends with the test.
struct Site {
    address: SocketAddr,
    store: Store,
    clock: Clock,
    _stop: DropGuard,
}

/// How often the handler of a page and the closure that makes it were called.
#[derive(Clone, Default)]
struct Counts(Arc<[AtomicUsize; 2]>);

impl Counts {
    fn handled(&self) -> usize {
        self.0[0].load(Ordering::SeqCst)
    }

    fn made(&self) -> usize {
        self.0[1].load(Ordering::SeqCst)
    }
}

impl Site {
    /// Serves one page at `path`, known by that path alone, whatever the query says.
    async fn with<F>(
        path: &'static str,
        policy: CachePolicy,
        make: impl Fn(HeaderMap) -> F + Clone + Send + Sync + 'static,
    ) -> (Self, Counts)
    where
        F: Future<Output = Result<Page, Problem>> + Send + 'static,
    {
        let counts = Counts::default();
        let counted = counts.clone();
        let site = Self::of(move |pages| {
            let handler = move |request: Parts| {
                let (pages, make, counts) = (pages.clone(), make.clone(), counted.clone());
                async move { handle(pages, path, policy, make, counts, request).await }
            };
            Routes::new().get(path, handler)
        })
        .await;
        (site, counts)
    }

    /// The same for a page that is always the same.
    async fn fixed(path: &'static str, policy: CachePolicy, page: Page) -> (Self, Counts) {
        Self::with(path, policy, move |_| {
            let page = page.clone();
            async move { Ok(page) }
        })
        .await
    }

    async fn of(routes: impl FnOnce(PageCache) -> Routes) -> Self {
        Exporter::install().expect("metrics");
        let clock = fixed_clock();
        let settings = settings_alone(&[]);
        let store = Store::in_memory(settings.cache, clock.clone());
        let pages = PageCache::new(&store, clock.clone());
        let routes = http::Edge::private(
            routes(pages.clone()),
            &settings.server,
            Presentation::default(),
            TaskTracker::new(),
        );
        let front = Front::new(pages, routes, clock.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let stop = CancellationToken::new();
        tokio::spawn(http::serve(listener, front, settings.server, stop.clone()));
        Self {
            address,
            store,
            clock,
            _stop: stop.drop_guard(),
        }
    }

    async fn get(&self, path: &str) -> Answer {
        self.get_with(path, &[]).await
    }

    async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.ask("GET", path, headers).await
    }

    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        send(self.address, request(method, path, headers, Body::empty())).await
    }

    /// Asks until the answer is `good`.
    async fn ask_until(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        good: impl Fn(&Answer) -> bool,
    ) -> Answer {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let answer = self.get_with(path, headers).await;
            if good(&answer) {
                return answer;
            }
            assert!(Instant::now() < deadline, "{answer:?}");
        }
    }
}

async fn handle<F>(
    pages: PageCache,
    path: &str,
    policy: CachePolicy,
    make: impl Fn(HeaderMap) -> F + Send + 'static,
    counts: Counts,
    request: Parts,
) -> Result<Response, Problem>
where
    F: Future<Output = Result<Page, Problem>> + Send + 'static,
{
    counts.0[0].fetch_add(1, Ordering::SeqCst);
    let headers = request.headers.clone();
    let render = move || {
        counts.0[1].fetch_add(1, Ordering::SeqCst);
        make(headers)
    };
    pages.render(&request, path, &policy, render).await
}

/// HTML of about so many bytes that says the same again and again.
fn html(bytes: usize) -> Page {
    Page::html("<p>All work and no play.</p>\n".repeat(bytes.div_ceil(29)))
}

fn source(answer: &Answer) -> (u16, &str) {
    (answer.status, answer.header("x-cache-status"))
}
