//! SQL in the fields of forms, and in the addresses of pages.

use std::collections::BTreeMap;

use super::forms::{FORM, encoded};
use crate::injection::{ATTACKS, Rows, escaped};
use crate::support::{ARTICLES, Answer, TestApp, published};

/// A form as it is on a page: where it is sent, and what with.
struct Found {
    action: String,
    fields: BTreeMap<String, String>,
}

/// The value of an attribute.
fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let start = format!("{name}=\"");
    tag.split(start.as_str()).nth(1)?.split('"').next()
}

/// Every form of `page` that is sent by POST.
fn forms(page: &Answer) -> Vec<Found> {
    let forms = page.text().split("<form ").skip(1);
    let forms = forms.map(|rest| rest.split("</form>").next().unwrap_or_default());
    forms
        .filter(|form| form.contains("method=\"post\""))
        .map(|form| {
            let tags = form.split('<').filter(|tag| {
                ["input", "textarea", "button"]
                    .iter()
                    .any(|name| tag.starts_with(name))
            });
            let fields = tags.filter_map(|tag| {
                let value = attribute(tag, "value").unwrap_or_default();
                Some((attribute(tag, "name")?.to_owned(), value.to_owned()))
            });
            Found {
                action: attribute(form, "action").unwrap_or_default().to_owned(),
                fields: fields.collect(),
            }
        })
        .collect()
}

/// What a field takes that has nothing in it yet.
fn plain(name: &str) -> String {
    let unique = uuid::Uuid::now_v7();
    match name {
        "slug" => format!("plain-{unique}"),
        "tags" => "plain".into(),
        "email" => format!("{unique}@example.com"),
        "password" | "current_password" | "new_password" => "correct horse battery staple".into(),
        _ => "Plain".into(),
    }
}

/// Attacks every field of every form on the page at `path`, as `ask` sends it, and says which fields those were.
pub async fn attack_forms(
    rows: &Rows,
    path: &str,
    app: &TestApp,
    ask: impl AsyncFn(&str, &str, &[(&str, &str)], String) -> Answer,
) -> Vec<String> {
    let show = async || {
        let page = ask("GET", path, &[("accept", "text/html")], String::new()).await;
        assert_eq!(page.status, 200, "{path}: {}", page.text());
        page
    };
    let mut attacked = Vec::new();
    for (n, form) in forms(&show().await).into_iter().enumerate() {
        for name in form.fields.keys().filter(|name| *name != "csrf_token") {
            attacked.push(name.clone());
            for attack in ATTACKS.iter().copied().chain(["\0"]) {
                // What came before may have changed what the page says.
                let page = show().await;
                let own = page.header("set-cookie").split(';').next();
                let mut fields = forms(&page).remove(n).fields;
                for (name, value) in fields.iter_mut().filter(|(_, value)| value.is_empty()) {
                    *value = plain(name);
                }
                fields.insert(name.clone(), attack.to_owned());
                let fields: Vec<_> = fields.iter().map(|(n, v)| (&**n, &**v)).collect();
                let headers = [
                    FORM,
                    ("accept", "text/html"),
                    ("sec-fetch-site", "same-origin"),
                    ("cookie", own.unwrap_or_default()),
                ];
                let sent = ask("POST", &form.action, &headers, encoded(&fields)).await;
                let what = format!("{} {name}={attack:?}", form.action);
                Rows::assert_unseen(&sent, &what);
                assert_ne!(sent.status, 403, "{what}: it must get past the token");
            }
            rows.assert_unchanged(app, &format!("{} {name}", form.action))
                .await;
        }
    }
    attacked
}

#[tokio::test]
async fn sql_in_any_field_of_a_form_is_a_value_like_any_other() {
    let app = TestApp::start().await;
    let rows = Rows::of(&app).await;
    app.create(ARTICLES, &published("Abc")).await;
    let ask = async |method: &str, path: &str, headers: &[(&str, &str)], body: String| {
        app.call(method, path, headers, body).await
    };
    let fields = attack_forms(&rows, "/articles/new", &app, ask).await;
    let expected = ["body", "slug", "status", "summary", "tags", "title"];
    assert_eq!(fields, expected);
    let kept = app.get(ARTICLES).await.json()["items"]
        .as_array()
        .map(Vec::len);
    assert_eq!(
        kept,
        Some(20),
        "a page full: most of what was sent was taken"
    );
    let fields = attack_forms(&rows, "/articles/abc/delete", &app, ask).await;
    assert_eq!(fields, ["version"]);
}

#[tokio::test]
async fn sql_in_the_address_of_a_page_finds_nothing() {
    let app = TestApp::start().await;
    let rows = Rows::of(&app).await;
    app.create(ARTICLES, &published("Abc")).await;
    for attack in ATTACKS.iter().copied().chain(["\0"]) {
        let attack = escaped(attack);
        for path in [
            format!("/articles/{attack}"),
            format!("/articles/{attack}/edit"),
            format!("/?tag={attack}"),
            format!("/?after={attack}"),
        ] {
            let page = app.get_with(&path, &[("accept", "text/html")]).await;
            Rows::assert_unseen(&page, &path);
            assert!(matches!(page.status, 400 | 404), "{path}: {}", page.status);
            assert!(!page.text().contains("At length."), "{path}");
        }
    }
    rows.assert_unchanged(&app, "addresses").await;
}
