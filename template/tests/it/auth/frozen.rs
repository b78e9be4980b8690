//! Accounts while Redis hangs: who somebody is, and what they may, does not depend on it.

use std::time::{Duration, Instant};

use serde_json::json;

use super::client::{Client, PASSWORD, sign_up};
use crate::support::redis::RedisServer;
use crate::support::{ARTICLES, TestApp, published};

const EMAIL: &str = "ada@example.com";

async fn start(server: &RedisServer, attempts: &str) -> TestApp {
    TestApp::with(&[
        ("REDIS_URL", &server.url()),
        ("APP__REDIS__TIMEOUT", "100ms"),
        ("APP__RATE_LIMIT__ENABLED", "true"),
        ("APP__RATE_LIMIT__REQUESTS", "10000"),
        ("APP__RATE_LIMIT__BURST", "10000"),
        ("APP__AUTH__ATTEMPTS", attempts),
    ])
    .await
}

/// Lets the time of the breakers pass until Redis is used again.
async fn recover(app: &TestApp) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        app.clock.advance(Duration::from_secs(31));
        let health = app.get("/health").await;
        assert_eq!(health.status, 200, "{}", health.text());
        if health.json()["status"] == "ok" {
            return;
        }
        assert!(Instant::now() < deadline, "{}", health.text());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// An administrator who has made an editor of `here`, and the path of that user.
async fn with_editor(app: &TestApp, here: &Client) -> (Client, String) {
    let admin = Client::admin(app).await;
    let me = here.get("/users/me").await.json()["id"].clone();
    let user = format!("/users/{}", me.as_str().expect("an id"));
    admin.send("PATCH", &user, r#"{"role":"editor"}"#).await;
    (admin, user)
}

/// Somebody who may read what there is, and not write.
async fn assert_no_editor(app: &TestApp, here: &Client, when: &str) {
    let refused = here.post("/articles", &published("After")).await;
    assert_eq!(refused.status, 403, "{when}: no editor any more");
    let read = app.get(&format!("{ARTICLES}/by-slug/before")).await;
    assert_eq!(read.status, 200, "{when}");
}

#[tokio::test]
async fn while_redis_hangs_everybody_is_who_they_are_and_who_is_signed_out_stays_out() {
    let server = RedisServer::start().await;
    let app = start(&server, "1000").await;
    let tokens = sign_up(&app, EMAIL).await;
    let here = Client::of(&app).bearer(&tokens);
    let before = here.log_in(EMAIL, PASSWORD).await;
    let out_before = Client::of(&app).bearer(&before);
    assert_eq!(
        out_before.send("POST", "/auth/logout", "").await.status,
        204
    );
    let meanwhile = here.log_in(EMAIL, PASSWORD).await;
    let out_meanwhile = Client::of(&app).bearer(&meanwhile);
    assert_eq!(out_meanwhile.get("/users/me").await.status, 200);
    let spent = here.log_in(EMAIL, PASSWORD).await;
    let (admin, user) = with_editor(&app, &here).await;
    assert_eq!(
        here.post("/articles", &published("Before")).await.status,
        201
    );

    server.freeze();
    assert_eq!(here.get("/users/me").await.status, 200);
    assert_eq!(out_before.get("/users/me").await.status, 401);
    assert_eq!(
        out_meanwhile.send("POST", "/auth/logout", "").await.status,
        204
    );
    let next = here.refresh(&spent.json()["refresh_token"]).await;
    assert_eq!(next.status, 200);
    assert_eq!(
        here.refresh(&spent.json()["refresh_token"]).await.status,
        401
    );
    let fresh = here.log_in(EMAIL, PASSWORD).await;
    assert_eq!(fresh.status, 200);
    assert_eq!(
        admin
            .send("PATCH", &user, r#"{"role":"member"}"#)
            .await
            .status,
        200
    );
    let is_as_it_should_be = async |when: &str| {
        for (who, status) in [
            (&here, 200),
            (&Client::of(&app).bearer(&fresh), 200),
            (&out_before, 401),
            (&out_meanwhile, 401),
            (&Client::of(&app).bearer(&next), 401),
        ] {
            assert_eq!(who.get("/users/me").await.status, status, "{when}");
        }
        assert_no_editor(&app, &here, when).await;
        let refused = here.refresh(&meanwhile.json()["refresh_token"]).await;
        assert_eq!(refused.status, 401, "{when}");
    };
    is_as_it_should_be("frozen").await;
    server.thaw();
    is_as_it_should_be("thawed").await;
    recover(&app).await;
    is_as_it_should_be("recovered").await;
}

#[tokio::test]
async fn who_guesses_gets_no_more_tries_from_a_redis_that_hangs() {
    let server = RedisServer::start().await;
    let app = start(&server, "1000").await;
    sign_up(&app, EMAIL).await;
    let settings = [
        ("REDIS_URL", server.url()),
        ("APP__REDIS__TIMEOUT", "100ms".to_owned()),
        ("APP__AUTH__ATTEMPTS", "5".to_owned()),
    ];
    let settings: Vec<_> = settings
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let app = app.restart_with(&settings).await;
    let nobody = Client::of(&app);
    let guess = async || {
        nobody
            .log_in(EMAIL, "another horse altogether")
            .await
            .status
    };
    assert_eq!([guess().await, guess().await], [401, 401]);
    server.freeze();
    assert_eq!(
        [guess().await, guess().await, guess().await],
        [401, 401, 401]
    );
    assert_eq!(guess().await, 429, "it has counted by itself");
    server.thaw();
    assert_eq!(guess().await, 429);
    app.clock.advance(Duration::from_mins(3));
    assert_eq!(guess().await, 401, "one has come back");
    let answer = nobody
        .post("/auth/forgot", &json!({ "email": EMAIL }))
        .await;
    assert_eq!(answer.status, 202);
}
