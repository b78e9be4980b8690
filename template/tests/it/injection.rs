//! SQL in every field that takes text: it is a value like any other, reaches no row but the one that is meant, and breaks
//! nothing.

use std::collections::BTreeMap;
use std::fmt::Write;

use app::infra::db::Driver;
use serde_json::{Map, Value, json};
use sqlx::{AssertSqlSafe, Row};

use crate::support::{ARTICLES, Answer, JSON, TestApp};

/// To end a value, to see more rows, to do something else besides, to take time, and to match anything.
pub const ATTACKS: [&str; 18] = [
    "'",
    "\"",
    "';",
    "' OR '1'='1",
    "') OR ('1'='1' --",
    "' OR 1=1 #",
    "\" OR \"\"=\"",
    "x' UNION SELECT body, body, body FROM articles --",
    "'; DROP TABLE articles; --",
    "'); DELETE FROM articles; --",
    "1; UPDATE articles SET title = 'taken'; --",
    "' || (SELECT body FROM articles) || '",
    "'; SELECT pg_sleep(600); --",
    "' AND 1 = LENGTH(randomblob(2000000000)) --",
    "%",
    "_%",
    "$1 ?1 :1",
    "\\'; --",
];

/// In a draft that none of the requests asks for.
const UNSEEN: &str = "the-text-of-a-row-that-nobody-asked-for";

/// What must not change, whatever is sent.
pub struct Rows {
    tables: BTreeMap<String, i64>,
    draft: String,
    text: String,
}

impl Rows {
    pub async fn of(app: &TestApp) -> Self {
        let slug = plain("slug");
        let draft = json!({ "title": "Unseen", "slug": slug, "body": UNSEEN, "status": "draft" });
        let draft = app.create(ARTICLES, &draft).await;
        Self {
            tables: tables(app).await,
            text: app.get(&draft).await.text().to_owned(),
            draft,
        }
    }

    /// An answer of the service to something that came with `what`.
    #[track_caller]
    pub fn assert_unseen(answer: &Answer, what: &str) {
        assert!(
            answer.status < 500,
            "{what}: {} {}",
            answer.status,
            answer.text()
        );
        assert!(!answer.text().contains(UNSEEN), "{what}: {}", answer.text());
    }

    pub async fn assert_unchanged(&self, app: &TestApp, what: &str) {
        let tables = tables(app).await;
        for (name, rows) in &self.tables {
            let left = tables.get(name);
            assert!(
                left >= Some(rows),
                "{what}: {name} has {left:?} of {rows} rows"
            );
        }
        assert_eq!(app.get(&self.draft).await.text(), self.text, "{what}");
    }
}

/// Every table and how many rows it has.
async fn tables(app: &TestApp) -> BTreeMap<String, i64> {
    let names = match <Driver as sqlx::Database>::NAME {
        "SQLite" => "SELECT name FROM sqlite_master WHERE type = 'table'",
        _ => "SELECT tablename::text AS name FROM pg_tables WHERE schemaname = 'public'",
    };
    let pool = app.database().pool();
    let names = sqlx::query(names).fetch_all(pool).await.expect("tables");
    let mut tables = BTreeMap::new();
    for name in names {
        let name: String = name.get("name");
        let count = AssertSqlSafe(format!("SELECT COUNT(*) FROM \"{name}\""));
        let rows = sqlx::query_scalar(count).fetch_one(pool).await;
        tables.insert(name, rows.expect("a number"));
    }
    assert!(tables.contains_key("articles"), "{tables:?}");
    tables
}

/// One operation of the document, and what it takes.
struct Operation {
    method: String,
    path: String,
    /// Name and place of parameters that are text.
    parameters: Vec<(String, String)>,
    /// The properties of its body, and whether each is text or a list of it.
    body: Vec<(String, Kind)>,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Text,
    Texts,
    Other,
}

/// What a schema takes, through references and alternatives.
fn kind(document: &Value, schema: &Value) -> Kind {
    if let Some(reference) = schema["$ref"].as_str() {
        return kind(
            document,
            document.pointer(&reference[1..]).expect("a schema"),
        );
    }
    if let Some(either) = schema["oneOf"].as_array() {
        let mut kinds = either.iter().map(|schema| kind(document, schema));
        return kinds
            .find(|kind| *kind != Kind::Other)
            .unwrap_or(Kind::Other);
    }
    let is = |name: &str| {
        let types = &schema["type"];
        types == name
            || types
                .as_array()
                .is_some_and(|types| types.contains(&json!(name)))
    };
    if is("string") {
        Kind::Text
    } else if is("array") && kind(document, &schema["items"]) == Kind::Text {
        Kind::Texts
    } else {
        Kind::Other
    }
}

fn operations(document: &Value) -> Vec<Operation> {
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let parameters = parameters
                .filter(|one| kind(document, &one["schema"]) == Kind::Text)
                .map(|one| [&one["name"], &one["in"]].map(|text| text.as_str().unwrap().to_owned()))
                .map(|[name, place]| (name, place));
            let body = &operation["requestBody"]["content"]["application/json"]["schema"];
            let body = body["$ref"].as_str().map(|reference| {
                let schema = document.pointer(&reference[1..]).expect("a schema");
                let properties = schema["properties"].as_object().expect("properties");
                let property = |(name, schema)| (String::clone(name), kind(document, schema));
                properties.iter().map(property).collect()
            });
            found.push(Operation {
                method: method.to_uppercase(),
                path: path.clone(),
                parameters: parameters.collect(),
                body: body.unwrap_or_default(),
            });
        }
    }
    found
}

/// A value that the property `name` takes, so that only the one under attack can be refused.
fn plain(name: &str) -> Value {
    match name {
        "title" | "name" | "summary" | "body" => json!("Plain"),
        "slug" => json!(format!("plain-{}", uuid::Uuid::now_v7())),
        "tags" => json!(["plain"]),
        "status" => json!("draft"),
        "email" => json!("plain@example.com"),
        "password" | "current_password" | "new_password" => json!("correct horse battery staple"),
        "token" | "refresh_token" => json!("plain"),
        "role" => json!("member"),
        "is_active" => json!(true),
        other => panic!("`{other}` is new in the document: say here what it takes"),
    }
}

/// As a part of an address.
pub fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        write!(escaped, "%{byte:02X}").expect("memory");
    }
    escaped
}

/// A request with `attack` in one place: `name`, of the body or among the parameters.
async fn ask(app: &TestApp, operation: &Operation, name: &str, attack: &str) -> Answer {
    let (mut path, mut query) = (operation.path.clone(), String::new());
    let mut headers = vec![JSON];
    for (parameter, place) in &operation.parameters {
        let is_under_attack = parameter == name;
        match place.as_str() {
            "path" if is_under_attack => {
                path = path.replace(&format!("{{{name}}}"), &escaped(attack));
            }
            "query" if is_under_attack => query = format!("?{name}={}", escaped(attack)),
            "header" if is_under_attack => headers.push(("if-match", attack)),
            _ => {}
        }
    }
    // Of nobody, where the address is not what is tried.
    path = path.replace("{id}", "00000000-0000-0000-0000-000000000000");
    let mut body: Map<String, Value> = operation
        .body
        .iter()
        .map(|(name, _)| (name.clone(), plain(name)))
        .collect();
    for (property, kind) in &operation.body {
        if property == name {
            let value = match kind {
                Kind::Texts => json!([attack]),
                _ => json!(attack),
            };
            body.insert(property.clone(), value);
        }
    }
    let body = Value::Object(body).to_string();
    app.call(&operation.method, &format!("{path}{query}"), &headers, body)
        .await
}

#[tokio::test]
async fn sql_in_any_field_of_the_api_is_a_value_like_any_other() {
    let document = TestApp::start().await.get("/api/openapi.json").await.json();
    let mut fields = 0;
    for operation in operations(&document) {
        let parameters = operation.parameters.iter().map(|(name, _)| name);
        let properties = operation
            .body
            .iter()
            .filter(|(_, kind)| *kind != Kind::Other);
        let names: Vec<String> = parameters
            .chain(properties.map(|(name, _)| name))
            .cloned()
            .collect();
        if names.is_empty() {
            continue;
        }
        // Of its own: what one of them changes, a password for example, is not in the way of the next.
        let app = TestApp::start().await;
        let rows = Rows::of(&app).await;
        for name in names {
            fields += 1;
            for attack in ATTACKS.iter().copied().chain(["\0"]) {
                if operation
                    .parameters
                    .iter()
                    .any(|(n, place)| *n == name && place == "header")
                    && attack == "\0"
                {
                    // No header can hold it.
                    continue;
                }
                let what = format!("{} {} {name}={attack:?}", operation.method, operation.path);
                let answer = ask(&app, &operation, &name, attack).await;
                Rows::assert_unseen(&answer, &what);
                if (200..300).contains(&answer.status) && answer.json_or_null()[&name].is_string() {
                    assert_eq!(answer.json()[&name], attack, "{what}: kept as it is");
                }
            }
            let what = format!("{} {} {name}", operation.method, operation.path);
            rows.assert_unchanged(&app, &what).await;
        }
    }
    assert!(fields >= 20, "the walk has lost its way: {fields} fields");
}

#[tokio::test]
async fn what_matches_anything_in_sql_names_nothing_here() {
    let app = TestApp::start().await;
    let published = json!({ "title": "Abc", "body": "x", "tags": ["abc"], "status": "published" });
    app.create(ARTICLES, &published).await;
    for (attack, status) in [
        ("abc", 200),
        ("ab%25", 404),
        ("a_c", 404),
        ("%25", 404),
        ("ABC", 404),
    ] {
        let found = app.get(&format!("{ARTICLES}/by-slug/{attack}")).await;
        assert_eq!(found.status, status, "{attack}");
    }
    let listed = async |tag: &str| app.get(&format!("{ARTICLES}?tag={tag}")).await;
    assert_eq!(listed("abc").await.json()["items"][0]["title"], "Abc");
    for attack in ["ab%25", "a_c", "%25"] {
        assert_eq!(listed(attack).await.status, 400, "{attack}");
    }
    assert_eq!(listed("ab").await.json()["items"], json!([]));
}
