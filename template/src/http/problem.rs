//! Every error a client sees: a problem (RFC 9457), in JSON, as a page, or in plain text.

mod kind;

use std::sync::Arc;

use axum::extract::Request;
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, VARY, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

pub use self::kind::Kind;
use super::accept::{self, Form};
use super::page_cache::STATUS_HEADER;
use super::rate_limit::Standing;
use super::request_id::RequestId;
use crate::domain::error::{Invalid, RuleBroken, StoreError};
use crate::infra::cache::LoadFailed;
use crate::telemetry::{self, Failure, FailureKind};

/// One value that is wrong, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// Where it is in the body, as a JSON pointer (RFC 6901).
    #[schema(example = "/title")]
    pub pointer: String,
    #[schema(example = "must be 1 to 120 characters long")]
    pub detail: String,
}

impl FieldError {
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            pointer: pointer.into(),
            detail: detail.into(),
        }
    }
}

/// An error on its way to the client. Becomes a response in [`About::present`], which knows the request.
#[derive(Clone, Debug)]
pub struct Problem {
    kind: Kind,
    detail: Option<String>,
    errors: Vec<FieldError>,
    retry_after_seconds: Option<u32>,
    /// What is left of the quota that it is about.
    standing: Option<Standing>,
    kept_for_seconds: u32,
    /// For the log, and for developers; never sent in production.
    cause: Option<Arc<anyhow::Error>>,
    /// Then it has been reported where it happened.
    panicked: bool,
}

impl Problem {
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            detail: None,
            errors: Vec::new(),
            retry_after_seconds: None,
            standing: None,
            kept_for_seconds: 0,
            cause: None,
            panicked: false,
        }
    }

    /// What a request gets whose handler panicked.
    #[must_use]
    pub fn of_panic(cause: anyhow::Error) -> Self {
        Self {
            panicked: true,
            ..Self::new(Kind::Internal).cause(cause)
        }
    }

    /// A sentence for the person who reads it.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    #[must_use]
    pub fn cause(mut self, cause: impl Into<anyhow::Error>) -> Self {
        self.cause = Some(Arc::new(cause.into()));
        self
    }

    #[must_use]
    pub fn retry_after_seconds(mut self, seconds: u32) -> Self {
        self.retry_after_seconds = Some(seconds);
        self
    }

    #[must_use]
    pub fn standing(mut self, standing: Standing) -> Self {
        self.standing = Some(standing);
        self
    }

    /// How long caches may remember it; otherwise not at all.
    #[must_use]
    pub fn kept_for_seconds(mut self, seconds: u32) -> Self {
        self.kept_for_seconds = seconds;
        self
    }

    /// Several values are wrong at once.
    #[must_use]
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        Self {
            errors,
            ..Self::new(Kind::Invalid)
        }
    }

    /// What a store has said of a value, at its field where that is known.
    fn broken(mut self, broken: RuleBroken) -> Self {
        if let Some(field) = broken.field {
            let error = FieldError::new(format!("/{field}"), broken.rule.to_string());
            self.errors.push(error);
        }
        self.detail(broken.to_string()).cause(broken)
    }

    fn document(&self, request: &About, route: Option<&str>) -> ProblemDocument {
        let development = request.presentation.development;
        ProblemDocument {
            kind: format!("/problems/{}", self.kind.name()),
            title: self.kind.title(),
            status: self.kind.status().as_u16(),
            detail: self.detail.clone(),
            instance: request.path().to_owned(),
            request_id: request.id().to_owned(),
            errors: self.errors.clone(),
            causes: match &self.cause {
                Some(cause) if development => cause.chain().map(ToString::to_string).collect(),
                _ => Vec::new(),
            },
            route: route.filter(|_| development).map(ToOwned::to_owned),
        }
    }
}

/// A store that cannot answer is worth another try; one that fails is ours to mend.
impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) => Self::new(Kind::Unavailable)
                .retry_after_seconds(1)
                .cause(error),
            StoreError::Conflict(broken) => Self::new(Kind::Conflict).broken(broken),
            StoreError::Refused(broken) => Self::new(Kind::Invalid).broken(broken),
            StoreError::Failed(_) => Self::new(Kind::Internal).cause(error),
        }
    }
}

/// All who wait for a value that cannot be loaded get the same answer.
impl From<LoadFailed> for Problem {
    fn from(error: LoadFailed) -> Self {
        match error {
            LoadFailed::Panicked => Self::of_panic(error.into()),
            LoadFailed::TimedOut => Self::new(Kind::Timeout).cause(error),
        }
    }
}

impl From<Invalid> for Problem {
    fn from(rule: Invalid) -> Self {
        Self::new(Kind::Invalid).detail(rule.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let standing = self.standing;
        let mut response = (self.kind.status(), axum::Extension(Arc::new(self))).into_response();
        if let Some(standing) = standing {
            standing.tell(response.headers_mut());
        }
        response
    }
}

/// A problem as it is sent.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemDocument {
    #[serde(rename = "type")]
    #[schema(example = "/problems/invalid")]
    pub kind: String,
    pub title: &'static str,
    pub status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The path that was asked for.
    pub instance: String,
    pub request_id: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub errors: Vec<FieldError>,
    /// What led to it, outermost first; in development only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub causes: Vec<String>,
    /// The template of the route that failed, for the page of an error in development.
    #[serde(skip)]
    pub route: Option<String>,
}

/// Makes a page of a problem; `None` if that fails.
pub type ErrorPage = fn(&ProblemDocument) -> Option<String>;

/// What [`About`] needs to know besides the request.
#[derive(Clone, Copy, Default)]
pub struct Presentation {
    pub page: Option<ErrorPage>,
    /// Shows causes.
    pub development: bool,
}

/// What an error says of the request that it answers.
pub(super) struct About {
    uri: Uri,
    id: Option<RequestId>,
    form: Form,
    presentation: Presentation,
}

impl About {
    pub fn of(request: &Request, presentation: Presentation) -> Self {
        let offered = match presentation.page {
            Some(_) => &[Form::Json, Form::Html, Form::Text][..],
            None => &[Form::Json, Form::Text],
        };
        Self {
            uri: request.uri().clone(),
            id: request.extensions().get().cloned(),
            form: accept::preferred(request.headers(), offered),
            presentation,
        }
    }

    /// Gives an error its final form, and logs the cause of those that are our fault. Other answers stay as they are.
    pub fn present(&self, mut response: Response, route: Option<&str>) -> Response {
        let status = response.status();
        if !status.is_client_error() && !status.is_server_error() {
            return response;
        }
        let problem = match response.extensions_mut().remove::<Arc<Problem>>() {
            Some(problem) => problem,
            // A handler's own report, such as that of /health, and a page that was made to be kept.
            None if is_json(response.headers())
                || response.headers().contains_key(STATUS_HEADER) =>
            {
                return response;
            }
            None => Arc::new(Problem::new(Kind::of_status(status))),
        };
        if status.is_server_error() && !problem.panicked {
            report(&problem, status, self.id(), route);
        }
        let headers = std::mem::take(response.headers_mut());
        render(&problem, status, headers, self, route)
    }

    pub fn path(&self) -> &str {
        self.uri.path()
    }

    fn id(&self) -> &str {
        self.id.as_ref().map_or("", RequestId::as_str)
    }
}

/// Logs the cause, which no answer shows, and counts the failure.
fn report(problem: &Problem, status: StatusCode, id: &str, route: Option<&str>) {
    let causes = problem.cause.as_ref().map(|cause| format!("{cause:#}"));
    tracing::error!(
        status = status.as_u16(),
        error = causes,
        "the request failed"
    );
    let kind = match status {
        StatusCode::SERVICE_UNAVAILABLE => FailureKind::Unavailable,
        StatusCode::GATEWAY_TIMEOUT => FailureKind::Timeout,
        _ => FailureKind::Internal,
    };
    telemetry::report(&Failure {
        kind,
        cause: causes.as_deref(),
        request_id: id,
        route,
    });
}

/// Logs and counts a failure that is not presented, because nobody waits for the answer any more.
pub(super) fn report_unheard(response: &Response, id: Option<&RequestId>) {
    let problem = response.extensions().get::<Arc<Problem>>();
    let problem = problem.filter(|problem| !problem.panicked);
    if let Some(problem) = problem
        && response.status().is_server_error()
    {
        let id = id.map_or("", RequestId::as_str);
        report(problem, response.status(), id, None);
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .is_some_and(|value| value == "application/json")
}

fn render(
    problem: &Problem,
    status: StatusCode,
    mut headers: HeaderMap,
    about: &About,
    route: Option<&str>,
) -> Response {
    let presentation = about.presentation;
    let document = problem.document(about, route);
    let page = presentation
        .page
        .filter(|_| about.form == Form::Html)
        .and_then(|page| page(&document));
    let (content_type, body) = match (about.form, page) {
        (Form::Html, Some(page)) => ("text/html; charset=utf-8", page),
        (Form::Json, _) => (
            "application/problem+json",
            serde_json::to_string(&document).unwrap_or_default(),
        ),
        _ => {
            let detail = document.detail.as_deref().unwrap_or_default();
            (
                "text/plain; charset=utf-8",
                format!("{} {}\n{detail}\n", document.status, document.title),
            )
        }
    };
    // What else a layer said, such as Allow, stays.
    headers.remove(CONTENT_LENGTH);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    let cache_control = match problem.kept_for_seconds {
        0 => HeaderValue::from_static("no-store"),
        seconds => HeaderValue::from_str(&format!("public, max-age={seconds}"))
            .unwrap_or_else(|_| HeaderValue::from_static("no-store")),
    };
    headers.insert(CACHE_CONTROL, cache_control);
    headers.insert(VARY, HeaderValue::from_static("accept"));
    if let Some(seconds) = problem.retry_after_seconds {
        headers.insert("retry-after", HeaderValue::from(seconds));
    }
    if let Some(challenge) = problem.kind.challenge() {
        let challenge = HeaderValue::from_static(challenge);
        headers.entry(WWW_AUTHENTICATE).or_insert(challenge);
    }
    (status, headers, body).into_response()
}
