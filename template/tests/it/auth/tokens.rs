//! Access tokens that expire, and refresh tokens that work once.

use std::time::Duration;

use serde_json::{Value, json};

use super::client::{Client, PASSWORD, sign_up};
use crate::support::TestApp;

const EMAIL: &str = "ada@example.com";
const SHORT: [(&str, &str); 2] = [
    ("APP__AUTH__ACCESS_TTL", "15m"),
    ("APP__AUTH__REFRESH_TTL", "168h"),
];

#[tokio::test]
async fn an_access_token_expires_and_the_refresh_token_gets_another() {
    let app = TestApp::with(&SHORT).await;
    let tokens = sign_up(&app, EMAIL).await;
    assert_eq!(tokens.json()["expires_in"], 900);
    let client = Client::of(&app).bearer(&tokens);
    app.clock.advance(Duration::from_secs(901));
    let expired = client.get("/users/me").await;
    assert_eq!(
        (expired.status, &expired.json()["type"]),
        (401, &json!("/problems/token-expired"))
    );
    let next = client.refresh(&tokens.json()["refresh_token"]).await;
    assert_eq!(
        Client::of(&app).bearer(&next).get("/users/me").await.status,
        200
    );

    app.clock.advance(Duration::from_hours(168));
    let too_late = client.refresh(&next.json()["refresh_token"]).await;
    assert_eq!(
        (too_late.status, &too_late.json()["type"]),
        (401, &json!("/problems/token-invalid"))
    );
}

#[tokio::test]
async fn a_refresh_token_that_is_replayed_ends_the_whole_session() {
    let app = TestApp::start().await;
    let first = sign_up(&app, EMAIL).await;
    let nobody = Client::of(&app);
    let second = nobody.refresh(&first.json()["refresh_token"]).await;
    assert_eq!(second.status, 200);
    assert_ne!(
        first.json()["refresh_token"],
        second.json()["refresh_token"]
    );
    // A session of its own, which has nothing to do with it.
    let other = nobody.log_in(EMAIL, PASSWORD).await;

    let replayed = nobody.refresh(&first.json()["refresh_token"]).await;
    assert_eq!(
        (replayed.status, &replayed.json()["type"]),
        (401, &json!("/problems/token-invalid"))
    );
    assert_eq!(
        nobody.refresh(&second.json()["refresh_token"]).await.status,
        401
    );
    assert_eq!(
        Client::of(&app)
            .bearer(&second)
            .get("/users/me")
            .await
            .status,
        401
    );
    assert_eq!(
        Client::of(&app)
            .bearer(&other)
            .get("/users/me")
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn of_many_who_refresh_at_once_one_succeeds_and_none_stays() {
    let app = TestApp::start().await;
    let first = sign_up(&app, EMAIL).await.json();
    let mut tries = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (nobody, token) = (Client::of(&app), first["refresh_token"].clone());
        tries.spawn(async move { nobody.refresh(&token).await.status });
    }
    let mut statuses = tries.join_all().await;
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 401, 401, 401, 401, 401, 401, 401]);
    let access = first["access_token"].as_str().unwrap();
    assert_eq!(
        Client::of(&app).token(access).get("/users/me").await.status,
        401
    );
}

#[tokio::test]
async fn a_refresh_token_is_no_access_token_and_the_other_way_round() {
    let app = TestApp::start().await;
    let tokens = sign_up(&app, EMAIL).await.json();
    let text = |name: &str| tokens[name].as_str().unwrap().to_owned();
    let nobody = Client::of(&app);
    assert_eq!(nobody.refresh(&tokens["access_token"]).await.status, 401);
    let refresh = Client::of(&app).token(&text("refresh_token"));
    assert_eq!(refresh.get("/users/me").await.status, 401);
    let headers = [(
        "cookie",
        format!("__Host-session={}", text("refresh_token")),
    )];
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    assert_eq!(
        nobody
            .send_with("GET", "/users/me", &headers, "")
            .await
            .status,
        401
    );
}

#[tokio::test]
async fn tokens_of_the_last_secret_are_good_through_a_change_of_it() {
    const NEW: &str = "Hn3yB8vKx5Rw2TqZ7mLc9PdJ4sFg6XuE";
    let app = TestApp::start().await;
    let tokens = sign_up(&app, EMAIL).await;
    let old = crate::support::writer::SECRET;
    let previous = format!("[\"{old}\"]");
    let changed = [
        ("APP__AUTH__SECRET", NEW),
        ("APP__AUTH__PREVIOUS_SECRETS", previous.as_str()),
    ];
    let app = app.restart_with(&changed).await;
    assert_eq!(
        Client::of(&app)
            .bearer(&tokens)
            .get("/users/me")
            .await
            .status,
        200
    );
    let app = app.restart_with(&[("APP__AUTH__SECRET", NEW)]).await;
    assert_eq!(
        Client::of(&app)
            .bearer(&tokens)
            .get("/users/me")
            .await
            .status,
        401
    );
}

#[tokio::test]
async fn no_authorization_that_is_none_gets_in() {
    let app = TestApp::start().await;
    let tokens = sign_up(&app, EMAIL).await.json();
    let access = tokens["access_token"].as_str().unwrap();
    let (message, signature) = access.rsplit_once('.').unwrap();
    let (_, claims) = message.split_once('.').unwrap();
    // {"alg":"none","typ":"at+jwt"}
    let unsigned = format!("eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0.{claims}.");
    for value in [
        "Bearer",
        "Bearer ",
        "Bearer x",
        "Basic YWRhOmFkYQ==",
        access,
        &format!("Bearer {unsigned}"),
        &format!("Bearer {unsigned}{signature}"),
        &format!("Bearer {message}."),
        &format!("Bearer {access}x"),
    ] {
        let headers = [("authorization", value)];
        let answer = Client::of(&app)
            .send_with("GET", "/users/me", &headers, "")
            .await;
        assert_eq!(answer.status, 401, "{value}");
        assert_eq!(
            answer.json()["type"],
            Value::from("/problems/token-invalid"),
            "{value}"
        );
    }
}
