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

/// Opens the page that has the form, and sends it.
async fn post(app: &TestApp, path: &str, cookie: &str, form: &str) -> Answer {
    let is_on_account = path.starts_with("/account/") && path != "/account/email";
    let page = if is_on_account || path == "/logout" {
        "/account"
    } else {
        path
    };
    let opened = Opened::of(&get(app, page, cookie).await);
    opened.send(app, path, cookie, form).await
}

/// What a browser has of a page with a form.
struct Opened {
    cookie: String,
    token: String,
}

impl Opened {
    fn of(page: &Answer) -> Self {
        let hidden = page.text().split("name=\"csrf_token\" value=\"").nth(1);
        let token = hidden.and_then(|rest| rest.split('"').next());
        Self {
            cookie: cookie(page, "csrf").unwrap_or_default(),
            token: token.unwrap_or_default().to_owned(),
        }
    }

    async fn send(&self, app: &TestApp, path: &str, cookie: &str, form: &str) -> Answer {
        let cookie = format!("{cookie}; {}", self.cookie);
        let headers = [
            HTML,
            FORM,
            ("cookie", cookie.as_str()),
            ("sec-fetch-site", "same-origin"),
        ];
        let form = format!("{form}&csrf_token={}", self.token);
        app.call_as_nobody("POST", path, &headers, form).await
    }
}

/// `name=value` of a cookie that an answer sets.
fn cookie(answer: &Answer, name: &str) -> Option<String> {
    let lines = answer.headers.get_all("set-cookie").iter();
    let mut pairs = lines.filter_map(|line| line.to_str().ok()?.split(';').next());
    let pair = pairs.find(|pair| pair.split('=').next() == Some(name));
    pair.map(ToOwned::to_owned)
}

fn session(answer: &Answer) -> String {
    cookie(answer, "__Host-session").expect("a session")
}

fn credentials(password: &str) -> String {
    format!(
        "email=ada%40example.com&password={}",
        password.replace(' ', "+")
    )
}

pub async fn signed_in(app: &TestApp) -> String {
    session(&post(app, "/login", "", &credentials(PASSWORD)).await)
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
    let form = format!("token={token}&password=wrong");
    let refused = post(&app, "/verify", "", &form).await;
    assert!(refused.status == 422 && refused.text().contains("Password is wrong"));
    let form = format!("token={token}&{}", credentials(PASSWORD));
    let verified = post(&app, "/verify", "", &form).await;
    assert_eq!(
        (verified.status, verified.header("location")),
        (303, "/account")
    );
    let account = get(&app, "/account", &session(&verified)).await;
    assert!(account.text().contains("ada@example.com, member"));

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
    let cookie = signed_in(&app).await;
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
    let cookie = signed_in(&app).await;
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

#[tokio::test]
async fn a_form_of_an_account_takes_the_token_of_its_own_session() {
    let app = TestApp::start().await;
    sign_up(&app, EMAIL).await;
    let (here, there) = (signed_in(&app).await, signed_in(&app).await);
    let opened = Opened::of(&get(&app, "/account", &there).await);
    for (path, form) in [
        ("/account", "name=Eve"),
        ("/account/password", "new_password=another+horse+altogether"),
        ("/account/email", "email=eve@example.com"),
        ("/logout", ""),
    ] {
        let stolen = opened.send(&app, path, &here, form).await;
        assert_eq!(stolen.status, 403, "{path}: {}", stolen.text());
        let none = Opened {
            token: String::new(),
            cookie: opened.cookie.clone(),
        };
        assert_eq!(none.send(&app, path, &there, form).await.status, 403);
    }
    assert_eq!(
        opened
            .send(&app, "/account", &there, "name=Ada")
            .await
            .status,
        303
    );
    // A form from before signing in is not one of the session.
    let before = Opened::of(&get(&app, "/login", "").await);
    let planted = before.send(&app, "/account", &here, "name=Eve").await;
    assert_eq!(planted.status, 403);
    // Who is signed out elsewhere meanwhile is signed out.
    assert_eq!(opened.send(&app, "/logout", &there, "").await.status, 303);
    assert_eq!(opened.send(&app, "/logout", &there, "").await.status, 303);
    assert_eq!(get(&app, "/account", &here).await.status, 200);
}

#[tokio::test]
async fn an_address_is_changed_in_the_browser_when_its_mail_is_opened() {
    let app = TestApp::start().await;
    sign_up(&app, EMAIL).await;
    let cookie = signed_in(&app).await;
    let wrong = post(
        &app,
        "/account/email",
        &cookie,
        "email=x&current_password=x",
    )
    .await;
    assert!(
        wrong.status == 422 && wrong.text().contains("must be an e-mail address"),
        "{}",
        wrong.text()
    );
    let form = "email=countess%40example.com&current_password=wrong";
    let wrong = post(&app, "/account/email", &cookie, form).await;
    assert!(wrong.text().contains("Current password is wrong"));
    let mut mails = Mails::of(&app);
    let form = form.replace("wrong", &PASSWORD.replace(' ', "+"));
    let sent = post(&app, "/account/email", &cookie, &form).await;
    assert_eq!((sent.status, sent.header("location")), (303, "/account"));
    let token = mails.link("countess@example.com", "verify").await;
    let before = get(&app, "/account", &cookie).await;
    assert!(before.text().contains("ada@example.com, member"));
    let form = format!("token={token}&{}", credentials(PASSWORD));
    let moved = post(&app, "/verify", &cookie, &form).await;
    let after = get(&app, "/account", &session(&moved)).await;
    assert!(after.text().contains("countess@example.com, member"));
}
