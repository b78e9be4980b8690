//! Conditional and partial requests, and what an answer says about its age.

use std::time::Duration;

use super::{PLAIN, Site, html, source};

#[tokio::test]
async fn a_client_that_has_the_page_in_any_encoding_gets_no_body() {
    let (site, _) = Site::fixed("/page", PLAIN, html(4096)).await;
    let plain = site.get("/page").await;
    let br = [("accept-encoding", "br")];
    let small = site
        .ask_until("/page", &br, |answer| {
            answer.header("content-encoding") == "br"
        })
        .await;
    let (plain, small) = (plain.header("etag"), small.header("etag"));
    assert_ne!(plain, small);
    let gzip = plain.replace('"', "") + "-gzip";
    for (known, accept, told) in [
        (plain.to_owned(), "", plain),
        (format!("W/{plain}"), "", plain),
        (format!("\"x\", {plain}"), "", plain),
        ("*".to_owned(), "", plain),
        ("*".to_owned(), "br", small),
        (small.to_owned(), "br", small),
        (small.to_owned(), "", small),
        (format!("{plain}, {small}"), "br", small),
        (format!("{small}, {plain}"), "", plain),
        (format!("\"{gzip}\""), "br", &format!("\"{gzip}\"")),
    ] {
        for path in ["/page", "/page?x"] {
            for method in ["GET", "HEAD"] {
                let headers = [
                    ("if-none-match", known.as_str()),
                    ("accept-encoding", accept),
                ];
                let answer = site.ask(method, path, &headers).await;
                assert_eq!(source(&answer), (304, "HIT-L1"), "{known} {accept}");
                assert_eq!(
                    (answer.header("etag"), answer.text()),
                    (told, ""),
                    "{known} {accept}"
                );
                for name in [
                    "cache-control",
                    "vary",
                    "last-modified",
                    "age",
                    "x-request-id",
                ] {
                    assert_ne!(answer.header(name), "", "{name}");
                }
                for name in ["content-type", "content-encoding", "content-length"] {
                    assert_eq!(answer.header(name), "", "{name}");
                }
            }
        }
    }
    for other in ["\"x\"", "W/\"x\"", "", &plain.replace('"', "")] {
        let answer = site.get_with("/page", &[("if-none-match", other)]).await;
        assert_eq!(source(&answer), (200, "HIT-L1"), "{other}");
    }
}

#[tokio::test]
async fn a_date_counts_where_no_tag_is_sent() {
    let (site, _) = Site::fixed("/page", PLAIN, html(100)).await;
    let page = site.get("/page").await;
    let modified = page.header("last-modified");
    assert_eq!(modified, "Fri, 02 Jan 2026 03:04:05 GMT");
    for (since, status) in [
        (modified, 304),
        ("Sat, 03 Jan 2026 00:00:00 GMT", 304),
        ("Friday, 02-Jan-26 03:04:05 GMT", 304),
        ("Fri, 02 Jan 2026 03:04:04 GMT", 200),
        ("long ago", 200),
    ] {
        let answer = site
            .get_with("/page", &[("if-modified-since", since)])
            .await;
        assert_eq!(source(&answer), (status, "HIT-L1"), "{since}");
        let headers = [("if-modified-since", since), ("if-none-match", "\"x\"")];
        assert_eq!(
            site.get_with("/page", &headers).await.status,
            200,
            "{since}"
        );
    }
}

#[tokio::test]
async fn one_part_of_a_page_can_be_asked_for() {
    let (site, _) = Site::fixed("/page", PLAIN, html(4096)).await;
    let page = site.get("/page").await;
    let length = page.body.len();
    for (range, part) in [
        ("bytes=0-9", 0..10),
        ("bytes=10-", 10..length),
        ("bytes=-10", length - 10..length),
        ("bytes=100-99999", 100..length),
    ] {
        // A part of the page as it is, whatever encodings there are.
        let headers = [("range", range), ("accept-encoding", "br")];
        let answer = site.get_with("/page", &headers).await;
        assert_eq!(source(&answer), (206, "HIT-L1"), "{range}");
        assert_eq!(answer.body, page.body[part.clone()]);
        let place = format!("bytes {}-{}/{length}", part.start, part.end - 1);
        assert_eq!(answer.header("content-range"), place);
        assert_eq!(answer.header("content-length"), part.len().to_string());
        assert_eq!(answer.header("etag"), page.header("etag"));
        assert_eq!(answer.header("content-type"), page.header("content-type"));
    }
    for whole in ["bytes=0-1, 5-6", "bytes=5-1", "pages=1-2"] {
        let answer = site.get_with("/page", &[("range", whole)]).await;
        assert_eq!((answer.status, &answer.body), (200, &page.body), "{whole}");
    }
    let head = site.ask("HEAD", "/page", &[("range", "bytes=0-9")]).await;
    assert_eq!(
        (head.status, head.header("content-length")),
        (200, page.header("content-length"))
    );
}

#[tokio::test]
async fn a_large_page_says_that_a_part_of_it_can_be_had() {
    for (bytes, ranges) in [(4096, ""), (64 * 1024, "bytes")] {
        let (site, _) = Site::fixed("/page", PLAIN, html(bytes)).await;
        for _ in 0..2 {
            assert_eq!(site.get("/page").await.header("accept-ranges"), ranges);
        }
    }
}

#[tokio::test]
async fn a_range_behind_the_end_is_a_problem_that_tells_the_length() {
    let (site, _) = Site::fixed("/page", PLAIN, html(100)).await;
    let length = site.get("/page").await.body.len();
    let answer = site.get_with("/page", &[("range", "bytes=5000-")]).await;
    assert_eq!(answer.status, 416);
    assert_eq!(answer.header("content-range"), format!("bytes */{length}"));
    assert_eq!(answer.json()["type"], "/problems/range-not-satisfiable");
}

#[tokio::test]
async fn a_part_is_only_sent_of_the_page_that_the_client_has_the_rest_of() {
    let (site, _) = Site::fixed("/page", PLAIN, html(4096)).await;
    let tag = site.get("/page").await.header("etag").to_owned();
    for (condition, status) in [
        (tag.as_str(), 206),
        (&format!("W/{tag}"), 200),
        ("\"other\"", 200),
        ("Fri, 02 Jan 2026 03:04:05 GMT", 200),
    ] {
        let headers = [("range", "bytes=0-9"), ("if-range", condition)];
        assert_eq!(
            site.get_with("/page", &headers).await.status,
            status,
            "{condition}"
        );
    }
    let headers = [("range", "bytes=0-9"), ("if-none-match", tag.as_str())];
    assert_eq!(site.get_with("/page", &headers).await.status, 304);
}

#[tokio::test]
async fn a_page_gets_older_and_stays_the_same() {
    let (site, _) = Site::fixed("/page", PLAIN, html(100)).await;
    let page = site.get("/page").await;
    assert_eq!(page.header("age"), "0");
    for (step, age) in [
        (Duration::from_millis(2500), "2"),
        (Duration::from_mins(1), "62"),
    ] {
        site.clock.advance(step);
        for path in ["/page", "/page?x"] {
            let older = site.get(path).await;
            assert_eq!(older.header("age"), age);
            for name in ["last-modified", "etag"] {
                assert_eq!(older.header(name), page.header(name));
            }
        }
    }
}
