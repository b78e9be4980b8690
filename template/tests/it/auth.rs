//! Accounts over the JSON API: the way in, the way out, and everything that must not be one.{% capture body %}

mod address;
mod client;
mod clock; //~{% if false %}
#[cfg(feature = "postgres")] //~{% endif %}{% if database == "postgres" %}
mod deadlocks; //~{% endif %}
mod enumeration;
mod fences; //~{% if frontend == "pages" %}
mod forms; //~{% endif %}{% if features contains "redis" %}
mod frozen; //~{% endif %}
mod hostile;
mod limits;
mod mails; //~{% if frontend == "pages" %}
mod pages; //~{% endif %}
mod passwords;
mod races;
mod roles;
mod sessions;
mod tokens;

use serde_json::json;

use self::client::{Client, PASSWORD};
use crate::support::TestApp;

#[tokio::test]
async fn an_account_works_once_its_address_is_confirmed() {
    let app = TestApp::start().await;
    let mut mails = mails::Mails::of(&app);
    let email = "ada@example.com";
    let new = json!({ "email": " Ada@Example.com ", "name": "Ada", "password": PASSWORD });
    let answer = Client::of(&app).post("/auth/register", &new).await;
    assert_eq!((answer.status, answer.text()), (202, ""));
    let link = mails.link(email, "verify").await;

    let client = Client::of(&app);
    let too_early = client.log_in(email, PASSWORD).await;
    assert_eq!(too_early.status, 403);
    assert_eq!(too_early.json()["type"], "/problems/account-inactive");

    let verified = client
        .post(
            "/auth/verify",
            &json!({ "token": link, "password": PASSWORD }),
        )
        .await;
    assert_eq!(verified.status, 204, "{}", verified.text());
    let tokens = client.log_in(email, PASSWORD).await;
    assert_eq!(tokens.status, 200, "{}", tokens.text());
    assert_eq!(tokens.header("cache-control"), "no-store");
    assert_eq!(tokens.json()["token_type"], "Bearer");

    let me = Client::of(&app).bearer(&tokens).get("/users/me").await;
    assert_eq!((me.status, me.header("cache-control")), (200, "no-store"));
    let me = me.json();
    assert_eq!(
        (&me["email"], &me["name"], &me["role"]),
        (&json!(email), &json!("Ada"), &json!("member"))
    );
    assert_eq!(me["verified_at"], "2026-01-02T03:04:05.123456Z");
}

#[tokio::test]
async fn an_account_that_is_not_confirmed_in_time_is_removed() {
    let app = TestApp::start().await;
    let mut mails = mails::Mails::of(&app);
    let kept = Client::signed_up(&app, "ada@example.com").await;
    let new = json!({ "email": "eve@example.com", "name": "Eve", "password": PASSWORD });
    kept.post("/auth/register", &new).await;
    mails.link("eve@example.com", "verify").await;
    let count = "SELECT COUNT(*) FROM users WHERE verified_at IS NULL";
    let waiting = async |app: &TestApp| -> i64 {
        let found = sqlx::query_scalar(count).fetch_one(app.database().pool());
        found.await.expect("a number")
    };
    assert_eq!(waiting(&app).await, 1);
    // The first look is at the start.
    app.clock.advance(std::time::Duration::from_hours(25));
    let app = app.restart().await;
    while waiting(&app).await > 0 {
        tokio::task::yield_now().await;
    }
    let kept = Client::of(&app).log_in("ada@example.com", PASSWORD).await;
    assert_eq!(kept.status, 200);
}

#[tokio::test]
async fn attempts_to_sign_in_are_counted_by_how_they_end() {
    let app = TestApp::start().await;
    let ada = Client::signed_up(&app, "ada@example.com").await;
    ada.log_in("ada@example.com", "wrong").await;
    let metrics = app.operator("/metrics").await;
    for result in ["success", "invalid"] {
        let series = ["authentication_attempts_total{result=\"", result, "\"}"].concat();
        assert!(metrics.text().contains(&series), "{result}");
    }
}

#[tokio::test]
async fn who_is_not_signed_in_is_told_how_to_be() {
    let app = TestApp::start().await;
    let nobody = Client::of(&app);
    for (method, path) in [
        ("GET", "/users/me"),
        ("PATCH", "/users/me"),
        ("PUT", "/users/me/password"),
        ("GET", "/users/me/sessions"),
        ("DELETE", "/users/me/sessions"),
        (
            "DELETE",
            "/users/me/sessions/01941f29-7c00-7aaa-aaaa-aaaaaaaaaaaa",
        ),
        ("GET", "/users"),
        ("PATCH", "/users/01941f29-7c00-7aaa-aaaa-aaaaaaaaaaaa"),
        ("POST", "/auth/logout"),
        ("POST", "/articles"),
        ("PUT", "/articles/01941f29-7c00-7aaa-aaaa-aaaaaaaaaaaa"),
        ("DELETE", "/articles/01941f29-7c00-7aaa-aaaa-aaaaaaaaaaaa"),
    ] {
        let answer = nobody.send(method, path, "{}").await;
        assert_eq!(answer.status, 401, "{method} {path}");
        assert_eq!(
            answer.json()["type"],
            "/problems/unauthenticated",
            "{method} {path}"
        );
        assert_eq!(answer.header("www-authenticate"), "Bearer");
    }
    assert_eq!(
        nobody.get("/articles").await.status,
        200,
        "reading is for everybody"
    );
}

#[tokio::test]
async fn users_change_their_name_and_never_their_role() {
    let app = TestApp::start().await;
    let ada = Client::signed_up(&app, "ada@example.com").await;
    let changed = ada
        .send("PATCH", "/users/me", r#"{"name":"  Countess "}"#)
        .await;
    assert_eq!(
        (changed.status, &changed.json()["name"]),
        (200, &json!("Countess"))
    );
    for body in [
        r#"{"name":"Ada","role":"admin"}"#,
        r#"{"name":"Ada","is_active":true}"#,
        r#"{"name":""}"#,
        r#"{"email":"countess"}"#,
        r#"{"email":"countess@example.com"}"#,
        r#"{"email":"countess@example.com","current_password":"wrong"}"#,
    ] {
        let refused = ada.send("PATCH", "/users/me", body).await;
        assert_eq!(refused.status, 422, "{body}");
    }
    let me = ada.get("/users/me").await.json();
    assert_eq!(
        (&me["name"], &me["role"]),
        (&json!("Countess"), &json!("member"))
    );
}

#[tokio::test]
async fn every_wrong_value_of_a_registration_is_named() {
    let app = TestApp::start().await;
    let nobody = Client::of(&app);
    let wrong = json!({ "email": "ada", "name": "", "password": "x".repeat(2000) });
    let refused = nobody.post("/auth/register", &wrong).await;
    assert_eq!(refused.status, 422);
    let errors = refused.json()["errors"].clone();
    let pointers: Vec<_> = errors
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["pointer"].clone())
        .collect();
    assert_eq!(pointers, ["/email", "/name", "/password"]);
    for (password, rule) in [
        ("short", "must be 12 to 128 characters long"),
        ("Password1234!", "is too easy to guess"),
        ("ada@example.com", "is too easy to guess"),
    ] {
        let wrong = json!({ "email": "ada@example.com", "name": "Ada", "password": password });
        let refused = nobody.post("/auth/register", &wrong).await.json();
        assert_eq!(
            refused["errors"],
            json!([{ "pointer": "/password", "detail": rule }])
        );
    }
} //~{% endcapture %}{{ body | remove: " //~" | remove: "//+ " }}
