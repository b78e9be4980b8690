//! Accounts in a browser: the forms, the way to them and back, and pages that stay the same for everybody.

use super::client::{PASSWORD, sign_up};
use super::mails::Mails;
use crate::support::{Answer, TestApp};

const EMAIL: &str = "ada@example.com";
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const HTML: (&str, &str) = ("accept", "text/html");

async fn get(app: &TestApp, path: &str, cookie: &str) -> Answer {
    app.call_as_nobody("GET", path, &[HTML, ("cookie", cookie)], "")
        .await
}

async fn post(app: &TestApp, path: &str, cookie: &str, form: &str) -> Answer {
    let headers = [
        HTML,
        FORM,
        ("cookie", cookie),
        ("sec-fetch-site", "same-origin"),
    ];
    app.call_as_nobody("POST", path, &headers, form.to_owned())
        .await
}

/// `name=value` of the session an answer sets.
fn session(answer: &Answer) -> String {
    let lines = answer.headers.get_all("set-cookie").iter();
    let lines: Vec<_> = lines.map(|line| line.to_str().unwrap()).collect();
    let line = lines
        .iter()
        .find(|line| line.starts_with("__Host-session="));
    line.expect("a session")
        .split(';')
        .next()
        .unwrap()
        .to_owned()
}

fn credentials(password: &str) -> String {
    format!(
        "email=ada%40example.com&password={}",
        password.replace(' ', "+")
    )
}

#[tokio::test]
async fn somebody_registers_confirms_signs_in_looks_and_leaves() {
    let app = TestApp::start().await;
    let mut mails = Mails::of(&app);
    let form = format!("name=Ada&{}", credentials(PASSWORD));
    let registered = post(&app, "/register", "", &form).await;
    assert_eq!(
        (registered.status, registered.header("location")),
        (303, "/login")
    );
    assert!(
        registered
            .header("set-cookie")
            .starts_with("flash=registered;")
    );
    let token = mails.link(EMAIL, "verify").await;

    // Looking at the link changes nothing.
    let page = get(&app, &format!("/verify?token={token}"), "").await;
    assert_eq!(
        (page.status, page.header("referrer-policy")),
        (200, "no-referrer")
    );
    assert_eq!(page.header("cache-control"), "private, no-store");
    let refused = post(&app, "/login", "", &credentials(PASSWORD)).await;
    assert!(
        refused.text().contains("Confirm the address first"),
        "{}",
        refused.text()
    );
    let verified = post(&app, "/verify", "", &format!("token={token}")).await;
    assert_eq!(
        (verified.status, verified.header("location")),
        (303, "/login")
    );

    let signed_in = post(&app, "/login", "", &credentials(PASSWORD)).await;
    assert_eq!(
        (signed_in.status, signed_in.header("location")),
        (303, "/account")
    );
    let cookie = session(&signed_in);
    let account = get(&app, "/account", &cookie).await;
    assert!(
        account.text().contains("ada@example.com, member"),
        "{}",
        account.text()
    );
    let out = post(&app, "/logout", &cookie, "").await;
    assert!(session(&out).ends_with('='), "the browser forgets it");
    assert_eq!(get(&app, "/account", &cookie).await.status, 303);
}

#[tokio::test]
async fn who_wants_to_write_is_led_to_the_door_and_back() {
    let app = TestApp::start().await;
    sign_up(&app, EMAIL).await;
    let led = get(&app, "/articles/new", "").await;
    assert_eq!(
        (led.status, led.header("location")),
        (303, "/login?next=/articles/new")
    );
    let door = get(&app, led.header("location"), "").await;
    assert!(
        door.text().contains(r#"name="next" value="/articles/new""#),
        "{}",
        door.text()
    );
    let form = format!("next=/articles/new&{}", credentials(PASSWORD));
    let signed_in = post(&app, "/login", "", &form).await;
    assert_eq!(signed_in.header("location"), "/articles/new");
    // A member may not.
    let forbidden = get(&app, "/articles/new", &session(&signed_in)).await;
    assert_eq!(forbidden.status, 403);
    let evil = format!("next=//evil.example&{}", credentials(PASSWORD));
    assert_eq!(
        post(&app, "/login", "", &evil).await.header("location"),
        "/account"
    );
}

#[tokio::test]
async fn a_form_sent_after_the_session_is_over_is_not_led_away() {
    let app = TestApp::start().await;
    let answer = post(&app, "/articles/new", "", "title=Long+work").await;
    assert_eq!(answer.status, 401);
    assert!(
        answer.text().contains("nothing you wrote is lost"),
        "{}",
        answer.text()
    );
}

#[tokio::test]
async fn what_is_wrong_stands_beside_what_was_written_and_no_password_comes_back() {
    let app = TestApp::start().await;
    let refused = post(
        &app,
        "/register",
        "",
        "email=ada&name=%3Cb%3E&password=password1234",
    )
    .await;
    assert_eq!(refused.status, 422);
    let text = refused.text();
    assert!(
        text.contains(r#"value="ada""#)
            && text.contains("E-mail address must be an e-mail address")
    );
    assert!(
        !text.contains("password1234") && !text.contains("<b>"),
        "{text}"
    );
    let refused = post(&app, "/login", "", &credentials("wrong")).await;
    assert!(
        refused
            .text()
            .contains("The e-mail address or the password is wrong.")
    );
    assert!(!refused.text().contains("value=\"wrong\""));
    let refused = post(
        &app,
        "/reset",
        "",
        "token=used&password=another+horse+altogether",
    )
    .await;
    assert_eq!(refused.status, 422);
}

#[tokio::test]
async fn an_account_is_changed_in_the_browser() {
    let app = TestApp::start().await;
    sign_up(&app, EMAIL).await;
    let cookie = session(&post(&app, "/login", "", &credentials(PASSWORD)).await);
    assert_eq!(
        post(&app, "/account", &cookie, "name=Countess")
            .await
            .status,
        303
    );
    assert!(
        get(&app, "/account", &cookie)
            .await
            .text()
            .contains(r#"value="Countess""#)
    );
    assert_eq!(post(&app, "/account", &cookie, "name=").await.status, 422);
    let change = "current_password=wrong&new_password=another+horse+altogether";
    let refused = post(&app, "/account/password", &cookie, change).await;
    assert!(
        refused.text().contains("Current password is wrong"),
        "{}",
        refused.text()
    );
    let change = change.replace("wrong", &PASSWORD.replace(' ', "+"));
    assert_eq!(
        post(&app, "/account/password", &cookie, &change)
            .await
            .status,
        303
    );
    let again = post(&app, "/login", "", &credentials("another horse altogether")).await;
    let other = session(&again);
    let account = get(&app, "/account", &cookie).await;
    let (_, rest) = account
        .text()
        .split_once("/account/sessions/")
        .expect("another session");
    let path = format!("/account/sessions/{}", rest.split('"').next().unwrap());
    assert_eq!(post(&app, &path, &cookie, "").await.status, 303);
    assert_eq!(get(&app, "/account", &other).await.status, 303);
}

#[tokio::test]
async fn a_page_is_the_same_for_everybody_and_cached_for_everybody() {
    let app = TestApp::start().await;
    sign_up(&app, EMAIL).await;
    let cookie = session(&post(&app, "/login", "", &credentials(PASSWORD)).await);
    app.create(
        crate::support::ARTICLES,
        &crate::support::published("Hello"),
    )
    .await;
    let first = get(&app, "/articles/hello", &cookie).await;
    assert_eq!(first.header("x-cache-status"), "MISS");
    assert!(!first.text().contains("ada@example.com"));
    let second = get(&app, "/articles/hello", "").await;
    assert_eq!(second.header("x-cache-status"), "HIT-L1");
    assert_eq!(first.text(), second.text());
    // What is somebody's own is nobody else's.
    let account = get(&app, "/account", &cookie).await;
    assert_eq!(account.header("x-cache-status"), "BYPASS");
    assert!(get(&app, "/account", "").await.text().is_empty());
}
