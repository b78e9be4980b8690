//! Passwords that are changed, stored and tried.

use std::time::Duration;

use serde_json::json;

use super::client::{Client, PASSWORD, sign_up};
use super::mails::Mails;
use crate::support::TestApp;

const EMAIL: &str = "ada@example.com";
const OTHER: &str = "another horse altogether";

#[tokio::test]
async fn a_changed_password_ends_every_other_session() {
    let app = TestApp::start().await;
    let here = Client::signed_up(&app, EMAIL).await;
    let there = Client::of(&app).log_in(EMAIL, PASSWORD).await;
    let mut mails = Mails::of(&app);
    let change = async |current: &str, new: &str| {
        let body = json!({ "current_password": current, "new_password": new }).to_string();
        here.send("PUT", "/users/me/password", &body).await
    };
    let wrong = change(OTHER, OTHER).await;
    assert_eq!(
        wrong.json()["errors"],
        json!([{ "pointer": "/current_password", "detail": "is wrong" }])
    );
    assert_eq!(
        change(PASSWORD, "short").await.json()["errors"][0]["pointer"],
        "/new_password"
    );
    assert!(!mails.all(EMAIL).concat().contains("was changed"));
    assert_eq!(change(PASSWORD, OTHER).await.status, 204);
    mails.next(EMAIL, "was changed").await;

    assert_eq!(here.get("/users/me").await.status, 200);
    assert_eq!(
        Client::of(&app)
            .bearer(&there)
            .get("/users/me")
            .await
            .status,
        401
    );
    assert_eq!(here.log_in(EMAIL, PASSWORD).await.status, 401);
    assert_eq!(here.log_in(EMAIL, OTHER).await.status, 200);
}

#[tokio::test]
async fn a_password_set_by_mail_ends_every_session() {
    let app = TestApp::start().await;
    let here = Client::signed_up(&app, EMAIL).await;
    let mut mails = Mails::of(&app);
    assert_eq!(
        here.post("/auth/forgot", &json!({ "email": "ADA@example.com" }))
            .await
            .status,
        202
    );
    let token = mails.link(EMAIL, "reset").await;
    let reset = json!({ "token": token, "password": OTHER });
    assert_eq!(
        Client::of(&app).post("/auth/reset", &reset).await.status,
        204
    );
    mails.next(EMAIL, "was changed").await;
    assert_eq!(here.get("/users/me").await.status, 401);
    assert_eq!(here.log_in(EMAIL, PASSWORD).await.status, 401);
    assert_eq!(here.log_in(EMAIL, OTHER).await.status, 200);
}

#[tokio::test]
async fn a_hash_of_another_cost_is_renewed_at_the_next_sign_in() {
    let app = TestApp::start().await;
    sign_up(&app, EMAIL).await;
    let app = app
        .restart_with(&[("APP__AUTH__PASSWORD__ITERATIONS", "2")])
        .await;
    let stored = async || {
        let hash = sqlx::query_scalar("SELECT password_hash FROM users WHERE email = $1");
        let hash = hash.bind(EMAIL).fetch_one(app.database().pool()).await;
        hash.map(|hash: String| hash).expect("a hash")
    };
    assert!(stored().await.contains("m=8,t=1,p=1"));
    assert_eq!(Client::of(&app).log_in(EMAIL, PASSWORD).await.status, 200);
    assert!(stored().await.contains("m=8,t=2,p=1"));
    assert_eq!(Client::of(&app).log_in(EMAIL, PASSWORD).await.status, 200);
}

#[tokio::test]
async fn after_five_tries_even_the_right_password_has_to_wait() {
    let app = TestApp::start().await;
    sign_up(&app, EMAIL).await;
    let app = app.restart_with(&[("APP__AUTH__ATTEMPTS", "5")]).await;
    let client = Client::of(&app);
    for _ in 0..5 {
        assert_eq!(client.log_in(EMAIL, OTHER).await.status, 401);
    }
    let limited = client.log_in(EMAIL, PASSWORD).await;
    assert_eq!(
        (limited.status, &limited.json()["type"]),
        (429, &json!("/problems/rate-limited"))
    );
    // One of five in a quarter of an hour comes back every three minutes.
    assert_eq!(limited.header("retry-after"), "180");
    assert_eq!(limited.header("x-ratelimit-limit"), "5");
    assert_eq!(limited.header("x-ratelimit-remaining"), "0");
    app.clock.advance(Duration::from_mins(3));
    assert_eq!(client.log_in(EMAIL, PASSWORD).await.status, 200);
}

#[tokio::test]
async fn an_address_gets_no_more_mails_for_being_asked_for_from_elsewhere() {
    let app = TestApp::with(&[
        ("APP__SERVER__TRUSTED_PROXIES", "[\"127.0.0.0/8\"]"),
        ("APP__AUTH__ATTEMPTS", "2"),
    ])
    .await;
    let client = Client::of(&app);
    let ask = async |path: &str, email: &str, from: &str| {
        let body = match path {
            "/auth/forgot" => json!({ "email": email }),
            _ => json!({ "email": email, "name": "Ada", "password": PASSWORD }),
        };
        let headers = [
            ("x-forwarded-for", from),
            ("content-type", "application/json"),
        ];
        let body = body.to_string();
        client.send_with("POST", path, &headers, &body).await.status
    };
    for (n, path) in ["/auth/register", "/auth/forgot"].into_iter().enumerate() {
        let email = format!("{n}@example.com");
        assert_eq!(ask(path, &email, "198.51.100.1").await, 202, "{path}");
        assert_eq!(ask(path, &email, "198.51.100.2").await, 202, "{path}");
        assert_eq!(ask(path, &email, "198.51.100.3").await, 429, "{path}");
        let other = format!("other-{n}@example.com");
        assert_eq!(ask(path, &other, "198.51.100.3").await, 202, "{path}");
        app.clock.advance(Duration::from_mins(15));
    }
}

#[tokio::test]
async fn no_secret_is_stored_as_it_is() {
    let app = TestApp::start().await;
    let tokens = sign_up(&app, EMAIL).await.json();
    let refresh = tokens["refresh_token"].as_str().unwrap();
    let count = async |sql: &'static str, value: &str| {
        let found = sqlx::query_scalar(sql)
            .bind(value)
            .fetch_one(app.database().pool())
            .await;
        found.map(|found: i64| found).expect("a number")
    };
    assert_eq!(
        count(
            "SELECT COUNT(*) FROM refresh_tokens WHERE hash = $1",
            refresh
        )
        .await,
        0
    );
    assert_eq!(
        count(
            "SELECT COUNT(*) FROM users WHERE password_hash = $1",
            PASSWORD
        )
        .await,
        0
    );
    assert_eq!(
        count("SELECT COUNT(*) FROM users WHERE email = $1", EMAIL).await,
        1
    );
}
