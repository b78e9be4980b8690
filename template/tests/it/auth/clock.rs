//! Accounts while the clock jumps, as that of a machine does when it learns the time.

use std::time::Duration;

use serde_json::json;

use super::client::{Client, PASSWORD, sign_up};
use super::mails::Mails;
use crate::support::TestApp;

const EMAIL: &str = "ada@example.com";
const AS_SHIPPED: [(&str, &str); 4] = [
    ("APP__AUTH__ACCESS_TTL", "15m"),
    ("APP__AUTH__REFRESH_TTL", "168h"),
    ("APP__AUTH__SESSION_TTL", "720h"),
    ("APP__AUTH__ATTEMPTS", "1000"),
];

fn days(days: u64) -> Duration {
    Duration::from_hours(24 * days)
}

#[tokio::test]
async fn a_clock_that_was_fast_for_a_while_signs_nobody_in_who_was_signed_out() {
    let app = TestApp::with(&AS_SHIPPED).await;
    let tokens = sign_up(&app, EMAIL).await;
    let here = Client::of(&app).bearer(&tokens);
    let ended = here.log_in(EMAIL, PASSWORD).await;
    let spent = here.log_in(EMAIL, PASSWORD).await;
    let next = here.refresh(&spent.json()["refresh_token"]).await;
    let list = here.get("/users/me/sessions").await.json();
    assert_eq!(list["items"].as_array().map(Vec::len), Some(3));
    let out = Client::of(&app).bearer(&ended);
    assert_eq!(out.send("POST", "/auth/logout", "").await.status, 204);

    app.clock.advance(days(3));
    // The access token is over, and the session is not.
    assert_eq!(
        here.get("/users/me").await.json()["type"],
        "/problems/token-expired"
    );
    let fast = here.refresh(&tokens.json()["refresh_token"]).await;
    assert_eq!(fast.status, 200, "{}", fast.text());
    assert_eq!(out.get("/users/me").await.status, 401);

    app.clock.turn_back(days(3));
    // What was made while it was fast is good: its end is later, not sooner.
    let back = Client::of(&app).bearer(&fast);
    assert_eq!(back.get("/users/me").await.status, 200);
    assert_eq!(
        out.get("/users/me").await.status,
        401,
        "signed out is signed out"
    );
    assert_eq!(
        here.refresh(&ended.json()["refresh_token"]).await.status,
        401
    );
    // What was used before the jump is used, and shown again ends its session, whatever the time.
    assert_eq!(
        here.refresh(&spent.json()["refresh_token"]).await.status,
        401
    );
    assert_eq!(
        Client::of(&app).bearer(&next).get("/users/me").await.status,
        401
    );
    assert_eq!(
        here.refresh(&tokens.json()["refresh_token"]).await.status,
        401
    );
    assert_eq!(back.get("/users/me").await.status, 401);
    assert_eq!(
        back.log_in(EMAIL, PASSWORD).await.status,
        200,
        "and the way in is open"
    );
}

#[tokio::test]
async fn a_session_does_not_outlive_its_end_because_the_clock_was_fast() {
    let app = TestApp::with(&AS_SHIPPED).await;
    sign_up(&app, EMAIL).await;
    let credentials = json!({ "email": EMAIL, "password": PASSWORD });
    let answer = Client::of(&app).post("/auth/session", &credentials).await;
    let cookie = answer.header("set-cookie").split(';').next();
    let cookie = cookie.expect("a cookie").to_owned();
    let status = async || {
        let headers = [("cookie", cookie.as_str())];
        let me = Client::of(&app)
            .send_with("GET", "/users/me", &headers, "")
            .await;
        me.status
    };
    app.clock.advance(Duration::from_hours(23));
    assert_eq!(status().await, 200);
    app.clock.turn_back(Duration::from_hours(23));
    assert_eq!(status().await, 200);
    app.clock.advance(days(30));
    assert_eq!(
        status().await,
        401,
        "its last day is that of its first sign-in"
    );
    app.clock.turn_back(days(60));
    assert_eq!(status().await, 200, "by this clock it has not ended");
}

#[tokio::test]
async fn a_link_that_was_followed_is_used_up_whatever_the_time() {
    let app = TestApp::with(&AS_SHIPPED).await;
    sign_up(&app, EMAIL).await;
    let nobody = Client::of(&app);
    let mut mails = Mails::of(&app);
    nobody
        .post("/auth/forgot", &json!({ "email": EMAIL }))
        .await;
    let token = mails.link(EMAIL, "reset").await;
    let reset = json!({ "token": token, "password": "another horse altogether" });
    app.clock.advance(days(2));
    assert_eq!(
        nobody.post("/auth/reset", &reset).await.status,
        422,
        "too old"
    );
    app.clock.turn_back(days(2));
    assert_eq!(nobody.post("/auth/reset", &reset).await.status, 204);
    for jump in [days(0), days(2)] {
        app.clock.turn_back(jump);
        assert_eq!(nobody.post("/auth/reset", &reset).await.status, 422);
    }
}
