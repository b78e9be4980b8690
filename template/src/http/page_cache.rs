//! Whole pages out of the cache: rendered once, then answered from memory or the second tier until something in them{% capture body %}
//! changes.
//!
//! What is kept is the finished answer with its encodings. Whoever asks for a page that everybody may see gets that one;
//! what a client asks of caches on the way (`Cache-Control: no-cache`) is not heard, or every visitor could have every
//! page made anew. A page in memory is answered by [`super::Front`] before the request gets here.

mod asked;
pub(super) mod conditions;
pub(super) mod encoding;
mod page;
mod policy;
mod stored;

use std::ops::Deref;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::MatchedPath;
use axum::http::HeaderName;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use metrics::{Histogram, histogram};
use tokio::sync::Semaphore;
use tokio::task::JoinError;

pub(super) use self::asked::Asked;
use self::encoding::{Coding, Form};
pub use self::page::Page;
pub use self::policy::CachePolicy;
pub(super) use self::stored::{Refused, StoredPage};
use super::edge::UNMATCHED;
use super::problem::{Kind, Problem};
use crate::domain::clock::Clock;
use crate::infra::cache::{Cache, Cached, Loaded, Source, Store};
use crate::telemetry::Handles; //~{% if features contains "otel" %}
use crate::telemetry::traces::spans; //~{% endif %}

/// Pages that may wait to be encoded in the background.
const MOST_WAITING: usize = 64;

/// Says where a page came from.
pub const STATUS_HEADER: HeaderName = HeaderName::from_static("x-cache-status");

/// Where a page came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CacheStatus {
    /// Memory.
    HitL1,
    /// The second tier.
    HitL2,
    /// One of both; a new one is on its way.
    Stale,
    /// It was made for this request, or one at the same time.
    Miss,
    /// It was made for this client alone.
    Bypass,
}

impl CacheStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HitL1 => "HIT-L1",
            Self::HitL2 => "HIT-L2",
            Self::Stale => "STALE",
            Self::Miss => "MISS",
            Self::Bypass => "BYPASS",
        }
    }
}

impl From<Source> for CacheStatus {
    fn from(source: Source) -> Self {
        match source {
            Source::L1 => Self::HitL1,
            Source::L2 => Self::HitL2,
            Source::Stale => Self::Stale,
            Source::Loader => Self::Miss,
        }
    }
}

/// Among the extensions of a request: it gets pages for itself alone, whatever their policy says.
#[derive(Clone, Copy)]
pub struct ForOneClient;

/// Renders pages through the cache. A cheap handle.
#[derive(Clone)]
pub struct PageCache {
    pages: Cache<StoredPage>,
    clock: Clock,
    /// Encoding is work for one core at most: the others answer requests.
    encoder: Arc<Semaphore>,
    /// What waits for that in the background is held in memory.
    queue: Arc<Semaphore>,
    /// How long pages take to be made, by route.
    renders: Arc<Handles<String, Histogram>>,
}

impl PageCache {
    #[must_use]
    pub fn new(store: &Store, clock: Clock) -> Self {
        Self {
            pages: store.namespace("pages"),
            clock,
            encoder: Arc::new(Semaphore::new(1)),
            queue: Arc::new(Semaphore::new(MOST_WAITING)),
            renders: Arc::new(Handles::new(
                |route| histogram!("page_render_duration_seconds", "page" => route.clone()),
            )),
        }
    }

    /// Answers `request` with the page at `address`, calling `render` if no tier has it. The tags of the page say what
    /// has to change for it to be rendered anew.
    ///
    /// `address` is the path and query by which the page is known to everybody: with the parameters that count, always in
    /// the same order. A request that shows credentials (`Authorization`, any cookie) gets a page for itself alone, unless
    /// `policy` says what the page does with them. One that is [`ForOneClient`] does in any case.
    ///
    /// # Errors
    /// Those of `render`, which are not kept, and what is wrong with the request.
    pub async fn render<F>(
        &self,
        request: &Parts,
        address: &str,
        policy: &CachePolicy,
        render: impl FnOnce() -> F + Send + 'static,
    ) -> Result<Response, Problem>
    where
        F: Future<Output = Result<Page, Problem>> + Send + 'static,
    {
        let route = route(request);
        let key = match request.extensions.get() {
            Some(ForOneClient) => None,
            None => policy.key(address, &request.headers),
        };
        let Some(key) = key else {
            let page = timed(&self.renders, &route, render()).await?;
            return self.bypass(request, page, policy).await;
        };
        let (policy, renders) = (*policy, Arc::clone(&self.renders));
        let load = move || async move {
            let page = timed(&renders, &route, render()).await?;
            Ok::<_, Problem>(loaded(page, &route, &policy))
        };
        let cached = self.pages.fetch(&key, &policy.lifetime(), load).await?;
        let stored_at = cached.stored_at();
        if !cached.is_shared() {
            return self
                .respond(request, cached, CacheStatus::Bypass, stored_at)
                .await;
        }
        if cached.is_kept() {
            self.encode_if_wanted(
                &cached,
                Asked::of(&request.method, request.uri.path(), &request.headers),
            );
        }
        let status = cached.source().into();
        self.respond(request, cached, status, stored_at).await
    }

    /// Answers with a page for this client alone, of whatever status: nothing of it is kept, here or on the way.
    ///
    /// # Errors
    /// What is wrong with the request.
    pub async fn answer_one(&self, request: &Parts, page: Page) -> Result<Response, Problem> {
        self.bypass(request, page, &CachePolicy::new()).await
    }

    async fn bypass(
        &self,
        request: &Parts,
        page: Page,
        policy: &CachePolicy,
    ) -> Result<Response, Problem> {
        let page = Box::new(StoredPage::private(page, &route(request), policy));
        let now = self.clock.now_micros();
        self.respond(request, page, CacheStatus::Bypass, now).await
    }

    /// The page in memory for plain requests to `address`; [counted](Self::count_use) if it is the answer.
    pub(super) fn in_memory(&self, address: &str) -> Option<Cached<StoredPage>> {
        self.pages.peek(address)
    }

    pub(super) fn count_use(&self, page: &Cached<StoredPage>) {
        self.pages.count_use(page);
    }

    /// Encodes a page in the background if it is time for that.
    pub(super) fn encode_if_wanted(&self, page: &Cached<StoredPage>, asked: Asked<'_>) {
        if !page.may_be_encoded() {
            return;
        }
        // Another request asks again.
        let Ok(place) = Arc::clone(&self.queue).try_acquire_owned() else {
            return;
        };
        if !page.wants_encoding_now() && !page.wants_encoding_for(asked) {
            return;
        }
        let (pages, page) = (self.pages.clone(), page.clone());
        tokio::spawn(self.encode(move || {
            let encoded = page.encoded(&Coding::ALL);
            pages.replace(&page, encoded);
            drop(place);
        }));
    }

    /// Does `work` beside the threads that answer requests, one piece after the other.
    fn encode<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = Result<T, JoinError>> + Send + 'static {
        let encoder = Arc::clone(&self.encoder);
        async move {
            // Nobody closes it.
            let turn = encoder.acquire_owned().await;
            tokio::task::spawn_blocking(move || {
                let done = work();
                // Not before, even if nobody waits for it any more.
                drop(turn);
                done
            })
            .await
        }
    }

    async fn respond(
        &self,
        request: &Parts,
        page: impl Deref<Target = StoredPage> + Send + 'static,
        status: CacheStatus,
        stored_at: i64,
    ) -> Result<Response, Problem> {
        let asked = Asked::of(&request.method, request.uri.path(), &request.headers);
        let now = self.clock.now_micros();
        let answer = match page.answer(asked, status, stored_at, now) {
            Err(Refused::Encoding) if page.may_be_encoded() => {
                // It waits with its page in memory, so not many may.
                let place = Arc::clone(&self.queue).try_acquire_owned();
                let place =
                    place.map_err(|_| Problem::new(Kind::Overloaded).retry_after_seconds(1))?;
                let coding = asked.accepted.best(|_| true).and_then(Form::coding);
                let page = self.encode(move || {
                    let encoded = page.encoded(coding.as_slice());
                    drop(place);
                    encoded
                });
                let page = page
                    .await
                    .map_err(|error| Problem::new(Kind::Internal).cause(error))?;
                page.answer(asked, status, stored_at, now)
            }
            answer => answer,
        };
        match answer {
            Ok(response) => Ok(response.map(Body::new)),
            Err(refused) => Ok(refused.into_response()),
        }
    }
}

fn route(request: &Parts) -> String {
    let route = request.extensions.get::<MatchedPath>();
    route.map_or(UNMATCHED, MatchedPath::as_str).to_owned()
}

async fn timed<T>(
    renders: &Handles<String, Histogram>,
    route: &str,
    render: impl Future<Output = Result<T, Problem>>,
) -> Result<T, Problem> {
    let started = Instant::now(); //~{% if features contains "otel" %}
    let render = spans::within(spans::render(route), render); //~{% endif %}
    let page = render.await;
    renders.get(route).record(started.elapsed());
    page
}

fn loaded(mut page: Page, route: &str, policy: &CachePolicy) -> Loaded<StoredPage> {
    let is_kept = page.kept && policy.keeps(page.status);
    let tags = std::mem::take(&mut page.tags);
    let page = StoredPage::new(page, route, policy);
    if !is_kept || !page.is_shared() {
        return Loaded::not_kept(page);
    }
    tags.iter().fold(Loaded::new(page), Loaded::tag)
} //~{% endcapture %}{{ body | remove: " //~" | remove: "//+ " }}
