//! Assets in development, where they change while the service runs. A build with the assets of a release has none of it.

use std::io::{Read, Write};
use std::net::Shutdown;

use serde_json::Value;

use crate::cli::http;
use crate::cli::process::{Place, Service};

/// A service in development that watches its own folder of assets.
fn watching(place: &Place) -> Service {
    place.write("assets/app.css", "a { color: red }");
    place.write("assets/reload.debug.js", "console.log(1);");
    place.serve()
}

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

#[test]
fn an_open_page_hears_of_changes_and_does_not_hold_up_a_stop() {
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
