//! Assets in development, where they change while the service runs, and assets that another host hands out.

use std::io::Read;
use std::net::Shutdown;

use serde_json::Value;

use crate::cli::http;
use crate::cli::process::{Place, Service};

/// A service in development that watches its own folder of assets.
#[cfg(not(embedded_assets))]
fn watching(place: &Place) -> Service {
    place.write("assets/app.css", "a { color: red }");
    place.write("assets/reload.debug.js", "console.log(1);");
    place.serve()
}

#[cfg(not(embedded_assets))]
#[test]
fn a_changed_asset_is_there_at_the_next_request() {
    let place = Place::new();
    let service = watching(&place);
    let css = || service.get("/assets/app.css");
    assert!(
        css().body.starts_with("a {\n  color: red;\n}\n"),
        "{:?}",
        css()
    );
    place.write("assets/app.css", "a { color: green; margin: 0 }");
    assert!(css().body.contains("green"), "{:?}", css());
    assert_eq!(service.get("/assets/new.txt").status, 404);
    place.write("assets/new.txt", "new");
    assert_eq!(service.get("/assets/new.txt").body, "new");
}

#[cfg(not(embedded_assets))]
#[test]
fn a_broken_asset_says_where_until_it_is_mended() {
    let place = Place::new();
    let service = watching(&place);
    assert_eq!(service.get("/assets/app.css").status, 200);
    place.write("assets/app.css", "a {\n  color: }}");
    let broken = service.get("/assets/app.css");
    assert_eq!(broken.status, 500);
    let detail = broken.json()["detail"].as_str().expect("a text").to_owned();
    assert!(detail.starts_with("assets/app.css:2:"), "{detail}");
    // What shows that on the page is there all the same.
    assert_eq!(service.get("/assets/reload.debug.js").status, 200);
    place.write("assets/app.css", "a { color: blue }");
    assert!(service.get("/assets/app.css").body.contains("#00f"));
    let log = service.stop();
    assert!(log.iter().any(|line| line.contains(&detail)), "{log:#?}");
}

/// The first event that says something, from `stream`.
#[cfg(not(embedded_assets))]
fn event(stream: &mut impl Read) -> Value {
    let mut text = Vec::new();
    loop {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("an event");
        text.push(byte[0]);
        let line = text
            .ends_with(b"\n")
            .then(|| String::from_utf8_lossy(&text).into_owned());
        if let Some(line) = line {
            text.clear();
            if let Some(data) = line.strip_prefix("data: ") {
                return serde_json::from_str(data).expect("JSON");
            }
        }
    }
}

#[cfg(not(embedded_assets))]
#[test]
fn an_open_page_hears_of_changes_and_does_not_hold_up_a_stop() {
    use std::io::Write;

    let place = Place::new();
    let service = watching(&place);
    assert!(service.get("/").body.contains("/assets/reload.debug.js"));
    let mut stream = http::connect(service.address());
    write!(
        stream,
        "GET /dev/reload HTTP/1.1\r\nhost: localhost\r\n\r\n"
    )
    .expect("a request");
    let first = event(&mut stream);
    assert_eq!(first["broken"], Value::Null);

    place.write("assets/app.css", "a { color: green }");
    let styles = event(&mut stream);
    assert_ne!(styles["styles"], first["styles"]);
    assert_eq!(
        (&styles["rest"], &styles["build"]),
        (&first["rest"], &first["build"])
    );

    place.write("assets/new.ts", "let n: number = 1; console.log(n);");
    assert_ne!(event(&mut stream)["rest"], first["rest"]);

    place.write("assets/new.ts", "let = ;");
    let broken = event(&mut stream);
    assert!(
        broken["broken"]
            .as_str()
            .expect("a text")
            .contains("assets/new.ts:1:")
    );

    service.stop();
    stream.shutdown(Shutdown::Both).ok();
}

#[test]
fn a_host_that_hands_out_assets_is_in_pages_and_allowed_by_them() {
    let place = Place::new();
    let cdn = "https://cdn.example.com";
    let variables = [
        ("APP__ASSETS__PUBLIC_URL", "https://cdn.example.com/"),
        ("APP_ENV", "test"),
    ];
    let service = place.serve_with(&variables);
    let page = service.get("/");
    let address = format!("{cdn}/assets/");
    for line in page.body.lines().filter(|line| line.contains("/assets/")) {
        assert!(line.contains(&address), "{line}");
    }
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(
        policy.starts_with("default-src 'self' https://cdn.example.com;"),
        "{policy}"
    );
    let links = page.body.split('"').find_map(|part| part.strip_prefix(cdn));
    let asset = service.get(links.expect("an asset"));
    assert_eq!(asset.status, 200);
    assert_eq!(asset.header("access-control-allow-origin"), Some("*"));
    assert_eq!(
        asset.header("cross-origin-resource-policy"),
        Some("cross-origin")
    );
    assert_eq!(
        page.header("cross-origin-resource-policy"),
        Some("same-origin")
    );
}

#[test]
fn a_host_that_is_none_is_refused() {
    let place = Place::new();
    let wrong = [("APP__ASSETS__PUBLIC_URL", "cdn.example.com'; script-src *")];
    let finished = place.run_with(&["config"], &wrong);
    assert_eq!(
        finished.problems(),
        [
            "assets.public_url must be like https://example.com (environment APP__ASSETS__PUBLIC_URL)"
        ]
    );
}
