//! Nobody learns from an answer who has an account.

use serde_json::{Value, json};

use super::client::{Client, PASSWORD, sign_up};
use super::mails::Mails;
use crate::support::{Answer, TestApp};

const KNOWN: &str = "ada@example.com";
const UNKNOWN: &str = "eve@example.com";

/// What an answer tells, less what no two answers have in common.
fn told(answer: &Answer) -> (u16, Value, Vec<String>) {
    let mut body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    if let Some(problem) = body.as_object_mut() {
        problem.remove("request_id");
    }
    let mut headers: Vec<String> = answer.headers.keys().map(ToString::to_string).collect();
    headers.sort();
    (answer.status, body, headers)
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_address_get_the_same_answer() {
    let app = TestApp::start().await;
    sign_up(&app, KNOWN).await;
    let nobody = Client::of(&app);
    let known = nobody.log_in(KNOWN, "wrong horse battery").await;
    let unknown = nobody.log_in(UNKNOWN, "wrong horse battery").await;
    let no_address = nobody.log_in("' OR 1=1 --", "wrong horse battery").await;
    assert_eq!(known.json()["type"], "/problems/invalid-credentials");
    assert_eq!(told(&known), told(&unknown));
    assert_eq!(told(&known), told(&no_address));
    let empty = nobody.log_in("", "").await;
    assert_eq!(told(&known), told(&empty));
}

#[tokio::test]
async fn who_registers_again_gets_the_same_answer_and_another_mail() {
    let app = TestApp::start().await;
    sign_up(&app, KNOWN).await;
    let nobody = Client::of(&app);
    let mut mails = Mails::of(&app);
    let new =
        |email| json!({ "email": email, "name": "Eve", "password": "another horse altogether" });
    let known = nobody.post("/auth/register", &new(KNOWN)).await;
    let mail = mails.next(KNOWN, "/login").await;
    assert!(
        mail.contains("There is one with it already") && !mail.contains("token="),
        "{mail}"
    );
    let unknown = nobody.post("/auth/register", &new(UNKNOWN)).await;
    assert_eq!(told(&known), told(&unknown));
    // The account is as it was.
    assert_eq!(
        nobody
            .log_in(KNOWN, "another horse altogether")
            .await
            .status,
        401
    );
    assert_eq!(nobody.log_in(KNOWN, PASSWORD).await.status, 200);
}

#[tokio::test]
async fn forgetting_a_password_gets_the_same_answer_with_and_without_an_account() {
    let app = TestApp::start().await;
    sign_up(&app, KNOWN).await;
    let nobody = Client::of(&app);
    let mut mails = Mails::of(&app);
    let unknown = nobody
        .post("/auth/forgot", &json!({ "email": UNKNOWN }))
        .await;
    let known = nobody
        .post("/auth/forgot", &json!({ "email": KNOWN }))
        .await;
    assert_eq!(told(&known), told(&unknown));
    mails.link(KNOWN, "reset").await;
    // They are sent in order, so the other one would be there by now.
    assert_eq!(mails.all(UNKNOWN), Vec::<String>::new());
}
