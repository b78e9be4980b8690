//! Words that mean something to a database, a mail or a page, in every field that takes words.

use serde_json::json;

use super::client::{Client, PASSWORD, sign_up};
use super::mails::Mails;
use crate::support::TestApp;

const WORDS: [&str; 8] = [
    "'; DROP TABLE users; --",
    "' OR '1'='1",
    "\" OR \"\"=\"",
    "1); DELETE FROM sessions; --",
    "$1",
    "%' UNION SELECT password_hash FROM users --",
    "<script>alert(1)</script>",
    "{{7*7}}${7*7}{link}",
];

#[tokio::test]
async fn hostile_words_are_only_words() {
    let app = TestApp::start().await;
    sign_up(&app, "ada@example.com").await;
    let nobody = Client::of(&app);
    for word in WORDS {
        for (path, body) in [
            ("/auth/login", json!({ "email": word, "password": word })),
            (
                "/auth/login",
                json!({ "email": "ada@example.com", "password": word }),
            ),
            ("/auth/session", json!({ "email": word, "password": word })),
            (
                "/auth/register",
                json!({ "email": word, "name": word, "password": word }),
            ),
            ("/auth/forgot", json!({ "email": word })),
            (
                "/auth/verify",
                json!({ "token": word, "password": PASSWORD }),
            ),
            (
                "/auth/reset",
                json!({ "token": word, "password": PASSWORD }),
            ),
            ("/auth/refresh", json!({ "refresh_token": word })),
        ] {
            let answer = nobody.post(path, &body).await;
            assert!(
                [401, 422].contains(&answer.status),
                "{path} {body}: {}",
                answer.text()
            );
        }
        for header in ["authorization", "cookie"] {
            let value = match header {
                "cookie" => format!("__Host-session={word}"),
                _ => format!("Bearer {word}"),
            };
            let answer = nobody
                .send_with("GET", "/users/me", &[(header, &value)], "")
                .await;
            assert_eq!(answer.status, 401, "{value}");
        }
    }
    assert_eq!(
        nobody.log_in("ada@example.com", PASSWORD).await.status,
        200,
        "all is still there"
    );
}

#[tokio::test]
async fn a_name_may_be_any_word_and_a_password_too() {
    let app = TestApp::start().await;
    for (n, word) in WORDS.into_iter().enumerate() {
        let email = format!("user{n}@example.com");
        let password = format!("{word} {PASSWORD}");
        let mut mails = Mails::of(&app);
        let nobody = Client::of(&app);
        let new = json!({ "email": email, "name": word, "password": password });
        assert_eq!(
            nobody.post("/auth/register", &new).await.status,
            202,
            "{word}"
        );
        let token = mails.link(&email, "verify").await;
        assert_eq!(
            nobody
                .post(
                    "/auth/verify",
                    &json!({ "token": token, "password": password })
                )
                .await
                .status,
            204
        );
        let tokens = nobody.log_in(&email, &password).await;
        let me = Client::of(&app).bearer(&tokens).get("/users/me").await;
        assert_eq!(me.json()["name"], word);
    }
}

#[tokio::test]
async fn what_a_client_says_it_is_is_kept_short() {
    let app = TestApp::start().await;
    let tokens = sign_up(&app, "ada@example.com").await;
    let client = Client::of(&app).bearer(&tokens);
    let agent = "x".repeat(4000);
    let headers = [
        ("content-type", "application/json"),
        ("user-agent", agent.as_str()),
    ];
    let credentials = json!({ "email": "ada@example.com", "password": PASSWORD }).to_string();
    client
        .send_with("POST", "/auth/login", &headers, &credentials)
        .await;
    let list = client.get("/users/me/sessions").await.json();
    let agents: Vec<_> = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["agent"].as_str().unwrap().len())
        .collect();
    assert!(
        agents.contains(&200) && agents.iter().all(|length| *length <= 200),
        "{agents:?}"
    );
}
