//! The letters there are. Their texts are the files beside this one.
//!
//! None of them says anything that its recipient has not confirmed: whoever registers an address of somebody else must
//! not be able to write to them.

use chrono::{DateTime, Utc};

use crate::features::auth::domain::{Email, UserId};
use crate::features::auth::token::Token;

/// What is to be sent; to whom exactly, and whether at all, is looked up when it is.
#[derive(Clone, Debug)]
pub enum Letter {
    /// To confirm the address of a new account.
    Confirm(UserId),
    /// To set another password.
    Reset(Email),
    /// To somebody who registers again.
    HasAccount(Email),
    /// To confirm another address of an account.
    Move(UserId, Email),
    /// To the address that an account is about to leave.
    Moving(UserId),
    /// To somebody whose password is another one now.
    PasswordChanged(UserId),
}

/// A letter as it goes out.
pub struct Text {
    pub subject: String,
    pub body: String,
}

const SITE: &str = env!("CARGO_PKG_NAME");

/// `origin` is what links begin with: where the pages are.
pub fn confirm(origin: &str, token: &Token, until: DateTime<Utc>) -> Text {
    let link = format!("{origin}/verify?token={}", token.expose());
    let text = include_str!("confirm.txt");
    letter("Confirm your address", text, &link, Some(until))
}

pub fn reset(origin: &str, token: &Token, until: DateTime<Utc>) -> Text {
    let link = format!("{origin}/reset?token={}", token.expose());
    let text = include_str!("reset.txt");
    letter("Set another password", text, &link, Some(until))
}

pub fn has_account(origin: &str) -> Text {
    let link = format!("{origin}/login");
    let text = include_str!("has-account.txt");
    letter("You have an account", text, &link, None)
}

pub fn change(origin: &str, token: &Token, until: DateTime<Utc>) -> Text {
    let link = format!("{origin}/verify?token={}", token.expose());
    let text = include_str!("move.txt");
    letter("Confirm your new address", text, &link, Some(until))
}

pub fn moving(origin: &str) -> Text {
    let link = format!("{origin}/forgot");
    let text = include_str!("moving.txt");
    letter("Your address is about to change", text, &link, None)
}

pub fn password_changed(origin: &str) -> Text {
    let link = format!("{origin}/forgot");
    let text = include_str!("password-changed.txt");
    letter("Your password was changed", text, &link, None)
}

fn letter(subject: &str, text: &str, link: &str, until: Option<DateTime<Utc>>) -> Text {
    let until = until.map(|until| until.format("%-d %B %Y, %H:%M").to_string());
    Text {
        subject: format!("{subject} at {SITE}"),
        body: text
            .replace("{site}", SITE)
            .replace("{link}", link)
            .replace("{until}", &until.unwrap_or_default()),
    }
}
