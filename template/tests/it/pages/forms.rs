//! Writing articles in a browser without a script: what is sent, refused, kept and said.

use std::fmt::Write;

use serde_json::json;

use super::{assert_sane, cache_status, warm};
use crate::support::{ARTICLES, Answer, TestApp, published};

pub const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

/// What a browser makes of the fields of a form.
pub fn encoded(fields: &[(&str, &str)]) -> String {
    let mut body = String::new();
    for (name, value) in fields {
        write!(body, "&{name}=").expect("memory");
        for byte in value.bytes() {
            write!(body, "%{byte:02X}").expect("memory");
        }
    }
    body.split_off(body.len().min(1))
}

async fn send(app: &TestApp, path: &str, fields: &[(&str, &str)]) -> Answer {
    let (cookie, token) = opened(app).await;
    let fields = [fields, &[("csrf_token", token.as_str())]].concat();
    let headers = [
        FORM,
        ("sec-fetch-site", "same-origin"),
        ("accept", "text/html"),
        ("cookie", &cookie),
    ];
    app.call("POST", path, &headers, encoded(&fields)).await
}

/// What a browser keeps of a form that it has opened: the cookie, and the token in the form.
pub async fn opened(app: &TestApp) -> (String, String) {
    let form = app.get("/articles/new").await;
    let cookie = form.header("set-cookie").split(';').next();
    let cookie = cookie.expect("a cookie").to_owned();
    let token = hidden(&form, "csrf_token").to_owned();
    (cookie, token)
}

/// Goes where the answer leads, with the cookie it gave.
async fn follow(app: &TestApp, answer: &Answer) -> Answer {
    assert_eq!(answer.status, 303, "{}", answer.text());
    assert_eq!(answer.header("cache-control"), "no-store");
    let cookie = answer.header("set-cookie").split(';').next();
    let cookie = cookie.expect("a message").to_owned();
    app.get_with(answer.header("location"), &[("cookie", &cookie)])
        .await
}

/// The value of a hidden field.
pub fn hidden<'a>(page: &'a Answer, name: &str) -> &'a str {
    let start = format!("name=\"{name}\" value=\"");
    let field = page.text().split(&start).nth(1);
    field
        .and_then(|rest| rest.split('"').next())
        .unwrap_or_else(|| panic!("no {name} in {}", page.text()))
}

fn version(page: &Answer) -> &str {
    hidden(page, "version")
}

#[tokio::test]
async fn an_article_is_written_changed_and_deleted() {
    let app = TestApp::start().await;
    app.create(ARTICLES, &published("Another")).await;
    warm(&app, "/").await;
    let form = app.get("/articles/new").await;
    assert_eq!(form.status, 200);
    assert_sane(&form);

    let fields = [
        ("title", "Hello"),
        ("body", "One\r\ntwo"),
        ("tags", "rust, web"),
        ("status", "draft"),
    ];
    let draft = follow(&app, &send(&app, "/articles/new", &fields).await).await;
    assert_sane(&draft);
    assert!(draft.text().contains("Saved as a draft."));
    assert!(draft.text().contains("action=\"/articles/hello/edit\""));
    assert!(
        draft.text().contains(">\nOne\ntwo</textarea>"),
        "{}",
        draft.text()
    );
    assert!(draft.text().contains("value=\"rust web\""));
    assert_eq!(app.get("/articles/hello").await.status, 404);
    let form = app.get("/articles/new").await;
    assert_sane(&form);
    let way_back = "<a href=\"/articles/hello/edit\" dir=\"auto\">Hello</a>";
    assert!(form.text().contains(way_back), "{}", form.text());

    let fields = [
        ("title", "Hello again"),
        ("status", "published"),
        ("version", version(&draft)),
    ];
    let page = follow(&app, &send(&app, "/articles/hello/edit", &fields).await).await;
    assert_sane(&page);
    assert!(page.text().contains("Saved.") && page.text().contains("Hello again"));
    assert!(app.get("/").await.text().contains("Hello again"));

    let question = app.get("/articles/hello/delete").await;
    assert_sane(&question);
    let answer = send(
        &app,
        "/articles/hello/delete",
        &[("version", version(&question))],
    )
    .await;
    let list = follow(&app, &answer).await;
    assert!(list.text().contains("Deleted.") && !list.text().contains("Hello again"));
    assert_eq!(app.get("/articles/hello").await.status, 404);
}

#[tokio::test]
async fn every_mistake_stands_beside_its_field_and_nothing_is_lost() {
    let app = TestApp::start().await;
    app.create(ARTICLES, &published("Here already")).await;
    let long = "x".repeat(281);
    let wrong = [
        ("title", ""),
        ("slug", "Not a \"slug\""),
        ("summary", &long),
        ("body", "<b>Kept</b>"),
        ("tags", "UPPER"),
        ("status", "secret"),
    ];
    let edit = "/articles/here-already/edit";
    for path in ["/articles/new", edit] {
        let page = send(&app, path, &wrong).await;
        assert_eq!(cache_status(&page), (422, "BYPASS"), "{path}");
        assert_sane(&page);
        let html = page.text();
        assert!(html.contains("<title>Error: "));
        assert!(
            html.contains("tabindex=\"-1\" autofocus>"),
            "the list takes the focus"
        );
        for (name, rule) in [
            ("title", "Title must be 1 to 120 characters long"),
            (
                "slug",
                "Address must be lowercase letters and digits, joined by single hyphens",
            ),
            ("summary", "Summary must be at most 280 characters long"),
            (
                "tags",
                "Tags must be lowercase letters and digits, joined by single hyphens",
            ),
            ("status", "Status must be draft or published"),
        ] {
            assert!(
                html.contains(&format!("<a href=\"#{name}\">{rule}</a>")),
                "{rule}: {html}"
            );
            assert!(
                html.contains(&format!("id=\"{name}-error\">{rule}.<")),
                "{rule}"
            );
            assert!(
                html.contains(&format!("{name}-error\" aria-invalid=\"true\">")),
                "{name}: {html}"
            );
        }
        assert!(!html.contains("body-error"));
        assert!(html.contains("&#60;b&#62;Kept&#60;/b&#62;"), "{html}");
        assert!(html.contains("value=\"Not a &#34;slug&#34;\"") && html.contains(&long));
    }
    assert_eq!(
        app.get(ARTICLES).await.json()["items"]
            .as_array()
            .expect("a list")
            .len(),
        1
    );
}

#[tokio::test]
async fn an_address_that_cannot_be_had_is_told_beside_its_field() {
    let app = TestApp::start().await;
    app.create(ARTICLES, &published("Here already")).await;
    app.create(ARTICLES, &published("Other")).await;
    let taken = [
        ("title", "X"),
        ("slug", "here-already"),
        ("status", "draft"),
    ];
    let with_version = [&taken[..], &[("version", "1")]].concat();
    for page in [
        send(&app, "/articles/new", &taken).await,
        send(&app, "/articles/other/edit", &with_version).await,
    ] {
        assert_eq!(page.status, 422);
        assert!(
            page.text().contains("Address is taken by another article"),
            "{}",
            page.text()
        );
    }
    let nameless = [("title", "日本語"), ("status", "draft")];
    let page = send(&app, "/articles/new", &nameless).await;
    assert_eq!(page.status, 422);
    assert!(page.text().contains("Address must be given: "));
    // The form's own address.
    let page = send(
        &app,
        "/articles/new",
        &[("title", "New"), ("status", "draft")],
    )
    .await;
    assert_eq!(page.status, 422);
    assert!(page.text().contains("Address must not be `new`"));
}

#[tokio::test]
async fn a_change_of_somebody_else_is_shown_and_not_overwritten_unseen() {
    let app = TestApp::start().await;
    let location = app.create(ARTICLES, &published("Hello")).await;
    let opened = app.get("/articles/hello/edit").await;
    let seen = version(&opened).to_owned();
    let mut theirs = published("Hello");
    theirs["body"] = json!("Their <text>.");
    app.put(&location, &theirs).await;

    let mine = |version: &str| {
        let fields = [
            ("title", "Hello"),
            ("slug", "hello"),
            ("summary", "In short."),
            ("body", "My text."),
            ("status", "published"),
            ("version", version),
        ];
        fields.map(|(name, value)| (name.to_owned(), value.to_owned()))
    };
    let save = async |version: &str| {
        let fields = mine(version);
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .collect();
        send(&app, "/articles/hello/edit", &fields).await
    };
    for unseen in [&*seen, ""] {
        let conflict = save(unseen).await;
        if unseen.is_empty() {
            assert_eq!(conflict.status, 400, "no form of ours has an empty version");
            continue;
        }
        assert_eq!(cache_status(&conflict), (409, "BYPASS"));
        assert_sane(&conflict);
        let html = conflict.text();
        assert!(html.contains("Somebody has changed this article"));
        assert!(html.contains(">\nMy text.</textarea>"), "mine is kept");
        assert!(
            html.contains("Their &#60;text&#62;.</pre>"),
            "theirs is shown"
        );
        assert_eq!(
            html.matches("class=\"theirs\"").count(),
            1,
            "where they differ"
        );
        assert_eq!(app.get(&location).await.json()["body"], "Their <text>.");
        let saved = save(version(&conflict)).await;
        assert_eq!(saved.status, 303, "{}", saved.text());
    }
    assert_eq!(app.get(&location).await.json()["body"], "My text.");
    let blind = [("title", "Hello"), ("status", "published")];
    assert_eq!(send(&app, "/articles/hello/edit", &blind).await.status, 409);
}

#[tokio::test]
async fn what_has_changed_is_not_deleted_unseen() {
    let app = TestApp::start().await;
    let location = app.create(ARTICLES, &published("Hello")).await;
    app.put(&location, &published("Hello")).await;
    let conflict = send(&app, "/articles/hello/delete", &[("version", "1")]).await;
    assert_eq!(cache_status(&conflict), (409, "BYPASS"));
    assert!(conflict.text().contains("Somebody has changed it"));
    assert_eq!(app.get("/articles/hello").await.status, 200);
    let answer = send(
        &app,
        "/articles/hello/delete",
        &[("version", version(&conflict))],
    )
    .await;
    assert_eq!(answer.status, 303);
    assert_eq!(
        send(&app, "/articles/hello/delete", &[("version", "1")])
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn a_message_is_for_one_and_shown_once() {
    let app = TestApp::start().await;
    app.create(ARTICLES, &published("Hello")).await;
    let deleted = [("cookie", "theme=dark; flash=deleted")];
    for path in ["/", "/articles/hello"] {
        // Before anybody else has seen the page, and with the page in memory.
        for _ in 0..2 {
            let page = app.get_with(path, &deleted).await;
            assert_eq!(cache_status(&page), (200, "BYPASS"), "{path}");
            assert_eq!(page.header("cache-control"), "private, no-store");
            assert!(
                page.text()
                    .contains("<p class=\"notice\" role=\"status\">Deleted.</p>")
            );
            assert!(
                page.header("set-cookie")
                    .starts_with("flash=; Path=/; Max-Age=0")
            );
            let page = warm(&app, path).await;
            assert!(!page.text().contains("notice"), "{path}");
            assert_eq!(page.header("set-cookie"), "");
        }
        let page = app.get_with(path, &[("cookie", "theme=dark")]).await;
        assert_eq!(
            cache_status(&page),
            (200, "HIT-L1"),
            "no other cookie counts"
        );
        let page = app
            .get_with(path, &[("cookie", "flash=<i>Send money</i>")])
            .await;
        assert!(!page.text().contains("money") && !page.text().contains("notice"));
        assert!(page.header("set-cookie").starts_with("flash=;"));
    }
    let page = app.get_with("/sitemap.xml", &deleted).await;
    assert_eq!(
        cache_status(&page),
        (200, "MISS"),
        "what shows no message ignores it"
    );
    assert_eq!(page.header("set-cookie"), "");
}

#[tokio::test]
async fn a_form_is_never_kept() {
    let app = TestApp::start().await;
    app.create(ARTICLES, &published("Hello")).await;
    for path in [
        "/articles/new",
        "/articles/hello/edit",
        "/articles/hello/delete",
    ] {
        for _ in 0..2 {
            let page = app.get(path).await;
            assert_eq!(cache_status(&page), (200, "BYPASS"), "{path}");
            assert_eq!(page.header("cache-control"), "private, no-store");
        }
    }
    for path in [
        "/articles/nothing/edit",
        "/articles/nothing/delete",
        "/articles/No/edit",
    ] {
        assert_eq!(app.get(path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn a_form_of_another_site_is_refused() {
    let app = TestApp::start().await;
    let (cookie, token) = opened(&app).await;
    let cookie = ("cookie", cookie.as_str());
    let fields = [("title", "Hello"), ("status", "published")];
    let form = encoded(&[&fields[..], &[("csrf_token", &token)]].concat());
    for foreign in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example"),
        ("origin", "null"),
    ] {
        let headers = [FORM, foreign, cookie, ("accept", "text/html")];
        let page = app
            .call("POST", "/articles/new", &headers, form.clone())
            .await;
        assert_eq!(page.status, 403, "{foreign:?}");
        assert_sane(&page);
        let headers = [("content-type", "application/json"), foreign];
        let answer = app
            .call("POST", ARTICLES, &headers, published("Hello").to_string())
            .await;
        assert_eq!(answer.status, 403, "{foreign:?}");
        assert_eq!(answer.json()["type"], "/problems/csrf");
    }
    assert_eq!(app.get(ARTICLES).await.json()["items"], json!([]));
    let own = format!("http://{}", app.address());
    let answer = app
        .call(
            "POST",
            "/articles/new",
            &[FORM, cookie, ("origin", &own)],
            form,
        )
        .await;
    assert_eq!(answer.status, 303);
}

#[tokio::test]
async fn a_body_that_is_no_form_is_refused() {
    let app = TestApp::with(&[("APP__SERVER__MAX_BODY", "1KiB")]).await;
    let post = async |headers: &[(&str, &str)], body: String| {
        let answer = app.call("POST", "/articles/new", headers, body).await;
        answer.status
    };
    assert_eq!(
        post(&[("content-type", "application/json")], "{}".into()).await,
        415
    );
    assert_eq!(post(&[], "title=x".into()).await, 415);
    assert_eq!(
        post(&[FORM], format!("title={}", "x".repeat(2000))).await,
        413
    );
    let (cookie, token) = opened(&app).await;
    let form = format!("version=one&csrf_token={token}");
    assert_eq!(post(&[FORM, ("cookie", &cookie)], form).await, 400);
}
