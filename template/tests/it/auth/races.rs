//! Accounts that are changed by two at once, or while somebody else holds what they need.

use app::domain::error::StoreError;
use app::infra::db::{Driver, store_error};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use tokio::task::JoinSet;

use super::client::{Client, PASSWORD, sign_up};
use super::mails::Mails;
use crate::support::TestApp;

const EMAIL: &str = "ada@example.com";

fn is_sqlite() -> bool {
    <Driver as sqlx::Database>::NAME == "SQLite"
}

pub async fn execute(app: &TestApp, sql: String) -> sqlx::Result<()> {
    let sql = sqlx::raw_sql(AssertSqlSafe(sql));
    sql.execute(app.database().pool()).await.map(drop)
}

#[tokio::test]
async fn of_many_who_register_an_address_at_once_all_get_the_same_answer_and_one_account_is_made() {
    let app = TestApp::start().await;
    let mut tries = JoinSet::new();
    for n in 0..8 {
        let nobody = Client::of(&app);
        let name = format!("Ada {n}");
        let new = json!({ "email": EMAIL, "name": name, "password": PASSWORD });
        tries.spawn(async move { nobody.post("/auth/register", &new).await });
    }
    for answer in tries.join_all().await {
        assert_eq!((answer.status, answer.text()), (202, ""));
    }
    let count = sqlx::query_scalar("SELECT COUNT(*) FROM users WHERE email = $1").bind(EMAIL);
    let count: i64 = count
        .fetch_one(app.database().pool())
        .await
        .expect("a number");
    assert_eq!(count, 1);
}

#[tokio::test]
async fn of_two_who_confirm_one_address_at_once_one_gets_it() {
    const NEW: &str = "countess@example.com";
    let app = TestApp::start().await;
    let (mut links, mut last) = (Vec::new(), String::new());
    for email in [EMAIL, "eve@example.com"] {
        let client = Client::signed_up(&app, email).await;
        let mut mails = Mails::of(&app);
        let body = json!({ "email": NEW, "current_password": PASSWORD });
        client.send("PATCH", "/users/me", &body.to_string()).await;
        last = mails.link_after(NEW, "verify", &last).await;
        links.push(last.clone());
    }
    let mut tries = JoinSet::new();
    for link in links {
        let nobody = Client::of(&app);
        let body = json!({ "token": link, "password": PASSWORD });
        tries.spawn(async move { nobody.post("/auth/verify", &body).await.status });
    }
    let mut statuses = tries.join_all().await;
    statuses.sort_unstable();
    assert_eq!(statuses, [204, 422]);
}

#[tokio::test]
async fn what_the_database_refuses_of_an_account_is_told_at_its_field() {
    let app = TestApp::start().await;
    sign_up(&app, EMAIL).await;
    let insert = |id: u8, email: &str, name: &str, role: &str| {
        format!(
            "INSERT INTO users (id, email, name, password_hash, role, is_active, created_at, updated_at) VALUES \
             ('00000000-0000-0000-0000-0000000000{id:02}', {email}, {name}, '', '{role}', TRUE, '2026-01-01', '2026-01-01')"
        )
    };
    let taken = execute(&app, insert(1, "'ada@example.com'", "'Ada'", "member")).await;
    let StoreError::Conflict(broken) = store_error(taken.expect_err("it is taken")) else {
        panic!("no conflict")
    };
    assert_eq!(
        (broken.field, broken.to_string()),
        (Some("email"), "email is taken".into())
    );
    for (sql, told) in [
        (
            insert(2, "'b@example.com'", "NULL", "member"),
            "name must be given",
        ),
        (insert(3, "NULL", "'C'", "member"), "email must be given"),
        (
            insert(4, "'d@example.com'", "'D'", "root"),
            "role is not allowed",
        ),
    ] {
        let refused = execute(&app, sql).await.expect_err("it is refused");
        let StoreError::Refused(broken) = store_error(refused) else {
            panic!("not refused: {told}")
        };
        assert_eq!(broken.to_string(), told);
    }
}

/// Holds what every write of an account needs, until it is dropped.
async fn hold(app: &TestApp) -> sqlx::Transaction<'static, Driver> {
    let mut held = app.database().begin().await.expect("a transaction");
    if !is_sqlite() {
        let sql = "LOCK TABLE users, sessions, refresh_tokens, mailed_links IN EXCLUSIVE MODE";
        sqlx::raw_sql(sql).execute(&mut *held).await.expect("locks");
    }
    held
}

#[tokio::test]
async fn what_had_to_wait_too_long_can_be_sent_again_and_has_used_nothing_up() {
    let app = TestApp::with(&[
        ("APP__DATABASE__ACQUIRE_TIMEOUT", "300ms"),
        ("APP__DATABASE__STATEMENT_TIMEOUT", "300ms"),
    ])
    .await;
    let tokens = sign_up(&app, EMAIL).await;
    let ada = Client::of(&app).bearer(&tokens);
    let refresh = json!({ "refresh_token": tokens.json()["refresh_token"] });
    let rename = json!({ "name": "Countess" });
    let change =
        json!({ "current_password": PASSWORD, "new_password": "another horse altogether" });
    let requests: [(&str, &str, &Value, u16); 4] = [
        ("POST", "/auth/refresh", &refresh, 200),
        ("PATCH", "/users/me", &rename, 200),
        ("PUT", "/users/me/password", &change, 204),
        ("POST", "/auth/logout", &Value::Null, 204),
    ];
    for (method, path, body, done) in requests {
        let held = hold(&app).await;
        let waited = ada.send(method, path, &body.to_string()).await;
        assert_eq!(waited.status, 503, "{path}: {}", waited.text());
        assert_eq!(waited.json()["type"], "/problems/unavailable", "{path}");
        assert_eq!(waited.header("retry-after"), "1", "{path}");
        held.rollback().await.expect("it is let go");
        let again = ada.send(method, path, &body.to_string()).await;
        assert_eq!(again.status, done, "{path}: {}", again.text());
    }
    assert_eq!(ada.get("/users/me").await.status, 401, "signed out");
}
