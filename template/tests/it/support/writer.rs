//! Who the tests write articles as, and settings under which signing in costs next to nothing.

use app::features::auth::{NewUser, Role, access_token_for};
use app::platform::Platform;
use axum::body::Body;
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderValue, Request};

pub const EMAIL: &str = "writer@example.com";
pub const PASSWORD: &str = "correct horse battery staple";

/// A test that moves the clock must not have to sign in again, unless that is what it is about.
const LONG: &str = "8766h";

pub const SECRET: &str = "vT6mQ2xWk9Zr4LhN8sJd3FbY7cPg5AeU";

pub fn settings(mails: &str) -> [(&'static str, &str); 8] {
    [
        ("APP__AUTH__SECRET", SECRET),
        ("APP__AUTH__MAIL__DIR", mails),
        ("APP__AUTH__PASSWORD__MEMORY", "8KiB"),
        ("APP__AUTH__PASSWORD__ITERATIONS", "1"),
        ("APP__AUTH__ATTEMPTS", "1000"),
        ("APP__AUTH__ACCESS_TTL", LONG),
        ("APP__AUTH__REFRESH_TTL", LONG),
        ("APP__AUTH__SESSION_TTL", LONG),
    ]
}

/// Somebody who may do everything.
pub struct Writer {
    authorization: HeaderValue,
}

impl Writer {
    pub async fn of(platform: &Platform) -> Self {
        let new = NewUser {
            email: EMAIL,
            name: "A writer",
            password: PASSWORD,
            role: Role::Admin,
        };
        // Of an earlier start on the same database.
        let _ = new.add(platform).await;
        let token = access_token_for(platform, EMAIL).await;
        let token = token.expect("the writer has an account");
        let mut authorization =
            HeaderValue::try_from(format!("Bearer {token}")).expect("a token is ASCII");
        authorization.set_sensitive(true);
        Self { authorization }
    }

    /// Says who sends what only a writer may send, or look at: drafts, of which the API knows too.
    pub fn sign(&self, mut request: Request<Body>) -> Request<Body> {
        let path = request.uri().path();
        let is_form = ["/new", "/edit", "/delete"]
            .iter()
            .any(|end| path.ends_with(end));
        if is_form || path.starts_with("/api/") || !request.method().is_safe() {
            let headers = request.headers_mut();
            headers
                .entry(AUTHORIZATION)
                .or_insert(self.authorization.clone());
        }
        request
    }
}
