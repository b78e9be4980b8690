//! What is kept, and that nobody gets a page that was made for somebody else.

use std::sync::Arc;

use app::http::page_cache::{CachePolicy, Page};
use axum::http::header::{
    ACCEPT_LANGUAGE, AUTHORIZATION, CACHE_CONTROL, COOKIE, HeaderName, HeaderValue, LOCATION,
    SET_COOKIE, VARY,
};
use axum::http::{HeaderMap, StatusCode};
use tokio::sync::Semaphore;

use super::{PLAIN, Site, html, source};

/// A page that says who asked for it.
fn greeting(headers: &HeaderMap, name: &HeaderName) -> Page {
    let who = headers
        .get(name)
        .map_or("nobody", |value| value.to_str().expect("ASCII"));
    Page::html(format!("<p>Hello, {who}</p>"))
}

#[tokio::test]
async fn a_page_for_everybody_is_made_once_and_then_never_reaches_its_handler() {
    let (site, counts) = Site::fixed("/page", PLAIN, html(100)).await;
    assert_eq!(source(&site.get("/page").await), (200, "MISS"));
    for _ in 0..3 {
        assert_eq!(source(&site.get("/page").await), (200, "HIT-L1"));
    }
    assert_eq!((counts.handled(), counts.made()), (1, 1));
    assert_eq!(source(&site.get("/page?utm=1").await), (200, "HIT-L1"));
    assert_eq!((counts.handled(), counts.made()), (2, 1));
}

#[tokio::test]
async fn a_reload_is_answered_from_the_cache() {
    let (site, counts) = Site::fixed("/page", PLAIN, html(100)).await;
    site.get("/page").await;
    for directive in ["no-cache", "no-store", "max-age=0"] {
        for path in ["/page", "/page?x"] {
            let headers = [("cache-control", directive), ("pragma", "no-cache")];
            let answer = site.get_with(path, &headers).await;
            assert_eq!(source(&answer), (200, "HIT-L1"), "{directive}");
        }
    }
    assert_eq!(counts.made(), 1);
}

#[tokio::test]
async fn a_request_with_credentials_gets_a_page_of_its_own() {
    for (name, value) in [("authorization", "Bearer x"), ("cookie", "session=1")] {
        let (site, counts) = Site::fixed("/page", PLAIN, html(2000)).await;
        site.get("/page").await;
        for round in 1..=2 {
            let answer = site.get_with("/page", &[(name, value)]).await;
            assert_eq!(source(&answer), (200, "BYPASS"), "{name}");
            assert_eq!(answer.header("cache-control"), "private, no-store");
            assert_eq!(
                (answer.header("age"), answer.header("last-modified")),
                ("", "")
            );
            assert_eq!(counts.made(), 1 + round, "{name}");
        }
        assert_eq!(source(&site.get("/page").await), (200, "HIT-L1"));
    }
}

#[tokio::test]
async fn a_page_that_ignores_cookies_is_the_same_for_who_has_some() {
    const BLIND: CachePolicy = CachePolicy::new().ignoring_cookies();
    let (site, counts) = Site::fixed("/page", BLIND, html(100)).await;
    let cookie = [("cookie", "theme=dark")];
    assert_eq!(
        source(&site.get_with("/page", &cookie).await),
        (200, "MISS")
    );
    assert_eq!(
        source(&site.get_with("/page", &cookie).await),
        (200, "HIT-L1")
    );
    assert_eq!(source(&site.get("/page").await), (200, "HIT-L1"));
    assert_eq!((counts.handled(), counts.made()), (1, 1));
    let answer = site
        .get_with("/page", &[("authorization", "Bearer x")])
        .await;
    assert_eq!(source(&answer), (200, "BYPASS"));
}

#[tokio::test]
async fn a_page_that_declares_what_it_varies_on_is_kept_for_each_of_them() {
    const BY_COOKIE: CachePolicy = CachePolicy::new().varying_on(&["cookie"]);
    const BY_TOKEN: CachePolicy = CachePolicy::new().varying_on(&["authorization"]);
    const BY_LANGUAGE: CachePolicy = CachePolicy::new().varying_on(&["accept-language"]);
    for (header, policy, private) in [
        (COOKIE, BY_COOKIE, true),
        (AUTHORIZATION, BY_TOKEN, true),
        (ACCEPT_LANGUAGE, BY_LANGUAGE, false),
    ] {
        let name = header.clone();
        let (site, counts) = Site::with("/page", policy, move |headers| {
            let page = greeting(&headers, &name);
            async move { Ok(page) }
        })
        .await;
        for expected in ["MISS", "HIT-L1", "HIT-L1"] {
            for who in ["ann", "bob"] {
                let answer = site.get_with("/page", &[(header.as_str(), who)]).await;
                assert_eq!(source(&answer), (200, expected), "{header} {who}");
                assert_eq!(answer.text(), format!("<p>Hello, {who}</p>"));
                let cookie = if header == COOKIE { "" } else { ", cookie" };
                assert_eq!(
                    answer.header("vary"),
                    format!("accept-encoding{cookie}, {header}")
                );
                assert_eq!(
                    answer.header("cache-control").starts_with("private"),
                    private
                );
            }
            let answer = site.get("/page").await;
            assert_eq!(source(&answer), (200, expected));
            assert_eq!(answer.text(), "<p>Hello, nobody</p>");
        }
        assert_eq!(counts.made(), 3, "{header}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_ask_at_once_each_gets_the_cookie_that_was_made_for_it() {
    const CLIENTS: usize = 20;
    let gate = Arc::new(Semaphore::new(0));
    let closed = Arc::clone(&gate);
    let (site, counts) = Site::with("/page", PLAIN, move |headers| {
        let gate = Arc::clone(&closed);
        async move {
            let _open = gate.acquire().await.expect("it is never closed");
            let cookie = headers["x-client"].clone();
            Ok(html(100).header(SET_COOKIE, cookie))
        }
    })
    .await;
    let site = Arc::new(site);
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..CLIENTS {
        let site = Arc::clone(&site);
        clients.spawn(async move {
            let client = format!("client={client}");
            (
                site.get_with("/page", &[("x-client", &client)]).await,
                client,
            )
        });
    }
    while counts.handled() < CLIENTS {
        tokio::task::yield_now().await;
    }
    gate.add_permits(1);
    for (answer, client) in clients.join_all().await {
        assert_eq!(answer.header("set-cookie"), client);
        assert_eq!(source(&answer), (200, "BYPASS"));
        assert_eq!(answer.header("cache-control"), "private, no-store");
    }
    assert_eq!(counts.made(), CLIENTS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_who_ask_for_the_same_page_at_once_have_it_made_once() {
    const CLIENTS: usize = 50;
    let gate = Arc::new(Semaphore::new(0));
    let closed = Arc::clone(&gate);
    let (site, counts) = Site::with("/page", PLAIN, move |_| {
        let gate = Arc::clone(&closed);
        async move {
            let _open = gate.acquire().await.expect("it is never closed");
            Ok(html(100))
        }
    })
    .await;
    let site = Arc::new(site);
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..CLIENTS {
        let site = Arc::clone(&site);
        clients.spawn(async move { site.get("/page").await });
    }
    while counts.handled() < CLIENTS {
        tokio::task::yield_now().await;
    }
    gate.add_permits(1);
    let answers = clients.join_all().await;
    assert!(
        answers
            .iter()
            .all(|answer| answer.status == 200 && answer.body == answers[0].body)
    );
    assert_eq!(counts.made(), 1);
}

#[tokio::test]
async fn a_page_that_says_it_is_for_one_client_goes_to_that_one() {
    for (name, value) in [
        (CACHE_CONTROL, "private, max-age=60"),
        (CACHE_CONTROL, "no-store"),
        (CACHE_CONTROL, "max-age=0"),
        (VARY, "user-agent"),
        (SET_COOKIE, "a=1"),
    ] {
        let page = html(100).header(name.clone(), HeaderValue::from_static(value));
        let (site, counts) = Site::fixed("/page", PLAIN, page).await;
        for round in 1..=2 {
            let answer = site.get("/page").await;
            assert_eq!(source(&answer), (200, "BYPASS"), "{name}: {value}");
            assert_eq!(counts.made(), round, "{name}: {value}");
            let kept_by_others = if name == CACHE_CONTROL {
                value
            } else {
                "private, no-store"
            };
            assert_eq!(answer.header("cache-control"), kept_by_others);
            assert!(answer.header(name.as_str()).contains(value), "{answer:?}");
        }
    }
}

#[tokio::test]
async fn a_page_has_the_last_word_on_how_others_keep_it() {
    const SHORT: CachePolicy = CachePolicy::new().cache_control("public, max-age=5");
    let own = HeaderValue::from_static("public, max-age=60");
    for (policy, page, expected) in [
        (PLAIN, html(10), "public, max-age=0, must-revalidate"),
        (SHORT, html(10), "public, max-age=5"),
        (
            SHORT,
            html(10).header(CACHE_CONTROL, own),
            "public, max-age=60",
        ),
    ] {
        let (site, _) = Site::fixed("/page", policy, page).await;
        for status in ["MISS", "HIT-L1"] {
            let answer = site.get("/page").await;
            assert_eq!(source(&answer), (200, status));
            assert_eq!(answer.header("cache-control"), expected);
        }
    }
}

#[tokio::test]
async fn errors_and_redirects_are_kept_only_where_the_policy_says_so() {
    const KEEPING: CachePolicy =
        CachePolicy::new().keeping(&[StatusCode::MOVED_PERMANENTLY, StatusCode::GONE]);
    for status in [StatusCode::MOVED_PERMANENTLY, StatusCode::GONE] {
        for (policy, second, made) in [(PLAIN, "MISS", 2), (KEEPING, "HIT-L1", 1)] {
            let page = html(100)
                .status(status)
                .header(LOCATION, HeaderValue::from_static("/there"));
            let (site, counts) = Site::fixed("/page", policy, page.clone()).await;
            for expected in ["MISS", second] {
                let answer = site.get_with("/page", &[("if-none-match", "*")]).await;
                assert_eq!(source(&answer), (status.as_u16(), expected));
                assert_eq!(answer.header("location"), "/there");
                assert_eq!(answer.header("etag"), "");
                assert!(answer.text().starts_with("<p>All work"), "{answer:?}");
            }
            assert_eq!(counts.made(), made, "{status}");
        }
    }
}

#[tokio::test]
async fn what_cannot_be_made_is_an_error_for_all_and_tried_again() {
    let (site, counts) = Site::with("/page", PLAIN, |_| async {
        Err(app::http::Problem::new(app::http::Kind::NotFound))
    })
    .await;
    for made in 1..=2 {
        let answer = site.get("/page").await;
        assert_eq!(source(&answer), (404, ""));
        assert_eq!(counts.made(), made);
    }
}

#[tokio::test]
async fn only_get_and_head_are_answered_with_pages() {
    let (site, _) = Site::fixed("/page", PLAIN, html(100)).await;
    site.get("/page").await;
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "GETS"] {
        assert_eq!(site.ask(method, "/page", &[]).await.status, 405, "{method}");
    }
    assert_eq!(
        source(&site.ask("HEAD", "/page", &[]).await),
        (200, "HIT-L1")
    );
}

#[tokio::test]
async fn a_change_of_what_a_page_was_made_of_is_seen_at_once() {
    let (site, counts) = Site::fixed("/page", PLAIN, html(100).tag("a").tag("b")).await;
    for (tag, status) in [("a", "MISS"), ("b", "MISS"), ("c", "HIT-L1")] {
        site.get("/page").await;
        site.store.invalidate_tags([tag]).await;
        assert_eq!(source(&site.get("/page").await), (200, status), "{tag}");
    }
    assert_eq!(counts.made(), 3);
}
