//! An account moves to another address: only by a mail that is opened there, and never in silence.

use serde_json::json;

use super::client::{Client, PASSWORD, sign_up};
use super::mails::Mails;
use crate::support::{Answer, TestApp};

const OLD: &str = "ada@example.com";
const NEW: &str = "countess@example.com";

async fn ask(client: &Client, email: &str) -> Answer {
    let body = json!({ "email": email, "current_password": PASSWORD }).to_string();
    client.send("PATCH", "/users/me", &body).await
}

async fn verify(app: &TestApp, token: &str) -> u16 {
    let body = json!({ "token": token, "password": PASSWORD });
    Client::of(app).post("/auth/verify", &body).await.status
}

async fn address(client: &Client) -> String {
    let me = client.get("/users/me").await.json();
    me["email"].as_str().expect("an address").to_owned()
}

#[tokio::test]
async fn a_new_address_counts_once_its_mail_is_opened_and_the_old_one_is_told() {
    let app = TestApp::start().await;
    let ada = Client::signed_up(&app, OLD).await;
    let mut mails = Mails::of(&app);
    let asked = ask(&ada, "  Countess@Example.com ").await;
    assert_eq!((asked.status, &asked.json()["email"]), (200, &json!(OLD)));
    let told = mails.next(OLD, "/forgot").await;
    assert!(told.contains("wants another address"), "{told}");
    assert!(!told.contains("token="), "{told}");
    let token = mails.link(NEW, "verify").await;
    assert_eq!(address(&ada).await, OLD);
    assert_eq!(ada.log_in(NEW, PASSWORD).await.status, 401);

    assert_eq!(verify(&app, &token).await, 204);
    assert_eq!(address(&ada).await, NEW);
    assert_eq!(ada.log_in(NEW, PASSWORD).await.status, 200);
    assert_eq!(ada.log_in(OLD, PASSWORD).await.status, 401);
    assert_eq!(verify(&app, &token).await, 422, "it works once");
}

#[tokio::test]
async fn an_address_that_somebody_has_is_not_given_away_and_who_asks_hears_nothing_of_it() {
    let app = TestApp::start().await;
    let ada = Client::signed_up(&app, OLD).await;
    sign_up(&app, NEW).await;
    let mut mails = Mails::of(&app);
    let asked = ask(&ada, NEW).await;
    assert_eq!(asked.status, 200, "{}", asked.text());
    let mail = mails.next(NEW, "There is one with it already").await;
    assert!(!mail.contains("token="), "{mail}");
    assert_eq!(address(&ada).await, OLD);
}

#[tokio::test]
async fn of_two_who_want_an_address_the_first_to_open_the_mail_has_it() {
    let app = TestApp::start().await;
    let ada = Client::signed_up(&app, OLD).await;
    let eve = Client::signed_up(&app, "eve@example.com").await;
    let mut mails = Mails::of(&app);
    ask(&ada, NEW).await;
    let first = mails.link(NEW, "verify").await;
    ask(&eve, NEW).await;
    let second = mails.link_after(NEW, "verify", &first).await;
    assert_eq!(verify(&app, &second).await, 204);
    assert_eq!(verify(&app, &first).await, 422);
    assert_eq!(address(&eve).await, NEW);
    assert_eq!(address(&ada).await, OLD);
}

#[tokio::test]
async fn an_address_is_not_kept_from_its_owner_by_who_never_confirmed_it() {
    let app = TestApp::start().await;
    let ada = Client::signed_up(&app, OLD).await;
    let squatter = json!({ "email": NEW, "name": "Eve", "password": PASSWORD });
    let mut mails = Mails::of(&app);
    Client::of(&app).post("/auth/register", &squatter).await;
    let first = mails.link(NEW, "verify").await;
    ask(&ada, NEW).await;
    let token = mails.link_after(NEW, "verify", &first).await;
    assert_eq!(verify(&app, &token).await, 204);
    assert_eq!(address(&ada).await, NEW);
    assert_eq!(verify(&app, &first).await, 422);
}

#[tokio::test]
async fn the_click_of_an_owner_confirms_no_account_that_somebody_else_has_asked_for() {
    let app = TestApp::start().await;
    let eve = json!({ "email": NEW, "name": "Eve", "password": "the password of Eve" });
    let mut mails = Mails::of(&app);
    Client::of(&app).post("/auth/register", &eve).await;
    let token = mails.link(NEW, "verify").await;
    let body = json!({ "token": token, "password": PASSWORD });
    let clicked = Client::of(&app).post("/auth/verify", &body).await;
    assert_eq!(clicked.status, 422);
    assert_eq!(clicked.json()["errors"][0]["pointer"], "/password");
    let eve = Client::of(&app).log_in(NEW, "the password of Eve").await;
    assert_eq!(eve.json()["type"], "/problems/account-inactive");

    // Who asks for it now has it, and the link is a new one.
    let owner = json!({ "email": NEW, "name": "Ada", "password": PASSWORD });
    Client::of(&app).post("/auth/register", &owner).await;
    let token = mails.link_after(NEW, "verify", &token).await;
    assert_eq!(verify(&app, &token).await, 204);
    assert_eq!(Client::of(&app).log_in(NEW, PASSWORD).await.status, 200);
}

#[tokio::test]
async fn a_link_that_was_sent_to_the_old_address_sets_no_password_any_more() {
    let app = TestApp::start().await;
    let ada = Client::signed_up(&app, OLD).await;
    let mut mails = Mails::of(&app);
    ada.post("/auth/forgot", &json!({ "email": OLD })).await;
    let reset = mails.link(OLD, "reset").await;
    ask(&ada, NEW).await;
    let token = mails.link(NEW, "verify").await;
    assert_eq!(verify(&app, &token).await, 204);
    let body = json!({ "token": reset, "password": "another horse altogether" });
    assert_eq!(ada.post("/auth/reset", &body).await.status, 422);
    assert_eq!(ada.log_in(NEW, PASSWORD).await.status, 200);
}
