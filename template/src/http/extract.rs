//! Extractors whose rejections are problems: JSON bodies, forms, queries, paths, `If-Match`.

use std::convert::Infallible;
use std::error::Error;
use std::iter::successors;

use axum::body::{Body, Bytes};
use axum::extract::{FromRef, FromRequest, FromRequestParts, RawForm, Request};
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE, IF_MATCH};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;
use tower_http::timeout::TimeoutError;
use validator::{Validate, ValidationErrors, ValidationErrorsKind};

use super::csrf::Csrf;
use super::problem::{FieldError, Kind, Problem};

/// A JSON body whose shape has been checked: every wrong field is reported at once.
pub struct Json<T>(pub T);

impl<T, S> FromRequest<S> for Json<T>
where
    T: DeserializeOwned + Validate,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        refuse_compressed(request.headers())?;
        if !is_json(&request) {
            return Err(Problem::new(Kind::UnsupportedMediaType)
                .detail("Send the body as application/json."));
        }
        let body = Bytes::from_request(request, state)
            .await
            .map_err(|rejection| body_refused(&rejection, rejection.status()))?;
        let mut json = serde_json::Deserializer::from_slice(&body);
        let value: T =
            serde_path_to_error::deserialize(&mut json).map_err(|error| unreadable(&error))?;
        json.end()
            .map_err(|error| Problem::new(Kind::Malformed).detail(error.to_string()))?;
        value
            .validate()
            .map_err(|errors| Problem::invalid(field_errors(&errors)))?;
        Ok(Self(value))
    }
}

/// What a form of a page sends, which must carry its [token](super::csrf). Otherwise only its encoding is checked: what is
/// wrong with a value is told beside its field.
pub struct Form<T>(pub T);

impl<T, S> FromRequest<S> for Form<T>
where
    T: DeserializeOwned,
    S: Send + Sync,
    Csrf: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        refuse_compressed(request.headers())?;
        let (parts, body) = request.into_parts();
        let whole = Request::from_parts(parts.clone(), body);
        let form = RawForm::from_request(whole, state).await;
        let RawForm(form) =
            form.map_err(|rejection| body_refused(&rejection, rejection.status()))?;
        Csrf::from_ref(state).verify(&parts, &form)?;
        let whole = Request::from_parts(parts, Body::from(form));
        axum::Form::from_request(whole, state)
            .await
            .map(|axum::Form(form)| Self(form))
            .map_err(|rejection| body_refused(&rejection, rejection.status()))
    }
}

/// Nothing here is unpacked: a few bytes could become gigabytes.
fn refuse_compressed(headers: &HeaderMap) -> Result<(), Problem> {
    let mut codings = headers.get_all(CONTENT_ENCODING).into_iter();
    if codings.all(|coding| coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Ok(());
    }
    Err(Problem::new(Kind::UnsupportedMediaType)
        .detail("Send the body as it is, without Content-Encoding."))
}

/// A body that cannot be taken, whatever was expected of it.
fn body_refused(rejection: &(impl Error + 'static), status: StatusCode) -> Problem {
    let first: &dyn Error = rejection;
    let mut causes = successors(Some(first), |&error| error.source());
    if causes.any(<dyn Error>::is::<TimeoutError>) {
        return Problem::new(Kind::RequestTimeout).detail("The body did not come in time.");
    }
    let kinds = [Kind::BodyTooLarge, Kind::UnsupportedMediaType];
    let kind = kinds.into_iter().find(|kind| kind.status() == status);
    Problem::new(kind.unwrap_or(Kind::Malformed)).detail(rejection.to_string())
}

fn is_json(request: &Request) -> bool {
    let content_type = request
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let essence = content_type
        .and_then(|value| value.split(';').next())
        .unwrap_or_default()
        .trim();
    essence.eq_ignore_ascii_case("application/json")
        || essence.to_ascii_lowercase().ends_with("+json")
}

fn unreadable(error: &serde_path_to_error::Error<serde_json::Error>) -> Problem {
    let detail = error.inner().to_string();
    if !error.inner().is_data() {
        return Problem::new(Kind::Malformed).detail(detail);
    }
    let pointer = error
        .path()
        .iter()
        .fold(String::new(), |pointer, segment| match segment {
            Segment::Seq { index } => format!("{pointer}/{index}"),
            Segment::Map { key: name } | Segment::Enum { variant: name } => {
                format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
            }
            Segment::Unknown => pointer,
        });
    Problem::invalid(vec![FieldError { pointer, detail }])
}

fn field_errors(errors: &ValidationErrors) -> Vec<FieldError> {
    let mut found = Vec::new();
    collect(errors, "", &mut found);
    found.sort_by(|a, b| a.pointer.cmp(&b.pointer));
    found
}

fn collect(errors: &ValidationErrors, prefix: &str, found: &mut Vec<FieldError>) {
    for (name, kind) in errors.errors() {
        let pointer = format!("{prefix}/{name}");
        match kind {
            ValidationErrorsKind::Field(errors) => {
                found.extend(errors.iter().map(|error| {
                    FieldError {
                        pointer: pointer.clone(),
                        detail: error
                            .message
                            .as_deref()
                            .unwrap_or("is not valid")
                            .to_owned(),
                    }
                }));
            }
            ValidationErrorsKind::Struct(errors) => collect(errors, &pointer, found),
            ValidationErrorsKind::List(items) => {
                for (index, errors) in items {
                    collect(errors, &format!("{pointer}/{index}"), found);
                }
            }
        }
    }
}

/// The parameters behind the `?`.
pub struct Query<T>(pub T);

impl<T, S> FromRequestParts<S> for Query<T>
where
    T: DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        axum::extract::Query::try_from_uri(&parts.uri)
            .map(|axum::extract::Query(query)| Self(query))
            .map_err(|rejection| Problem::new(Kind::Malformed).detail(rejection.body_text()))
    }
}

/// The variable parts of the path. One that does not parse names nothing, so the answer is 404.
pub struct Path<T>(pub T);

impl<T, S> FromRequestParts<S> for Path<T>
where
    T: DeserializeOwned + Send,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        axum::extract::Path::from_request_parts(parts, state)
            .await
            .map(|axum::extract::Path(path)| Self(path))
            .map_err(|_| Problem::new(Kind::NotFound))
    }
}

/// The version the client saw, from `If-Match` (RFC 9110, section 13.1.1); `None` without the header or with `*`.
pub struct IfMatch(pub Option<i64>);

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let Some(header) = parts.headers.get(IF_MATCH) else {
            return Ok(Self(None));
        };
        let tag = header.to_str().unwrap_or_default().trim();
        if tag == "*" {
            return Ok(Self(None));
        }
        let version = tag
            .strip_prefix('"')
            .and_then(|tag| tag.strip_suffix('"'))
            // Behind a dot it may say of what.
            .map(|tag| tag.split('.').next().unwrap_or_default().parse());
        match version {
            Some(Ok(version)) => Ok(Self(Some(version))),
            // Not an ETag this service has ever sent, so nothing can match it.
            _ => Err(Problem::new(Kind::PreconditionFailed)
                .detail("If-Match must be the ETag of the last answer.")),
        }
    }
}

/// Whether a request may see what is not published: everybody's, unless a fence in front of the route has said why not.
#[derive(Clone, Copy)]
pub struct Unpublished(pub Result<(), Kind>);

impl<S: Send + Sync> FromRequestParts<S> for Unpublished {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        let said = parts.extensions.get().copied();
        Ok(said.unwrap_or(Self(Ok(()))))
    }
}
