//! A client of the API with an account of its own, or with none.

use axum::body::Body;
use serde_json::{Value, json};

use super::mails;
use crate::support::writer::EMAIL as ADMIN;
use crate::support::{Answer, JSON, TestApp, request, send};

pub const PASSWORD: &str = "correct horse battery staple";

pub struct Client {
    address: std::net::SocketAddr,
    authorization: Option<String>,
}

impl Client {
    /// Not signed in.
    pub fn of(app: &TestApp) -> Self {
        Self {
            address: app.address(),
            authorization: None,
        }
    }

    /// An administrator.
    pub async fn admin(app: &TestApp) -> Self {
        let nobody = Self::of(app);
        let tokens = nobody.log_in(ADMIN, crate::support::writer::PASSWORD).await;
        nobody.bearer(&tokens)
    }

    /// Somebody with a new account, signed in.
    pub async fn signed_up(app: &TestApp, email: &str) -> Self {
        let tokens = sign_up(app, email).await;
        Self::of(app).bearer(&tokens)
    }

    /// The same with the access token of `answer`.
    pub fn bearer(self, answer: &Answer) -> Self {
        assert_eq!(answer.status, 200, "{}", answer.text());
        let token = answer.json()["access_token"]
            .as_str()
            .expect("a token")
            .to_owned();
        self.token(&token)
    }

    pub fn token(mut self, token: &str) -> Self {
        self.authorization = Some(format!("Bearer {token}"));
        self
    }

    pub async fn send(&self, method: &str, path: &str, json: &str) -> Answer {
        let mut headers = vec![JSON, ("user-agent", "a test")];
        headers.extend(
            self.authorization
                .as_deref()
                .map(|value| ("authorization", value)),
        );
        self.send_with(method, path, &headers, json).await
    }

    pub async fn send_with(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        json: &str,
    ) -> Answer {
        let path = format!("/api/v1{path}");
        send(
            self.address,
            request(method, &path, headers, Body::from(json.to_owned())),
        )
        .await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, "").await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, &body.to_string()).await
    }

    pub async fn log_in(&self, email: &str, password: &str) -> Answer {
        let credentials = json!({ "email": email, "password": password });
        self.post("/auth/login", &credentials).await
    }

    pub async fn refresh(&self, token: &Value) -> Answer {
        self.post("/auth/refresh", &json!({ "refresh_token": token }))
            .await
    }
}

/// Makes an account with a confirmed address, and signs it in.
pub async fn sign_up(app: &TestApp, email: &str) -> Answer {
    let nobody = Client::of(app);
    let mut mails = mails::Mails::of(app);
    let new = json!({ "email": email, "name": "Somebody", "password": PASSWORD });
    assert_eq!(nobody.post("/auth/register", &new).await.status, 202);
    let token = mails.link(email, "verify").await;
    assert_eq!(
        nobody
            .post(
                "/auth/verify",
                &json!({ "token": token, "password": PASSWORD })
            )
            .await
            .status,
        204
    );
    nobody.log_in(email, PASSWORD).await
}
