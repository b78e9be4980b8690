//! The limits of accounts, each at its value, one below and one above.

use std::time::Duration;

use axum::body::Body;
use serde_json::{Value, json};
use sqlx::Connection;

use super::client::{Client, PASSWORD, sign_up};
use super::mails::Mails;
use crate::support::{ARTICLES, Answer, JSON, TestApp};

const EMAIL: &str = "ada@example.com";

/// A text of so many characters.
type Make = fn(usize) -> String;

/// Letters that nothing is known of, `n` of them.
fn noise(n: usize) -> String {
    "äzbycxdwevfugthsirjqkplomn"
        .chars()
        .cycle()
        .take(n)
        .collect()
}

/// An address of `n` characters: its parts have lengths of their own.
fn address(n: usize) -> String {
    let end = ".com";
    let start = format!(
        "{}@{}",
        "a".repeat(64),
        [["b"; 59].concat(), ".".into()].concat().repeat(3)
    );
    format!("{start}{}{end}", "c".repeat(n - start.len() - end.len()))
}

#[tokio::test]
async fn what_is_told_at_a_registration_is_as_long_as_it_may_be() {
    let app = TestApp::start().await;
    let nobody = Client::of(&app);
    let ask = async |field: &str, value: &str| {
        let mut new = json!({ "email": EMAIL, "name": "Ada", "password": PASSWORD });
        new[field] = json!(value);
        nobody.post("/auth/register", &new).await.status
    };
    let limits: [(&str, Make, usize, usize); 3] = [
        ("password", noise, 12, 128),
        ("name", noise, 1, 80),
        // There is no shortest one: an address needs all its parts.
        ("email", address, 253, 254),
    ];
    for (field, make, least, most) in limits {
        for n in [least, least + 1, most - 1, most] {
            assert_eq!(ask(field, &make(n)).await, 202, "{field} of {n}");
        }
        assert_eq!(
            ask(field, &make(most + 1)).await,
            422,
            "{field} of {}",
            most + 1
        );
        if field != "email" {
            assert_eq!(
                ask(field, &make(least - 1)).await,
                422,
                "{field} of {}",
                least - 1
            );
        }
    }
}

#[tokio::test]
async fn of_what_a_client_says_it_is_200_characters_are_kept() {
    let app = TestApp::start().await;
    let ada = Client::signed_up(&app, EMAIL).await;
    let credentials = json!({ "email": EMAIL, "password": PASSWORD }).to_string();
    for n in [199, 200, 201] {
        app.clock.advance(Duration::from_secs(1));
        let agent = "x".repeat(n);
        let headers = [JSON, ("user-agent", agent.as_str())];
        ada.send_with("POST", "/auth/login", &headers, &credentials)
            .await;
        let list = ada.get("/users/me/sessions").await.json();
        let newest = list["items"][0]["agent"].as_str().expect("text");
        assert_eq!(newest.len(), n.min(200));
    }
}

#[tokio::test]
async fn a_page_of_the_list_of_users_has_a_hundred() {
    let app = TestApp::start().await;
    let admin = Client::admin(&app).await;
    let mut connection = app.database().pool().acquire().await.expect("a connection");
    let mut added = 1;
    for (total, on_first, on_second) in [(99, 99, None), (100, 100, Some(0)), (101, 100, Some(1))] {
        let mut tx = connection.begin().await.expect("a transaction");
        while added < total {
            added += 1;
            sqlx::query(
                "INSERT INTO users (id, email, name, password_hash, role, is_active, created_at, updated_at) \
                 VALUES ($1, $2, 'Somebody', '', 'member', TRUE, $3, $3)",
            )
            .bind(uuid::Uuid::now_v7())
            .bind(format!("user{added}@example.com"))
            .bind(app.clock.now())
            .execute(&mut *tx)
            .await
            .expect("another user");
        }
        tx.commit().await.expect("all of them");
        let first = admin.get("/users").await.json();
        let length = |list: &Value| list["items"].as_array().map(Vec::len);
        assert_eq!(length(&first), Some(on_first), "of {total}");
        let second = match first["next"].as_str() {
            Some(next) => length(&admin.get(&format!("/users?after={next}")).await.json()),
            None => None,
        };
        assert_eq!(second, on_second, "of {total}");
    }
}

/// Asks for something that is counted by client and by account, as `email` from `from`.
async fn try_to(path: &str, client: &Client, email: &str, from: &str) -> Answer {
    let body = json!({ "email": email, "name": "Ada", "password": PASSWORD });
    let body = match path {
        "/auth/forgot" => json!({ "email": email }),
        "/auth/register" => body,
        _ => json!({ "email": email, "password": PASSWORD }),
    };
    let headers = [JSON, ("x-forwarded-for", from)];
    client
        .send_with("POST", path, &headers, &body.to_string())
        .await
}

#[tokio::test]
async fn five_times_in_a_quarter_of_an_hour_and_no_sixth_by_client_and_by_account() {
    for path in [
        "/auth/login",
        "/auth/session",
        "/auth/register",
        "/auth/forgot",
    ] {
        for is_one_client in [true, false] {
            let app = TestApp::with(&[
                ("APP__AUTH__ATTEMPTS", "5"),
                ("APP__SERVER__TRUSTED_PROXIES", "[\"127.0.0.0/8\"]"),
            ])
            .await;
            let nobody = Client::of(&app);
            let ask = async |n: u8| {
                let (email, from) = if is_one_client {
                    (format!("{n}@example.com"), "198.51.100.1".to_owned())
                } else {
                    (EMAIL.to_owned(), format!("198.51.100.{n}"))
                };
                try_to(path, &nobody, &email, &from).await
            };
            for n in 1..=5 {
                assert_ne!(ask(n).await.status, 429, "{path}, number {n}");
            }
            let refused = ask(6).await;
            assert_eq!(refused.status, 429, "{path}, one client: {is_one_client}");
            assert_eq!(refused.header("retry-after"), "180");
            app.clock
                .advance(Duration::from_mins(3) - Duration::from_micros(1));
            assert_eq!(ask(7).await.status, 429, "{path}: a microsecond too early");
            app.clock.advance(Duration::from_micros(1));
            assert_ne!(ask(8).await.status, 429, "{path}");
            assert_eq!(ask(9).await.status, 429, "{path}: one came back, not two");
        }
    }
}

const STEP: Duration = Duration::from_micros(1);

/// Lets `lifetime` pass but for a step, exactly, and by a step more, each time for what `begin` makes anew; whether it is
/// still good then.
async fn assert_lifetime<T>(
    what: &str,
    overrides: &[(&str, &str)],
    lifetime: Duration,
    begin: impl AsyncFn(&TestApp) -> T,
    is_good: impl AsyncFn(&TestApp, T) -> bool,
) {
    for (passed, good) in [
        (lifetime.saturating_sub(STEP), true),
        (lifetime, false),
        (lifetime + STEP, false),
    ] {
        let app = TestApp::with(overrides).await;
        let made = begin(&app).await;
        app.clock.advance(passed);
        assert_eq!(is_good(&app, made).await, good, "{what} after {passed:?}");
    }
}

async fn browser(app: &TestApp) -> String {
    sign_up(app, EMAIL).await;
    let credentials = json!({ "email": EMAIL, "password": PASSWORD });
    let answer = Client::of(app).post("/auth/session", &credentials).await;
    let cookie = answer.header("set-cookie").split(';').next();
    cookie.expect("a cookie").to_owned()
}

async fn is_signed_in(app: &TestApp, cookie: String) -> bool {
    let headers = [("cookie", cookie.as_str())];
    let me = Client::of(app)
        .send_with("GET", "/users/me", &headers, "")
        .await;
    me.status == 200
}

#[tokio::test]
async fn a_session_of_a_browser_ends_at_its_last_moment() {
    let idle = [("APP__AUTH__IDLE_TTL", "24h")];
    let day = Duration::from_hours(24);
    assert_lifetime("an idle browser", &idle, day, browser, is_signed_in).await;
    let whole = [
        ("APP__AUTH__IDLE_TTL", "24h"),
        ("APP__AUTH__SESSION_TTL", "2h"),
    ];
    let hours = Duration::from_hours(2);
    assert_lifetime("a session", &whole, hours, browser, is_signed_in).await;
}

#[tokio::test]
async fn tokens_end_at_their_last_moment() {
    let refresh = [("APP__AUTH__REFRESH_TTL", "168h")];
    let begin = async |app: &TestApp| sign_up(app, EMAIL).await.json();
    let is_good = async |app: &TestApp, tokens: Value| {
        Client::of(app)
            .refresh(&tokens["refresh_token"])
            .await
            .status
            == 200
    };
    assert_lifetime(
        "a refresh token",
        &refresh,
        Duration::from_hours(168),
        begin,
        is_good,
    )
    .await;

    // Its end is in whole seconds, as the format has it.
    for (seconds, status) in [(899, 200), (900, 401), (901, 401)] {
        let app = TestApp::with(&[("APP__AUTH__ACCESS_TTL", "15m")]).await;
        let ada = Client::signed_up(&app, EMAIL).await;
        app.clock.advance(Duration::from_secs(seconds));
        assert_eq!(
            ada.get("/users/me").await.status,
            status,
            "after {seconds} seconds"
        );
    }
}

#[tokio::test]
async fn mailed_links_end_at_their_last_moment() {
    let confirm = async |app: &TestApp| {
        let mut mails = Mails::of(app);
        let new = json!({ "email": EMAIL, "name": "Ada", "password": PASSWORD });
        Client::of(app).post("/auth/register", &new).await;
        mails.link(EMAIL, "verify").await
    };
    let is_confirmed = async |app: &TestApp, token: String| {
        let body = json!({ "token": token, "password": PASSWORD });
        Client::of(app).post("/auth/verify", &body).await.status == 204
    };
    let day = Duration::from_hours(24);
    assert_lifetime("a confirmation", &[], day, confirm, is_confirmed).await;

    let forget = async |app: &TestApp| {
        sign_up(app, EMAIL).await;
        let mut mails = Mails::of(app);
        Client::of(app)
            .post("/auth/forgot", &json!({ "email": EMAIL }))
            .await;
        mails.link(EMAIL, "reset").await
    };
    let is_reset = async |app: &TestApp, token: String| {
        let body = json!({ "token": token, "password": "another horse altogether" });
        Client::of(app).post("/auth/reset", &body).await.status == 204
    };
    let hour = Duration::from_hours(1);
    assert_lifetime("a way back", &[], hour, forget, is_reset).await;
}

#[tokio::test]
async fn a_request_about_accounts_has_16_kib_and_others_have_more() {
    let app = TestApp::start().await;
    // A document may be followed by as much white space as its sender likes.
    let ask = async |path: &str, bytes: usize| {
        let body = format!("{:bytes$}", "{}");
        app.call("POST", path, &[JSON], Body::from(body))
            .await
            .status
    };
    for (bytes, expected) in [(16 * 1024 - 1, 422), (16 * 1024, 422), (16 * 1024 + 1, 413)] {
        assert_eq!(ask("/api/v1/auth/login", bytes).await, expected, "{bytes}");
    }
    let article = ask(ARTICLES, 16 * 1024 + 1).await;
    assert_ne!(article, 413);
}
