//! Where somebody is signed in: seen, ended, and over by itself. A browser's cookie among it.

use std::time::Duration;

use serde_json::json;

use super::client::{Client, PASSWORD, sign_up};
use crate::support::{Answer, JSON, TestApp};

const EMAIL: &str = "ada@example.com";

/// Ends sooner than the tests of other things want it to.
const SHORT: [(&str, &str); 3] = [
    ("APP__AUTH__SESSION_TTL", "720h"),
    ("APP__AUTH__REFRESH_TTL", "168h"),
    ("APP__AUTH__IDLE_TTL", "24h"),
];

/// Signs a browser in that shows `cookie`, and hands over the answer.
async fn browse_in(app: &TestApp, cookie: &str) -> Answer {
    let credentials = json!({ "email": EMAIL, "password": PASSWORD }).to_string();
    let headers = [JSON, ("cookie", cookie)];
    Client::of(app)
        .send_with("POST", "/auth/session", &headers, &credentials)
        .await
}

/// `name=value` of the cookie that `answer` sets.
fn cookie(answer: &Answer) -> String {
    let line = answer.header("set-cookie");
    line.split(';').next().expect("a cookie").to_owned()
}

async fn status(app: &TestApp, cookie: &str) -> u16 {
    let headers = [("cookie", cookie)];
    Client::of(app)
        .send_with("GET", "/users/me", &headers, "")
        .await
        .status
}

#[tokio::test]
async fn a_browser_gets_a_cookie_that_no_script_and_no_other_site_can_use() {
    let app = TestApp::with(&SHORT).await;
    sign_up(&app, EMAIL).await;
    let answer = browse_in(&app, "").await;
    assert_eq!(answer.status, 204, "{}", answer.text());
    let line = answer.header("set-cookie");
    let (name, rest) = line.split_once('=').unwrap();
    let (_, attributes) = rest.split_once(';').unwrap();
    assert_eq!(name, "__Host-session");
    assert_eq!(
        attributes,
        " Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax; Secure"
    );
    assert_eq!(status(&app, &cookie(&answer)).await, 200);

    let other_site = [
        ("cookie", cookie(&answer)),
        ("sec-fetch-site", "cross-site".to_owned()),
    ];
    let other_site: Vec<_> = other_site
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let forged = Client::of(&app)
        .send_with("POST", "/auth/logout", &other_site, "")
        .await;
    assert_eq!(
        (forged.status, &forged.json()["type"]),
        (403, &json!("/problems/csrf"))
    );
}

#[tokio::test]
async fn a_cookie_from_before_signing_in_is_worth_nothing_after_it() {
    let app = TestApp::with(&SHORT).await;
    sign_up(&app, EMAIL).await;
    let planted = "__Host-session=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let first = cookie(&browse_in(&app, planted).await);
    assert_ne!(first, planted);
    assert_eq!(status(&app, planted).await, 401);
    // Signed in again, the session from before is over.
    let second = cookie(&browse_in(&app, &first).await);
    assert_ne!(first, second);
    assert_eq!(
        (status(&app, &first).await, status(&app, &second).await),
        (401, 200)
    );
}

#[tokio::test]
async fn a_browser_is_signed_out_when_it_is_away_too_long_and_in_the_end_anyway() {
    let app = TestApp::with(&SHORT).await;
    sign_up(&app, EMAIL).await;
    let idle = cookie(&browse_in(&app, "").await);
    let busy = cookie(&browse_in(&app, "").await);
    for _ in 0..2 {
        app.clock.advance(Duration::from_hours(23));
        assert_eq!(status(&app, &busy).await, 200);
    }
    assert_eq!(status(&app, &idle).await, 401);
    for _ in 0..29 {
        app.clock.advance(Duration::from_hours(23));
        status(&app, &busy).await;
    }
    assert_eq!(status(&app, &busy).await, 200, "713 hours");
    app.clock.advance(Duration::from_hours(7));
    assert_eq!(status(&app, &busy).await, 401, "720 hours");
}

#[tokio::test]
async fn a_session_that_is_ended_is_over_at_once() {
    let app = TestApp::start().await;
    let here = Client::signed_up(&app, EMAIL).await;
    let there = Client::of(&app);
    let there = there.log_in(EMAIL, PASSWORD).await;
    let browser = cookie(&browse_in(&app, "").await);

    let list = here.get("/users/me/sessions").await.json();
    let items = list["items"].as_array().unwrap();
    assert_eq!(items.len(), 3);
    let current: Vec<_> = items
        .iter()
        .filter(|item| item["is_current"] == true)
        .collect();
    assert_eq!((current.len(), &current[0]["agent"]), (1, &json!("a test")));
    let of_browser = items
        .iter()
        .find(|item| item["is_browser"] == true)
        .unwrap();

    let path = format!("/users/me/sessions/{}", of_browser["id"].as_str().unwrap());
    assert_eq!(here.send("DELETE", &path, "").await.status, 204);
    assert_eq!(here.send("DELETE", &path, "").await.status, 404);
    assert_eq!(status(&app, &browser).await, 401);

    assert_eq!(
        here.send("DELETE", "/users/me/sessions", "").await.status,
        204
    );
    assert_eq!(here.get("/users/me").await.status, 200);
    let gone = Client::of(&app).bearer(&there).get("/users/me").await;
    assert_eq!(
        (gone.status, &gone.json()["type"]),
        (401, &json!("/problems/token-invalid"))
    );
    assert_eq!(
        gone.header("www-authenticate"),
        "Bearer error=\"invalid_token\""
    );
    assert_eq!(
        here.refresh(&there.json()["refresh_token"]).await.status,
        401
    );

    assert_eq!(here.send("POST", "/auth/logout", "").await.status, 204);
    assert_eq!(here.get("/users/me").await.status, 401);
}

#[tokio::test]
async fn nobody_ends_the_session_of_somebody_else() {
    let app = TestApp::start().await;
    let ada = Client::signed_up(&app, EMAIL).await;
    let eve = Client::signed_up(&app, "eve@example.com").await;
    let list = ada.get("/users/me/sessions").await.json();
    let path = format!(
        "/users/me/sessions/{}",
        list["items"][0]["id"].as_str().unwrap()
    );
    assert_eq!(eve.send("DELETE", &path, "").await.status, 404);
    assert_eq!(
        eve.send("DELETE", "/users/me/sessions", "").await.status,
        204
    );
    assert_eq!(ada.get("/users/me").await.status, 200);
}

#[tokio::test]
async fn a_user_has_one_quota_from_all_addresses() {
    let app = TestApp::with(&[
        ("APP__SERVER__TRUSTED_PROXIES", "[\"127.0.0.0/8\"]"),
        ("APP__RATE_LIMIT__ENABLED", "true"),
        ("APP__RATE_LIMIT__WINDOW", "10s"),
        ("APP__RATE_LIMIT__REQUESTS", "1"),
        ("APP__RATE_LIMIT__BURST", "5"),
    ])
    .await;
    let tokens = sign_up(&app, "ada@example.com").await;
    let admin = Client::admin(&app).await;
    let token = tokens.json()["access_token"]
        .as_str()
        .expect("a token")
        .to_owned();
    let authorization = format!("Bearer {token}");
    let ada = Client::of(&app);
    let ask = async |path: &str, address: &str, authorization: &str| {
        let headers = [
            ("x-forwarded-for", address),
            ("authorization", authorization),
        ];
        ada.send_with("GET", path, &headers, "").await
    };
    for n in 1..=5 {
        let path = if n % 2 == 0 { "/articles" } else { "/users/me" };
        let answer = ask(path, &format!("198.51.100.{n}"), &authorization).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    for path in ["/users/me", "/articles"] {
        let refused = ask(path, "198.51.100.6", &authorization).await;
        assert_eq!(refused.status, 429, "{path}");
        assert_eq!(refused.json()["type"], "/problems/rate-limited");
        assert_eq!(refused.header("retry-after"), "10");
    }
    // Nobody else is refused for it.
    assert_eq!(ask("/articles", "198.51.100.6", "").await.status, 200);
    assert_eq!(admin.get("/users/me").await.status, 200);
}
