//! Which encoding of a page is sent, and when it is made.

use std::io::Read;
use std::time::{Duration, Instant};

use app::http::page_cache::Page;

use super::{PLAIN, Site, html, source};
use crate::support::Answer;

/// The body as it was before it was encoded.
fn decoded(answer: &Answer) -> String {
    let mut text = String::new();
    let body = &*answer.body;
    let read = match answer.header("content-encoding") {
        "br" => brotli::Decompressor::new(body, 4096).read_to_string(&mut text),
        "zstd" => zstd::Decoder::new(body)
            .expect("a frame")
            .read_to_string(&mut text),
        "gzip" => flate2::read::GzDecoder::new(body).read_to_string(&mut text),
        _ => return answer.text().to_owned(),
    };
    read.expect("it can be decoded");
    text
}

/// Asks until the page comes encoded like that.
async fn encoded(site: &Site, accept: &str, coding: &str) -> Answer {
    let accept = [("accept-encoding", accept)];
    site.ask_until("/page", &accept, |answer| {
        answer.header("content-encoding") == coding
    })
    .await
}

#[tokio::test]
async fn the_first_client_who_wants_a_smaller_page_has_it_made_for_the_next() {
    let (site, counts) = Site::fixed("/page", PLAIN, html(4096)).await;
    let plain = site.get("/page").await;
    let first = site.get_with("/page", &[("accept-encoding", "br")]).await;
    assert_eq!(
        (first.header("content-encoding"), &first.body),
        ("", &plain.body)
    );
    for (accept, coding) in [
        ("gzip, deflate, br, zstd", "br"),
        ("gzip, zstd", "zstd"),
        ("gzip", "gzip"),
        ("br;q=0.5, gzip;q=0.8", "gzip"),
    ] {
        let small = encoded(&site, accept, coding).await;
        assert_eq!(source(&small), (200, "HIT-L1"));
        assert!(small.body.len() * 4 < plain.body.len(), "{coding}");
        assert_eq!(decoded(&small), plain.text());
        assert_eq!(small.header("content-type"), plain.header("content-type"));
        let tag = plain.header("etag").trim_end_matches('"');
        assert_eq!(small.header("etag"), format!("{tag}-{coding}\""));
    }
    let again = site.get("/page").await;
    assert_eq!(
        (again.header("content-encoding"), &again.body),
        ("", &plain.body)
    );
    assert_eq!(again.header("etag"), plain.header("etag"));
    for answer in [plain, first, again] {
        assert_eq!(answer.header("vary"), "accept-encoding, cookie");
    }
    assert_eq!(counts.made(), 1);
}

#[tokio::test]
async fn a_large_page_is_encoded_before_anybody_asks_for_it() {
    let (site, _) = Site::fixed("/page", PLAIN, html(64 * 1024)).await;
    let plain = site.get("/page").await;
    let bytes = site.store.stats().l1.bytes;
    let deadline = Instant::now() + Duration::from_secs(30);
    while site.store.stats().l1.bytes == bytes {
        assert!(Instant::now() < deadline, "it is not encoded");
        tokio::task::yield_now().await;
    }
    let accept = [("accept-encoding", "br")];
    let small = site.get_with("/page", &accept).await;
    assert_eq!(small.header("content-encoding"), "br");
    assert_eq!(decoded(&small), plain.text());
    // All encodings count.
    let more = site.store.stats().l1.bytes - bytes;
    assert!(more >= small.body.len() as u64, "{more}");
}

#[tokio::test]
async fn what_does_not_get_smaller_is_sent_as_it_is() {
    for page in [
        html(900),
        Page::new("image/png", vec![0; 40_000]),
        Page::new("text/plain", noise(2000)),
    ] {
        let (site, _) = Site::fixed("/page", PLAIN, page).await;
        for _ in 0..3 {
            let answer = site
                .get_with("/page", &[("accept-encoding", "br, gzip")])
                .await;
            assert_eq!(
                (answer.status, answer.header("content-encoding")),
                (200, "")
            );
            assert_eq!(answer.header("vary"), "accept-encoding, cookie");
        }
    }
}

/// Bytes that no encoding makes fewer.
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let byte = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(byte).take(bytes).collect()
}

#[tokio::test]
async fn a_client_that_refuses_the_page_as_it_is_gets_what_it_takes_or_406() {
    let bypass = ("authorization", "Bearer x");
    for headers in [&[][..], &[bypass]] {
        let (site, _) = Site::fixed("/page", PLAIN, html(4096)).await;
        for coding in ["gzip", "br", "zstd"] {
            let accept = format!("identity;q=0, {coding}");
            let mut headers = headers.to_vec();
            headers.push(("accept-encoding", &accept));
            let answer = site.get_with("/page", &headers).await;
            assert_eq!(
                (answer.status, answer.header("content-encoding")),
                (200, coding)
            );
            assert!(decoded(&answer).starts_with("<p>All work"));
        }
        for accept in ["identity;q=0", "*;q=0", "identity;q=0, deflate"] {
            let mut headers = headers.to_vec();
            headers.push(("accept-encoding", accept));
            let answer = site.get_with("/page", &headers).await;
            assert_eq!(answer.status, 406, "{accept}");
            assert_eq!(answer.json()["type"], "/problems/not-acceptable");
        }
    }
    let (site, _) = Site::fixed("/page", PLAIN, html(900)).await;
    let answer = site
        .get_with("/page", &[("accept-encoding", "br, identity;q=0")])
        .await;
    assert_eq!(answer.status, 406, "too small to be encoded");
}

#[tokio::test]
async fn head_tells_the_length_of_what_get_would_send() {
    let (site, _) = Site::fixed("/page", PLAIN, html(4096)).await;
    let plain = site.get("/page").await;
    let small = encoded(&site, "br", "br").await;
    for (answer, accept) in [(plain, "identity"), (small, "br")] {
        for path in ["/page", "/page?x"] {
            let head = site.ask("HEAD", path, &[("accept-encoding", accept)]).await;
            assert_eq!((head.status, head.text()), (200, ""));
            for name in ["content-length", "content-encoding", "content-type", "etag"] {
                assert_eq!(
                    head.header(name),
                    answer.header(name),
                    "{path} {accept} {name}"
                );
            }
        }
    }
}
