//! What operations of the API may answer besides what they are for, as the OpenAPI document says it.

use std::collections::BTreeMap;

use utoipa::IntoResponses;
use utoipa::openapi::path::Operation;
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, RefOr, Response, ResponseBuilder};

type Responses = BTreeMap<String, RefOr<Response>>;

/// Of an operation that takes a body.
pub struct WithBody;

impl IntoResponses for WithBody {
    fn responses() -> Responses {
        problems(&[
            ("400", "The request cannot be read"),
            ("408", "The body did not come in time"),
            ("413", "The body is too large"),
            ("415", "The body is not JSON"),
            ("422", "Every wrong value at once"),
        ])
    }
}

/// What is around the handlers may answer in place of any of them: status, name, description.
const AROUND: [(&str, &str, &str); 5] = [
    ("406", "NotAcceptable", "The client takes no JSON"),
    (
        "429",
        "RateLimited",
        "Too many requests; `Retry-After` says for how many seconds",
    ),
    (
        "500",
        "Internal",
        "A fault of the service, in its log under `request_id`",
    ),
    (
        "503",
        "Unavailable",
        "Too busy, or without its database; `Retry-After` says for how many seconds",
    ),
    ("504", "Timeout", "It took too long and was given up"),
];

const CROSS_SITE: (&str, &str, &str) = ("403", "CrossSite", "A page of another site has sent it");

/// Adds them to every operation that does not describe them itself.
pub fn add_those_around(document: &mut OpenApi) {
    let components = document.components.get_or_insert_default();
    for (_, name, description) in AROUND.into_iter().chain([CROSS_SITE]) {
        let response = problem(description).into();
        components.responses.insert(name.to_owned(), response);
    }
    for_each_operation(document, |operation, is_write| {
        add(operation, &AROUND);
        if is_write {
            add(operation, &[CROSS_SITE]);
        }
    });
}

/// Hands over every operation, and whether it changes something.
pub fn for_each_operation(document: &mut OpenApi, mut change: impl FnMut(&mut Operation, bool)) {
    for item in document.paths.paths.values_mut() {
        let writes = [
            &mut item.post,
            &mut item.put,
            &mut item.patch,
            &mut item.delete,
        ];
        for operation in writes.into_iter().flatten() {
            change(operation, true);
        }
        if let Some(operation) = &mut item.get {
            change(operation, false);
        }
    }
}

fn add(operation: &mut Operation, shared: &[(&str, &str, &str)]) {
    let responses = &mut operation.responses.responses;
    for (status, name, _) in shared {
        let response = responses.entry((*status).to_owned());
        response.or_insert_with(|| Ref::from_response_name(*name).into());
    }
}

/// Problems by status, with what each means.
#[must_use]
pub fn problems(problems: &[(&str, &str)]) -> Responses {
    let described = problems
        .iter()
        .map(|(status, description)| ((*status).to_owned(), problem(description).into()));
    described.collect()
}

fn problem(description: &str) -> Response {
    let document = Ref::from_schema_name("Problem");
    let content = ContentBuilder::new().schema(Some(document)).build();
    ResponseBuilder::new()
        .description(description)
        .content("application/problem+json", content)
        .build()
}
