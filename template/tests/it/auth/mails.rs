//! The mails of the service, and what must be true of them.

use std::path::PathBuf;

use app::domain::events::Event;
use serde_json::json;
use tokio::sync::broadcast::Receiver;

use super::client::{Client, PASSWORD, sign_up};
use crate::support::TestApp;

/// The mails that are sent from now on.
pub struct Mails {
    folder: PathBuf,
    events: Receiver<Event>,
}

impl Mails {
    pub fn of(app: &TestApp) -> Self {
        Self {
            folder: app.mails(),
            events: app.subscribe(),
        }
    }

    /// Waits for the next mail to leave, and hands over the newest to `email` that holds `text`.
    pub async fn next(&mut self, email: &str, text: &str) -> String {
        loop {
            let event = self.events.recv().await.expect("the app runs");
            if event.name == "mail.sent"
                && let Some(mail) = self
                    .all(email)
                    .into_iter()
                    .rfind(|mail| mail.contains(text))
            {
                return mail;
            }
        }
    }

    /// The token of the link in the next mail to `email`.
    pub async fn link(&mut self, email: &str, page: &str) -> String {
        let start = format!("/{page}?token=");
        let mail = self.next(email, &start).await;
        let (_, rest) = mail.split_once(&start).expect("a link");
        rest.split_whitespace().next().expect("a token").to_owned()
    }

    /// The same for the first mail with another token than `before`.
    pub async fn link_after(&mut self, email: &str, page: &str, before: &str) -> String {
        loop {
            let token = self.link(email, page).await;
            if token != before {
                return token;
            }
        }
    }

    /// Every mail to `email`, oldest first.
    pub fn all(&self, email: &str) -> Vec<String> {
        let entries = std::fs::read_dir(&self.folder)
            .into_iter()
            .flatten()
            .flatten();
        let mut mails: Vec<_> = entries
            .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
            .collect();
        mails.sort();
        let texts = mails
            .iter()
            .map(|(_, path)| std::fs::read_to_string(path).expect("a mail"));
        texts
            .filter(|text| text.contains(&format!("To: {email}\r\n")))
            .collect()
    }
}

#[tokio::test]
async fn a_letter_says_what_to_do_and_nothing_that_its_sender_chose() {
    let app = TestApp::with(&[("APP__SERVER__PUBLIC_URL", "https://example.com")]).await;
    let mut mails = Mails::of(&app);
    let new =
        json!({ "email": "ada@example.com", "name": "Win at evil.example", "password": PASSWORD });
    Client::of(&app).post("/auth/register", &new).await;
    let mail = mails.next("ada@example.com", "").await;
    assert!(mail.contains("https://example.com/verify?token="), "{mail}");
    assert!(mail.contains("until 3 January 2026, 03:04 UTC"), "{mail}");
    assert!(
        mail.contains("From: Accounts <accounts@localhost>"),
        "{mail}"
    );
    assert!(!mail.contains("evil"), "{mail}");
}

#[tokio::test]
async fn a_link_is_good_for_one_purpose_one_time_and_so_long() {
    let app = TestApp::start().await;
    let nobody = Client::of(&app);
    let email = "ada@example.com";
    sign_up(&app, email).await;
    let mut mails = Mails::of(&app);
    nobody
        .post("/auth/forgot", &json!({ "email": email }))
        .await;
    let first = mails.link(email, "reset").await;
    let mut mails = Mails::of(&app);
    nobody
        .post("/auth/forgot", &json!({ "email": email }))
        .await;
    let second = mails.link_after(email, "reset", &first).await;

    let reset = async |token: &str, password: &str| {
        let body = json!({ "token": token, "password": password });
        nobody.post("/auth/reset", &body).await
    };
    let other = "another horse altogether";
    assert_eq!(
        reset(&first, other).await.status,
        422,
        "replaced by the second"
    );
    let as_confirmation = nobody
        .post(
            "/auth/verify",
            &json!({ "token": second, "password": PASSWORD }),
        )
        .await;
    assert_eq!(as_confirmation.status, 422, "it is not for that");
    assert_eq!(
        reset(&second, "short").await.json()["errors"][0]["pointer"],
        "/password"
    );
    assert_eq!(
        reset(&second, other).await.status,
        204,
        "a refused password does not use it up"
    );
    assert_eq!(
        reset(&second, other).await.json()["errors"][0]["pointer"],
        "/token"
    );

    let mut mails = Mails::of(&app);
    nobody
        .post("/auth/forgot", &json!({ "email": email }))
        .await;
    let third = mails.link_after(email, "reset", &second).await;
    app.clock.advance(std::time::Duration::from_hours(1));
    assert_eq!(reset(&third, other).await.status, 422, "too old");
}

#[tokio::test]
async fn of_many_who_follow_a_link_at_once_one_succeeds() {
    let app = TestApp::start().await;
    let email = "ada@example.com";
    sign_up(&app, email).await;
    let mut mails = Mails::of(&app);
    Client::of(&app)
        .post("/auth/forgot", &json!({ "email": email }))
        .await;
    let token = mails.link(email, "reset").await;
    let mut tries = tokio::task::JoinSet::new();
    for n in 0..8 {
        let nobody = Client::of(&app);
        let body = json!({ "token": token, "password": format!("another horse number {n}") });
        tries.spawn(async move { nobody.post("/auth/reset", &body).await.status });
    }
    let mut statuses = tries.join_all().await;
    statuses.sort_unstable();
    assert_eq!(statuses, [204, 422, 422, 422, 422, 422, 422, 422]);
}

#[tokio::test]
async fn developers_read_their_mails_in_the_browser_and_nobody_else_does() {
    let app = TestApp::with(&[("APP_ENV", "development")]).await;
    assert_eq!(app.get("/dev/mail").await.text(), "No mails yet.\n");
    let mut mails = Mails::of(&app);
    let new = json!({ "email": "ada@example.com", "name": "Ada", "password": PASSWORD });
    Client::of(&app).post("/auth/register", &new).await;
    let token = mails.link("ada@example.com", "verify").await;
    let page = app.get("/dev/mail").await;
    assert!(page.text().contains(&token), "{}", page.text());
    assert_eq!(page.header("cache-control"), "no-store");

    let app = TestApp::start().await;
    assert_eq!(app.get("/dev/mail").await.status, 404);
}
