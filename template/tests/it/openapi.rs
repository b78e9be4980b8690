//! The OpenAPI document against the code.

use std::collections::BTreeSet;
use std::io::Read;

use axum::body::Body;
use serde_json::Value;

use crate::support::{Answer, JSON, TestApp};

/// The document as it is committed.
const COMMITTED: &str = include_str!("../../openapi.json");

/// Method, path and operation of everything in the document.
fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let paths = document["paths"].as_object().expect("paths");
    let operations = paths.iter().flat_map(|(path, item)| {
        let item = item.as_object().expect("operations");
        item.iter()
            .map(|(method, operation)| (method.to_uppercase(), path.clone(), operation.clone()))
    });
    operations.collect()
}

/// An answer, also one that many operations share.
fn response<'a>(document: &'a Value, operation: &'a Value, status: &str) -> &'a Value {
    let response = &operation["responses"][status];
    match response["$ref"].as_str() {
        Some(shared) => document.pointer(&shared[1..]).expect("a shared response"),
        None => response,
    }
}

#[tokio::test]
async fn the_committed_document_is_the_one_the_code_makes() {
    let app = TestApp::start().await;
    let served = app.get("/api/openapi.json").await;
    assert_eq!(served.status, 200);
    let committed: Value = serde_json::from_str(COMMITTED).expect("openapi.json is JSON");
    assert!(
        served.json() == committed,
        "openapi.json is not what the code makes any more; renew it with: cargo run -- openapi > openapi.json"
    );
}

#[tokio::test]
async fn every_operation_is_named_after_its_handler() {
    let document: Value = serde_json::from_str(COMMITTED).unwrap();
    let handlers = crate::architecture::sources("src");
    let mut ids = BTreeSet::new();
    for (method, path, operation) in operations(&document) {
        let id = operation["operationId"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let function = format!("async fn {id}(");
        let found = handlers
            .iter()
            .any(|source| source.text.contains(&function));
        assert!(found, "{method} {path}: there is no handler `{id}`");
        assert!(
            ids.insert(id),
            "{method} {path}: another operation has the same id"
        );
    }
    assert!(!ids.is_empty());
}

#[test]
fn every_reference_leads_somewhere_and_every_response_is_described() {
    let document: Value = serde_json::from_str(COMMITTED).unwrap();
    let references = COMMITTED
        .split("\"$ref\": \"#")
        .skip(1)
        .filter_map(|rest| rest.split('"').next());
    for reference in references {
        assert!(document.pointer(reference).is_some(), "{reference}");
    }
    for (method, path, operation) in operations(&document) {
        for status in operation["responses"]
            .as_object()
            .expect("responses")
            .keys()
        {
            let description = &response(&document, &operation, status)["description"];
            assert!(description.is_string(), "{method} {path} {status}");
        }
    }
}

#[test]
fn what_may_be_answered_in_place_of_any_handler_is_in_every_operation() {
    let document: Value = serde_json::from_str(COMMITTED).unwrap();
    for (method, path, operation) in operations(&document) {
        let of_writes = (method != "GET").then_some("403");
        for status in ["406", "429", "500", "503", "504"]
            .into_iter()
            .chain(of_writes)
        {
            let content = &response(&document, &operation, status)["content"];
            let schema = &content["application/problem+json"]["schema"]["$ref"];
            assert_eq!(
                schema, "#/components/schemas/Problem",
                "{method} {path} {status}"
            );
        }
    }
}

#[tokio::test]
async fn every_documented_operation_answers_as_documented() {
    let app = TestApp::start().await;
    let document: Value = serde_json::from_str(COMMITTED).unwrap();
    for (method, path, operation) in operations(&document) {
        let body = if method == "GET" { "" } else { "{}" };
        // There is no such thing, which is one of the documented answers.
        let address = path.replace("{id}", "00000000-0000-0000-0000-000000000000");
        let answer = app.call(&method, &address, &[JSON], Body::from(body)).await;
        let status = answer.status;
        let documented = response(&document, &operation, &status.to_string());
        assert!(
            !documented.is_null(),
            "{method} {path}: {status} is not documented"
        );
        if status != 204 {
            let content = documented["content"].as_object().expect("a content type");
            assert!(
                content.contains_key(answer.header("content-type")),
                "{method} {path}"
            );
        }
    }
}

/// Files of the viewer are in the binary as browsers get them.
fn unpacked(answer: &Answer) -> String {
    assert_eq!(answer.header("content-encoding"), "gzip");
    let mut text = String::new();
    let mut packed = flate2::read::GzDecoder::new(&*answer.body);
    packed.read_to_string(&mut text).expect("text");
    text
}

#[tokio::test]
async fn the_viewer_loads_nothing_from_elsewhere() {
    let app = TestApp::start().await;
    let viewer = app.get("/api/docs/").await;
    assert_eq!(viewer.status, 200);
    assert!(viewer.header("content-type").starts_with("text/html"));
    let html = unpacked(&viewer);
    assert!(!html.contains("//"), "an address of another host in {html}");
    for file in [
        "swagger-ui.css",
        "swagger-ui-bundle.js",
        "swagger-ui-standalone-preset.js",
    ] {
        assert!(html.contains(file), "{file}");
        assert_eq!(
            app.get(&format!("/api/docs/{file}")).await.status,
            200,
            "{file}"
        );
    }
    let start = app.get("/api/docs/swagger-initializer.js").await;
    let start = start.text();
    assert!(start.contains("/api/openapi.json"), "{start}");
    assert!(!start.contains("//petstore"), "{start}");
    // Without it the viewer sends the document's address to a validator on the internet.
    assert!(start.contains("\"validatorUrl\": \"none\""), "{start}");
}

#[tokio::test]
async fn the_address_without_a_slash_leads_to_the_viewer() {
    let app = TestApp::start().await;
    let answer = app.get("/api/docs").await;
    assert!((300..400).contains(&answer.status), "{}", answer.status);
    assert_eq!(answer.header("location"), "/api/docs/");
}

#[tokio::test]
async fn the_viewer_is_counted_by_its_routes() {
    let app = TestApp::start().await;
    for (path, route) in [
        ("/api/docs", "/api/docs"),
        ("/api/docs/", "/api/docs/"),
        ("/api/docs/swagger-ui.css", "/api/docs/{*rest}"),
        ("/api/openapi.json", "/api/openapi.json"),
    ] {
        let status = app.get(path).await.status;
        let metrics = app.operator("/metrics").await;
        let series =
            format!("http_requests_total{{method=\"GET\",route=\"{route}\",status=\"{status}\"}}");
        assert!(metrics.text().contains(&series), "{series}");
    }
}
