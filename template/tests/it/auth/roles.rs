//! What a role permits, and who decides about it.

use serde_json::json;

use super::client::{Client, PASSWORD};
use crate::support::{ARTICLES, TestApp, published};

/// The client of `email`, and the path of its user.
async fn member(app: &TestApp, email: &str) -> (Client, String) {
    let client = Client::signed_up(app, email).await;
    let me = client.get("/users/me").await.json();
    (client, format!("/users/{}", me["id"].as_str().unwrap()))
}

#[tokio::test]
async fn a_member_reads_an_editor_writes_and_an_administrator_decides() {
    let app = TestApp::start().await;
    let admin = Client::admin(&app).await;
    let (client, user) = member(&app, "ada@example.com").await;
    let refused = client.post("/articles", &published("Hello")).await;
    assert_eq!(
        (refused.status, &refused.json()["type"]),
        (403, &json!("/problems/forbidden"))
    );
    assert_eq!(client.get("/users").await.status, 403);
    assert_eq!(
        client
            .send("PATCH", &user, r#"{"role":"admin"}"#)
            .await
            .status,
        403
    );

    // From the next request on, with the token it has.
    let changed = admin.send("PATCH", &user, r#"{"role":"editor"}"#).await;
    assert_eq!(
        (changed.status, &changed.json()["role"]),
        (200, &json!("editor"))
    );
    let created = client.post("/articles", &published("Hello")).await;
    assert_eq!(created.status, 201);
    assert_eq!(client.get("/users").await.status, 403);

    assert_eq!(
        admin
            .send("PATCH", &user, r#"{"role":"member"}"#)
            .await
            .status,
        200
    );
    let path = created
        .header("location")
        .strip_prefix("/api/v1")
        .unwrap()
        .to_owned();
    assert_eq!(client.send("DELETE", &path, "").await.status, 403);
    assert_eq!(
        app.get(&format!("{ARTICLES}/by-slug/hello")).await.status,
        200
    );
}

#[tokio::test]
async fn drafts_are_read_by_who_may_write_and_nobody_else_is_told_of_them() {
    let app = TestApp::start().await;
    let admin = Client::admin(&app).await;
    let (member, _) = member(&app, "ada@example.com").await;
    let nobody = Client::of(&app);
    let body = json!({ "title": "Not yet", "body": "x", "status": "draft" });
    let created = admin.post("/articles", &body).await;
    let id = created.json()["id"].as_str().unwrap().to_owned();
    for path in [
        format!("/articles/{id}"),
        "/articles/by-slug/not-yet".into(),
    ] {
        assert_eq!(admin.get(&path).await.status, 200);
        for other in [&member, &nobody] {
            assert_eq!(other.get(&path).await.status, 404, "{path}");
        }
    }
    for status in ["draft", "all"] {
        let path = format!("/articles?status={status}");
        assert_eq!(admin.get(&path).await.json()["items"][0]["id"], *id);
        assert_eq!(member.get(&path).await.status, 403);
        let asked = nobody.get(&path).await;
        assert_eq!(
            (asked.status, asked.header("www-authenticate")),
            (401, "Bearer")
        );
    }
    assert_eq!(nobody.get("/articles").await.json()["items"], json!([]));
    let forged = Client::of(&app);
    let forged = forged
        .send_with("GET", "/articles", &[("authorization", "Bearer x")], "")
        .await;
    assert_eq!(forged.status, 200, "what everybody may see, anybody may");
}

#[tokio::test]
async fn an_account_that_is_switched_off_is_out_at_once_and_stays_out() {
    let app = TestApp::start().await;
    let admin = Client::admin(&app).await;
    let (client, user) = member(&app, "ada@example.com").await;
    assert_eq!(
        admin
            .send("PATCH", &user, r#"{"is_active":false}"#)
            .await
            .status,
        200
    );
    assert_eq!(client.get("/users/me").await.status, 401);
    let refused = client.log_in("ada@example.com", PASSWORD).await;
    assert_eq!(
        (refused.status, &refused.json()["type"]),
        (403, &json!("/problems/account-inactive"))
    );
    assert_eq!(
        client.log_in("ada@example.com", "wrong").await.status,
        401,
        "not who guesses"
    );
    assert_eq!(
        admin
            .send("PATCH", &user, r#"{"is_active":true}"#)
            .await
            .status,
        200
    );
    assert_eq!(client.log_in("ada@example.com", PASSWORD).await.status, 200);
}

#[tokio::test]
async fn nobody_decides_about_themselves() {
    let app = TestApp::start().await;
    let admin = Client::admin(&app).await;
    let me = admin.get("/users/me").await.json();
    let path = format!("/users/{}", me["id"].as_str().unwrap());
    for body in [r#"{"role":"member"}"#, r#"{"is_active":false}"#] {
        assert_eq!(admin.send("PATCH", &path, body).await.status, 403);
    }
    let nobody = "/users/01941f29-7c00-7aaa-aaaa-aaaaaaaaaaaa";
    assert_eq!(
        admin
            .send("PATCH", nobody, r#"{"role":"editor"}"#)
            .await
            .status,
        404
    );
    let wrong = admin.send("PATCH", &path, r#"{"role":"root"}"#).await;
    assert_eq!(wrong.json()["errors"][0]["pointer"], "/role");
}

#[tokio::test]
async fn administrators_see_everybody_in_the_order_they_came() {
    let app = TestApp::start().await;
    let admin = Client::admin(&app).await;
    Client::signed_up(&app, "ada@example.com").await;
    let list = admin.get("/users").await.json();
    let emails: Vec<_> = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["email"])
        .collect();
    assert_eq!(emails.len(), 2);
    assert!(emails.contains(&&json!("ada@example.com")) && list.get("next").is_none());
    let second = list["items"][1]["id"].as_str().unwrap();
    let rest = admin.get(&format!("/users?after={second}")).await.json();
    assert_eq!(rest, json!({ "items": [] }));
}
