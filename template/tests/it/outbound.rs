//! Calls to other services that fail, stall, ask for patience, or lead where they must not.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use app::infra::outbound::{Outbound, OutboundError};
use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::any;
use reqwest::{Method, Request, Url};
use tokio::net::TcpListener;

use crate::support::{fixed_clock, settings_alone};

/// Another service, which counts what it is asked.
struct Other {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl Other {
    /// One that answers request number `n`, from 1 on, with `answer(n)`.
    async fn start(answer: impl Fn(usize) -> Response + Clone + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let handler = async move || answer(count.fetch_add(1, Ordering::SeqCst) + 1);
        let routes = Router::new().fallback(any(handler));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { address, asked }
    }

    fn request(&self, method: Method) -> Request {
        request(method, &format!("http://{}/path", self.address))
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn request(method: Method, url: &str) -> Request {
    Request::new(method, Url::parse(url).expect("a URL"))
}

fn outbound(overrides: &[(&str, &str)]) -> Outbound {
    let settings = settings_alone(overrides).outbound;
    Outbound::new(&settings, fixed_clock())
}

/// Fails until the third time.
fn third_time_lucky(number: usize) -> Response {
    if number < 3 {
        StatusCode::SERVICE_UNAVAILABLE.into_response()
    } else {
        StatusCode::OK.into_response()
    }
}

#[tokio::test]
async fn what_can_be_repeated_is_sent_again_after_a_temporary_failure() {
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        let other = Other::start(third_time_lucky).await;
        let answer = outbound(&[]).send(other.request(method)).await;
        assert_eq!(answer.expect("an answer").status(), StatusCode::OK);
        assert_eq!(other.asked(), 3);
    }
}

#[tokio::test]
async fn a_post_is_sent_once_unless_it_carries_a_key() {
    let other = Other::start(third_time_lucky).await;
    let answer = outbound(&[]).send(other.request(Method::POST)).await;
    let status = answer.expect("an answer").status();
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(other.asked(), 1);

    let other = Other::start(third_time_lucky).await;
    let mut request = other.request(Method::POST);
    let key = "one".parse().expect("a header");
    request.headers_mut().insert("idempotency-key", key);
    let answer = outbound(&[]).send(request).await;
    assert_eq!(answer.expect("an answer").status(), StatusCode::OK);
    assert_eq!(other.asked(), 3);
}

#[tokio::test]
async fn a_refusal_is_an_answer_and_not_repeated() {
    let other = Other::start(|_| StatusCode::NOT_FOUND.into_response()).await;
    let answer = outbound(&[]).send(other.request(Method::GET)).await;
    assert_eq!(answer.expect("an answer").status(), StatusCode::NOT_FOUND);
    assert_eq!(other.asked(), 1);
}

#[tokio::test]
async fn who_asks_for_more_patience_than_there_is_gets_no_second_request() {
    let busy = |_| (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "3600")]).into_response();
    let other = Other::start(busy).await;
    let answer = outbound(&[]).send(other.request(Method::GET)).await;
    let status = answer.expect("an answer").status();
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(other.asked(), 1);
}

#[tokio::test]
async fn a_service_that_does_not_answer_is_given_up() {
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = silent.local_addr().expect("an address");
    let settings = [
        ("APP__OUTBOUND__TIMEOUT", "100ms"),
        ("APP__OUTBOUND__ATTEMPTS", "2"),
    ];
    let url = format!("http://user:hidden@{address}/token");
    let answer = outbound(&settings).send(request(Method::GET, &url)).await;
    let error = answer.expect_err("no answer");
    let OutboundError::Failed(cause) = &error else {
        panic!("{error}")
    };
    assert!(cause.is_timeout());
    assert!(
        !format!("{error:?} {cause}").contains("hidden"),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_host_that_only_fails_is_left_alone_and_another_is_not() {
    let broken = Other::start(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response()).await;
    let well = Other::start(|_| StatusCode::OK.into_response()).await;
    let outbound = outbound(&[]);
    for _ in 0..5 {
        let answer = outbound.send(broken.request(Method::GET)).await;
        assert!(answer.expect("an answer").status().is_server_error());
    }
    let answer = outbound.send(broken.request(Method::GET)).await;
    assert!(matches!(answer, Err(OutboundError::LeftAlone(_))));
    assert_eq!(broken.asked(), 5);
    let answer = outbound.send(well.request(Method::GET)).await;
    assert_eq!(answer.expect("an answer").status(), StatusCode::OK);
}

#[tokio::test]
async fn an_address_of_a_user_leads_to_nothing_on_this_side() {
    let inner = Other::start(|_| StatusCode::OK.into_response()).await;
    let port = inner.address.port();
    let outbound = outbound(&[]);
    for host in [
        "127.0.0.1",
        "localhost",
        "0.0.0.0",
        "2130706433",
        "[::ffff:7f00:1]",
        "[::1]",
    ] {
        let url = format!("http://{host}:{port}/");
        let answer = outbound.send_guarded(request(Method::GET, &url)).await;
        assert!(
            matches!(answer, Err(OutboundError::Forbidden)),
            "{url}: {answer:?}"
        );
    }
    assert_eq!(inner.asked(), 0);
}

#[tokio::test]
async fn a_redirect_to_this_side_is_not_followed() {
    let inner = Other::start(|_| StatusCode::OK.into_response()).await;
    let port = inner.address.port();
    for host in ["127.0.0.2", "[::1]", "0.0.0.0"] {
        let target = format!("http://{host}:{port}/secret");
        let outer = Other::start(move |_| Redirect::temporary(&target).into_response()).await;
        let outbound = outbound(&[("APP__OUTBOUND__ALLOW", r#"["127.0.0.1/32"]"#)]);
        let answer = outbound.send_guarded(outer.request(Method::GET)).await;
        assert!(
            matches!(answer, Err(OutboundError::Forbidden)),
            "{host}: {answer:?}"
        );
        assert_eq!(outer.asked(), 1, "it is not tried again");
    }
    assert_eq!(inner.asked(), 0);
}

#[tokio::test]
async fn what_is_allowed_is_reached_and_its_redirects_followed() {
    let inner = Other::start(|_| StatusCode::OK.into_response()).await;
    let target = format!("http://localhost:{}/", inner.address.port());
    let outer = Other::start(move |_| Redirect::temporary(&target).into_response()).await;
    let outbound = outbound(&[("APP__OUTBOUND__ALLOW", r#"["127.0.0.0/8"]"#)]);
    let answer = outbound.send_guarded(outer.request(Method::GET)).await;
    assert_eq!(answer.expect("an answer").status(), StatusCode::OK);
    assert_eq!(inner.asked(), 1);
}

/// Succeeds at its `lucky` request.
async fn lucky_at(lucky: usize) -> Other {
    let answer = move |number| {
        if number < lucky {
            StatusCode::SERVICE_UNAVAILABLE
        } else {
            StatusCode::OK
        }
    };
    Other::start(move |number| answer(number).into_response()).await
}

#[tokio::test]
async fn there_are_as_many_attempts_as_the_setting_says_and_no_more() {
    for (lucky, status, asked) in [
        (2, StatusCode::OK, 2),
        (3, StatusCode::OK, 3),
        (4, StatusCode::SERVICE_UNAVAILABLE, 3),
    ] {
        let other = lucky_at(lucky).await;
        let outbound = outbound(&[("APP__OUTBOUND__ATTEMPTS", "3")]);
        let answer = outbound.send(other.request(Method::GET)).await;
        assert_eq!(answer.expect("an answer").status(), status, "{lucky}");
        assert_eq!(other.asked(), asked, "{lucky}");
    }
}

#[tokio::test]
async fn five_redirects_are_followed_and_no_sixth() {
    for (redirects, is_reached) in [(4, true), (5, true), (6, false)] {
        for is_guarded in [false, true] {
            let answer = move |number| {
                if number > redirects {
                    StatusCode::OK.into_response()
                } else {
                    Redirect::temporary("/on").into_response()
                }
            };
            let other = Other::start(answer).await;
            let settings = [
                ("APP__OUTBOUND__ALLOW", r#"["127.0.0.0/8"]"#),
                ("APP__OUTBOUND__ATTEMPTS", "1"),
            ];
            let outbound = outbound(&settings);
            let request = other.request(Method::GET);
            let answer = if is_guarded {
                outbound.send_guarded(request).await
            } else {
                outbound.send(request).await
            };
            assert_eq!(
                answer.is_ok(),
                is_reached,
                "{redirects}, guarded: {is_guarded}"
            );
            assert_eq!(other.asked(), redirects.min(5) + 1);
        }
    }
}

#[tokio::test]
async fn four_failures_in_a_row_leave_a_host_in_use_and_five_do_not() {
    for (failures, is_used) in [(4, true), (5, false)] {
        let other = lucky_at(failures + 1).await;
        let outbound = outbound(&[("APP__OUTBOUND__ATTEMPTS", "1")]);
        for _ in 0..failures {
            let answer = outbound.send(other.request(Method::GET)).await;
            assert!(answer.expect("an answer").status().is_server_error());
        }
        let answer = outbound.send(other.request(Method::GET)).await;
        assert_eq!(answer.is_ok(), is_used, "after {failures}");
    }
}
