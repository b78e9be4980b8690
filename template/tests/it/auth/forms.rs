//! SQL in the forms of the accounts.

use std::collections::BTreeSet;

use super::client::{Client, sign_up};
use super::pages::signed_in;
use crate::injection::Rows;
use crate::pages::injection::attack_forms;
use crate::support::{Answer, TestApp};

/// The forms on one page, as somebody sends them who has the cookie of `session`.
async fn attack(app: &TestApp, path: &str, session: &str) -> Vec<String> {
    let ask = async |method: &str, path: &str, headers: &[(&str, &str)], body: String| -> Answer {
        let own = headers.iter().find(|(name, _)| *name == "cookie");
        let cookie = format!("{session}; {}", own.map_or("", |(_, own)| own));
        let rest = headers
            .iter()
            .copied()
            .filter(|(name, _)| *name != "cookie");
        let headers: Vec<_> = rest.chain([("cookie", cookie.as_str())]).collect();
        app.call_as_nobody(method, path, &headers, body).await
    };
    let rows = Rows::of(app).await;
    attack_forms(&rows, path, app, ask).await
}

#[tokio::test]
async fn sql_in_any_field_of_a_form_of_the_accounts_is_a_value_like_any_other() {
    let app = TestApp::start().await;
    let tokens = sign_up(&app, "ada@example.com").await;
    let session = signed_in(&app).await;
    // A changed password would end it, as it should.
    let program = Client::of(&app).bearer(&tokens);
    program.send("POST", "/auth/logout", "").await;
    let mut fields = BTreeSet::new();
    for (path, session) in [
        ("/login", ""),
        ("/register", ""),
        ("/forgot", ""),
        ("/reset?token=plain", ""),
        ("/verify?token=plain", ""),
        ("/account", &session),
        ("/account/email", &session),
    ] {
        let found = attack(&app, path, session).await;
        assert!(!found.is_empty(), "{path} has no form any more");
        fields.extend(found);
    }
    let expected = [
        "current_password",
        "email",
        "name",
        "new_password",
        "next",
        "password",
        "token",
    ];
    assert_eq!(fields.iter().collect::<Vec<_>>(), expected);
}
