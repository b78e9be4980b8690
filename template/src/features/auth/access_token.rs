//! Access tokens: JSON Web Tokens (RFC 7519) signed with HS256, for programs and for a few minutes.

mod hs256;

use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use chrono::{DateTime, Utc};
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::error::AuthError;
use super::settings::AuthSettings;
use super::token::Token;
use crate::settings::Secret;

/// Who makes the tokens, and for whom: another service with the same secret must not take them.
const ISSUER: &str = env!("CARGO_PKG_NAME");
const AUDIENCE: &str = concat!(env!("CARGO_PKG_NAME"), "/api");

/// Says what kind of token it is (RFC 9068, section 2.1), so that no other kind is taken for one.
const TYPE: &str = "at+jwt";

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    /// The user.
    sub: Uuid,
    /// The session, which has the last word.
    sid: Uuid,
    iat: i64,
    exp: i64,
}

/// The secrets tokens are signed with: the first signs, all of them are believed.
#[derive(Clone)]
pub struct Keys {
    keys: Arc<[Key]>,
    ttl: Duration,
}

#[derive(Clone)]
struct Key {
    /// Names the secret in a token without telling it.
    id: String,
    signing: EncodingKey,
    checking: DecodingKey,
}

impl Key {
    fn of(secret: &Secret) -> Self {
        let bytes = secret.expose().as_bytes();
        let digest = Token::shown(&format!("kid {}", secret.expose())).digest();
        Self {
            id: digest[..16].to_owned(),
            signing: EncodingKey::from_secret(bytes),
            checking: DecodingKey::from_secret(bytes),
        }
    }
}

impl Keys {
    /// Without a secret: one for this run, unless `must_be_set`.
    ///
    /// # Errors
    /// If there is none and must be one.
    pub fn new(settings: &AuthSettings, must_be_set: bool) -> anyhow::Result<Self> {
        hs256::install();
        ensure!(
            settings.secret.is_some() || !must_be_set,
            "auth.secret must be set in production, to 32 random characters or more (openssl rand -base64 32)"
        );
        let first = settings.secret.clone();
        let first = first.unwrap_or_else(|| Secret::new(Token::random().expose()));
        let keys = std::iter::once(&first).chain(&settings.previous_secrets);
        Ok(Self {
            keys: keys.map(Key::of).collect(),
            ttl: settings.access_ttl,
        })
    }

    pub fn ttl(&self) -> Duration {
        self.ttl
    }

    pub fn issue(
        &self,
        user: Uuid,
        session: Uuid,
        now: DateTime<Utc>,
    ) -> Result<String, AuthError> {
        let key = &self.keys[0];
        let header = Header {
            typ: Some(TYPE.to_owned()),
            kid: Some(key.id.clone()),
            ..Header::new(Algorithm::HS256)
        };
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: user,
            sid: session,
            iat: now.timestamp(),
            exp: (now + self.ttl).timestamp(),
        };
        encode(&header, &claims, &key.signing).map_err(|error| AuthError::Broken(error.into()))
    }

    /// The session a token belongs to.
    ///
    /// # Errors
    /// [`AuthError::TokenExpired`] if it was good, [`AuthError::TokenInvalid`] if it never was.
    pub fn check(&self, token: &str, now: DateTime<Utc>) -> Result<Uuid, AuthError> {
        let header = decode_header(token).map_err(|_| AuthError::TokenInvalid)?;
        let key = self
            .keys
            .iter()
            .find(|key| header.kid.as_deref() == Some(&key.id));
        let key = key.filter(|_| header.typ.as_deref() == Some(TYPE));
        let key = key.ok_or(AuthError::TokenInvalid)?;
        // The algorithm is ours to say, not the token's (RFC 8725, section 3.1).
        let mut rules = Validation::new(Algorithm::HS256);
        rules.set_issuer(&[ISSUER]);
        rules.set_audience(&[AUDIENCE]);
        rules.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // Below, by our clock.
        rules.validate_exp = false;
        let token = decode::<Claims>(token, &key.checking, &rules);
        let Claims { sid, exp, .. } = token.map_err(|_| AuthError::TokenInvalid)?.claims;
        if exp <= now.timestamp() {
            return Err(AuthError::TokenExpired);
        }
        Ok(sid)
    }
}

#[cfg(test)]
mod tests;
