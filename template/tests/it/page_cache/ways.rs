//! A page goes two ways, through the front and through the routes, and nobody can tell which.

use std::collections::BTreeMap;

use app::telemetry::Exporter;

use super::{PLAIN, Site, html};
use crate::support::Answer;

/// What must be the same: everything but the name of the request and the date.
fn comparable(answer: &Answer) -> (u16, BTreeMap<String, Vec<u8>>, &[u8]) {
    let mut headers = BTreeMap::new();
    for (name, value) in &answer.headers {
        if name != "x-request-id" && name != "date" {
            let before = headers.insert(name.to_string(), value.as_bytes().to_vec());
            assert!(before.is_none(), "{name} is there twice");
        }
    }
    (answer.status, headers, &answer.body)
}

/// The series of the metrics that are about `route`, and how often each was counted.
fn counted(route: &str) -> BTreeMap<String, u64> {
    let metrics = Exporter::install().expect("metrics").render();
    let label = format!("route=\"{route}\"");
    let of_route = metrics.lines().filter(|line| line.contains(&label));
    let counts = of_route.filter(|line| !line.contains("_bucket") && !line.contains("_sum"));
    counts
        .map(|line| line.rsplit_once(' ').expect("a value"))
        .map(|(series, count)| (series.to_owned(), count.parse().expect("a count")))
        .collect()
}

#[tokio::test]
async fn an_answer_is_the_same_whichever_way_it_went() {
    const ROUTE: &str = "/two-ways";
    let (site, counts) = Site::fixed(ROUTE, PLAIN, html(4096)).await;
    let tag = site.get(ROUTE).await.header("etag").to_owned();
    let small = [("accept-encoding", "br")];
    site.ask_until(ROUTE, &small, |answer| {
        answer.header("content-encoding") == "br"
    })
    .await;
    let handled = counts.handled();
    let mut requests = 0;
    for method in ["GET", "HEAD"] {
        for headers in [
            &[][..],
            &[("accept-encoding", "br, gzip")],
            &[("accept-encoding", "zstd")],
            &[("accept-encoding", "*;q=0, gzip")],
            &[("if-none-match", &tag)],
            &[("if-none-match", "*"), ("accept-encoding", "br")],
            &[("if-modified-since", "Sat, 03 Jan 2026 00:00:00 GMT")],
            &[("user-agent", "a browser"), ("cache-control", "no-cache")],
        ] {
            let before = counted(ROUTE);
            let front = site.ask(method, ROUTE, headers).await;
            let routes = site.ask(method, &format!("{ROUTE}?x=1"), headers).await;
            assert_eq!(
                comparable(&front),
                comparable(&routes),
                "{method} {headers:?}"
            );
            requests += 1;
            assert_eq!(counts.handled() - handled, requests, "one went each way");
            assert_both_counted(&before, &counted(ROUTE), method, front.status);
        }
    }
}

/// Both in one series of the counter and one of each histogram, and nowhere else.
fn assert_both_counted(
    before: &BTreeMap<String, u64>,
    after: &BTreeMap<String, u64>,
    method: &str,
    status: u16,
) {
    let more = |series: &String, count: &u64| count - before.get(series).unwrap_or(&0);
    let changed: Vec<_> = after
        .iter()
        .filter(|(series, count)| more(series, count) > 0)
        .collect();
    assert_eq!(changed.len(), 3, "{changed:?}");
    for (series, count) in changed {
        assert!(series.contains(&format!("method=\"{method}\"")), "{series}");
        let is_size = series.starts_with("http_response_size_bytes");
        let has_status = series.contains(&format!("status=\"{status}\""));
        assert!(has_status || is_size, "{series}");
        assert_eq!(more(series, count), 2, "{series}");
    }
}

#[tokio::test]
async fn every_answer_has_a_name_and_keeps_the_one_that_came_in() {
    let (site, _) = Site::fixed("/page", PLAIN, html(100)).await;
    let mut names = Vec::new();
    for path in ["/page", "/page", "/page?x", "/nowhere"] {
        let own = site.get(path).await.header("x-request-id").to_owned();
        assert!(own.len() == 32 && !names.contains(&own), "{own}");
        names.push(own);
        let kept = site
            .get_with(path, &[("x-request-id", "from-outside.1")])
            .await;
        assert_eq!(kept.header("x-request-id"), "from-outside.1", "{path}");
        let forged = site.get_with(path, &[("x-request-id", "a b")]).await;
        assert_eq!(forged.header("x-request-id").len(), 32, "{path}");
    }
}

#[tokio::test]
async fn how_long_a_page_takes_to_make_is_measured_by_its_route() {
    let (site, _) = Site::fixed("/measured", PLAIN, html(100)).await;
    for path in ["/measured", "/measured", "/measured?x"] {
        site.get(path).await;
    }
    let metrics = Exporter::install().expect("metrics").render();
    let expected = "page_render_duration_seconds_count{page=\"/measured\"} 1";
    assert!(metrics.lines().any(|line| line == expected), "{metrics}");
}
