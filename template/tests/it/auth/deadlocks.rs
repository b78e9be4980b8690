//! Transactions of accounts that lose against others. In SQLite none does: it has one writer at a time, who has the lock before
//! the first statement.

use std::fmt::Write;

use serde_json::json;

use super::client::{Client, PASSWORD};
use super::mails::Mails;
use super::races::execute;
use crate::support::{Answer, TestApp};

const EMAIL: &str = "ada@example.com";

/// Makes every first statement of a kind lose, as one does that closes a circle of transactions that wait for each other.
async fn lose(app: &TestApp) {
    let mut sql = "CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         IF nextval(format('lost_%s_%s', TG_TABLE_NAME, lower(TG_OP))) = 1 THEN \
         RAISE EXCEPTION 'deadlock detected' USING ERRCODE = '40P01'; END IF; RETURN NULL; END $$;"
        .to_owned();
    for table in ["users", "sessions", "refresh_tokens", "mailed_links"] {
        for operation in ["insert", "update", "delete"] {
            write!(sql, "CREATE SEQUENCE lost_{table}_{operation};").expect("text");
        }
        write!(
            sql,
            "CREATE TRIGGER lose AFTER INSERT OR UPDATE OR DELETE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION lose();"
        )
        .expect("text");
    }
    execute(app, sql).await.expect("triggers");
}

/// The statements that have lost since the last time.
async fn lost(app: &TestApp) -> Vec<String> {
    let names = "SELECT sequencename::text FROM pg_sequences WHERE last_value > 1 ORDER BY 1";
    let names = sqlx::query_scalar(names)
        .fetch_all(app.database().pool())
        .await;
    let names: Vec<String> = names.expect("the sequences");
    for name in &names {
        execute(app, format!("ALTER SEQUENCE {name} RESTART"))
            .await
            .expect("it begins again");
    }
    let names = names.iter().filter_map(|name| name.strip_prefix("lost_"));
    names.map(str::to_owned).collect()
}

#[tokio::test]
async fn a_transaction_of_an_account_that_lost_against_another_is_run_again() {
    let app = TestApp::start().await;
    let expect = async |answer: Answer, status: u16, losers: &[&str]| {
        assert_eq!(answer.status, status, "{losers:?}: {}", answer.text());
        let lost = lost(&app).await;
        assert!(
            losers.iter().all(|one| lost.contains(&(*one).to_owned())),
            "{losers:?}: {lost:?}"
        );
        answer
    };
    lose(&app).await;
    let nobody = Client::of(&app);
    let mut mails = Mails::of(&app);
    let new = json!({ "email": EMAIL, "name": "Ada", "password": PASSWORD });
    let answer = nobody.post("/auth/register", &new).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    let link = mails.link(EMAIL, "verify").await;
    expect(
        answer,
        202,
        &["users_insert", "mailed_links_insert", "mailed_links_delete"],
    )
    .await;

    let answer = nobody
        .post(
            "/auth/verify",
            &json!({ "token": link, "password": PASSWORD }),
        )
        .await;
    expect(
        answer,
        204,
        &["mailed_links_delete", "users_update", "users_delete"],
    )
    .await;
    let answer = nobody.log_in(EMAIL, PASSWORD).await;
    let tokens = expect(answer, 200, &["sessions_insert", "refresh_tokens_insert"]).await;
    let answer = nobody.refresh(&tokens.json()["refresh_token"]).await;
    let losers = [
        "refresh_tokens_update",
        "refresh_tokens_insert",
        "sessions_update",
    ];
    let tokens = expect(answer, 200, &losers).await;

    let ada = Client::of(&app).bearer(&tokens);
    let answer = ada
        .send("PATCH", "/users/me", r#"{"name":"Countess"}"#)
        .await;
    expect(answer, 200, &["users_update"]).await;
    let change =
        json!({ "current_password": PASSWORD, "new_password": "another horse altogether" });
    let answer = ada
        .send("PUT", "/users/me/password", &change.to_string())
        .await;
    expect(answer, 204, &["users_update", "sessions_delete"]).await;
    let answer = ada.send("POST", "/auth/logout", "").await;
    expect(answer, 204, &["sessions_delete", "refresh_tokens_delete"]).await;
    assert_eq!(ada.get("/users/me").await.status, 401);
}
