//! Errors as pages, from 400 to 504.

use app::component::Routes;
use app::features::pages;
use app::http::problem::Presentation;
use app::http::{Edge, FieldError, Kind, Problem};
use axum::body::Body;
use axum::extract::Path;
use tokio_util::task::TaskTracker;

use super::assert_sane;
use crate::support::{Answer, request, settings_alone};

const KINDS: [(Kind, u16); 16] = [
    (Kind::Malformed, 400),
    (Kind::Unauthenticated, 401),
    (Kind::CrossSite, 403),
    (Kind::NotFound, 404),
    (Kind::MethodNotAllowed, 405),
    (Kind::NotAcceptable, 406),
    (Kind::RequestTimeout, 408),
    (Kind::Conflict, 409),
    (Kind::PreconditionFailed, 412),
    (Kind::BodyTooLarge, 413),
    (Kind::UnsupportedMediaType, 415),
    (Kind::RangeNotSatisfiable, 416),
    (Kind::Invalid, 422),
    (Kind::Internal, 500),
    (Kind::Unavailable, 503),
    (Kind::Timeout, 504),
];

/// What a browser sees of a handler that answers with the problem of `status`.
async fn page(status: u16, development: bool) -> Answer {
    let fails = async |Path(status): Path<u16>| {
        let kind = KINDS
            .into_iter()
            .find(|(_, of)| *of == status)
            .expect("a kind")
            .0;
        let errors = vec![FieldError::new("/title", "must be <short>")];
        let problem = match kind {
            Kind::Invalid => Problem::invalid(errors),
            kind => Problem::new(kind),
        };
        let cause = anyhow::anyhow!("the disk is <full>").context("cannot save");
        problem.detail("A <sentence>.").cause(cause)
    };
    let routes = Routes::new().get("/fails/{status}", fails);
    let presentation = Presentation {
        page: Some(pages::error_page),
        development,
    };
    let settings = settings_alone(&[]).server;
    let service = Edge::private(routes, &settings, presentation, TaskTracker::new());
    let request = request(
        "GET",
        &format!("/fails/{status}"),
        &[("accept", "text/html")],
        Body::empty(),
    );
    Answer::of(service.answer(request).await).await
}

#[tokio::test]
async fn every_error_is_a_page_of_the_site() {
    for (kind, status) in KINDS {
        assert_eq!(kind.status(), status);
        let page = page(status, false).await;
        assert_eq!(page.status, status);
        assert_sane(&page);
        assert_eq!(page.header("cache-control"), "no-store");
        let html = page.text();
        assert!(
            html.contains(&format!("<p class=\"status\">{status}</p>")),
            "{status}"
        );
        assert!(html.contains("A &#60;sentence&#62;."), "{status}: {html}");
        assert!(html.contains("class=\"masthead\"") && html.contains("noindex"));
        for inside in ["disk", "cannot save", "/fails/{status}"] {
            assert!(!html.contains(inside), "{status}: {inside}");
        }
    }
    assert!(
        page(422, false)
            .await
            .text()
            .contains("<code>/title</code> must be &#60;short&#62;")
    );
}

#[tokio::test]
async fn a_developer_sees_what_led_to_it_and_by_which_route() {
    for (_, status) in KINDS {
        let page = page(status, true).await;
        assert_sane(&page);
        let html = page.text();
        for inside in [
            "<li>cannot save</li>",
            "<li>the disk is &#60;full&#62;</li>",
            "<code>/fails/{status}</code>",
        ] {
            assert!(html.contains(inside), "{status}: {inside} in {html}");
        }
    }
}
