//! A message that is shown once, on the page after a form was sent.
//!
//! A cookie carries the name of the message and never its text, so that nobody can put words into the site's mouth.{% capture body %}

use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, HeaderValue};

use crate::http::cookies;
use crate::http::page_cache::Page;

/// Pages that show messages are made anew for whoever sends this cookie: list it in
/// [`CachePolicy::ignoring_cookies_but`](crate::http::page_cache::CachePolicy::ignoring_cookies_but).
pub const COOKIE: &str = "flash";

const FORGET: HeaderValue =
    HeaderValue::from_static("flash=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax");

/// What there is to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    Published,
    SavedAsDraft,
    Deleted, //~{% if features contains "auth" %}
    Registered,
    Verified,
    ResetMailed,
    PasswordChanged,
    AccountSaved,
    MoveMailed,
    SessionEnded,
    SignedOut, //~{% endif %}
}

impl Notice {
    const ALL: &[Self] = &[
        // A cookie can name no other.
        Self::Published,
        Self::SavedAsDraft,
        Self::Deleted, //~{% if features contains "auth" %}
        Self::Registered,
        Self::Verified,
        Self::ResetMailed,
        Self::PasswordChanged,
        Self::AccountSaved,
        Self::MoveMailed,
        Self::SessionEnded,
        Self::SignedOut, //~{% endif %}
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::SavedAsDraft => "saved-as-draft",
            Self::Deleted => "deleted", //~{% if features contains "auth" %}
            Self::Registered => "registered",
            Self::Verified => "verified",
            Self::ResetMailed => "reset-mailed",
            Self::PasswordChanged => "password-changed",
            Self::AccountSaved => "account-saved",
            Self::MoveMailed => "move-mailed",
            Self::SessionEnded => "session-ended",
            Self::SignedOut => "signed-out", //~{% endif %}
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Published => "Saved. This is what visitors see.",
            Self::SavedAsDraft => "Saved as a draft. Visitors do not see it.",
            Self::Deleted => "Deleted.", //~{% if features contains "auth" %}
            Self::Registered => "Nearly done. Open the link in the mail that is on its way to you.",
            Self::Verified => "Your address is confirmed.",
            Self::ResetMailed => "If the address has an account, a mail with a link is on its way.",
            Self::PasswordChanged => "The password is changed.",
            Self::AccountSaved => "Saved.",
            Self::MoveMailed => "Open the link in the mail that is on its way to the new address.",
            Self::SessionEnded => "Signed out there.",
            Self::SignedOut => "You are signed out.", //~{% endif %}
        }
    }

    /// The cookie that brings it to the next page. It dies after a minute if there is none.
    pub fn cookie(self, is_https: bool) -> HeaderValue {
        let secure = if is_https { "; Secure" } else { "" };
        let cookie = format!(
            "{COOKIE}={}; Path=/; Max-Age=60; HttpOnly; SameSite=Lax{secure}",
            self.name()
        );
        HeaderValue::try_from(cookie).unwrap_or(FORGET)
    }
}

/// What a request brings along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flash {
    None,
    /// A cookie that is not one of ours.
    Unknown,
    Some(Notice),
}

impl Flash {
    pub fn of(headers: &HeaderMap) -> Self {
        let Some(name) = cookies::find(headers, COOKIE) else {
            return Self::None;
        };
        let notice = Notice::ALL.iter().find(|notice| notice.name() == name);
        notice.map_or(Self::Unknown, |notice| Self::Some(*notice))
    }

    pub fn text(self) -> Option<&'static str> {
        match self {
            Self::Some(notice) => Some(notice.text()),
            Self::None | Self::Unknown => None,
        }
    }

    /// Lets the browser forget what `page` has shown.
    pub fn forget_after(self, page: Page) -> Page {
        match self {
            Self::None => page,
            Self::Unknown | Self::Some(_) => page.header(SET_COOKIE, FORGET),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use axum::http::header::COOKIE as HEADER;

    fn flash(cookie: &str) -> Flash {
        Flash::of(&HeaderMap::from_iter([(HEADER, cookie.parse().unwrap())]))
    }

    #[test]
    fn every_notice_comes_back_from_its_cookie() {
        for &notice in Notice::ALL {
            let cookie = notice.cookie(false);
            let sent = cookie.to_str().unwrap().split(';').next().unwrap();
            assert_eq!(flash(sent), Flash::Some(notice));
        }
    }

    #[test]
    fn over_https_the_cookie_is_for_https_only() {
        let cookie = Notice::Deleted.cookie(true);
        assert!(cookie.to_str().unwrap().ends_with("; Secure"));
        let cookie = Notice::Deleted.cookie(false);
        assert!(!cookie.to_str().unwrap().contains("Secure"));
    }

    #[test]
    fn words_that_are_not_ours_say_nothing() {
        assert_eq!(flash("flash=<b>Pay here</b>"), Flash::Unknown);
        assert_eq!(flash("flash=<b>Pay here</b>").text(), None);
        assert_eq!(flash("other=deleted"), Flash::None);
    }
} //~{% endcapture %}{{ body | remove: " //~" | remove: "//+ " }}
