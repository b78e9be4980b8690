//! Access tokens that must be taken, and every way of making one that must not.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde_json::{Value, json};

use super::*;

const SECRET: &str = "0123456789abcdefghijklmnopqrstuv";
const OTHER: &str = "vutsrqponmlkjihgfedcba9876543210";

fn keys(secret: &str, previous: &[&str]) -> Keys {
    hs256::install();
    let secrets = std::iter::once(&secret).chain(previous);
    Keys {
        keys: secrets
            .map(|secret| Key::of(&Secret::new(*secret)))
            .collect(),
        ttl: Duration::from_mins(15),
    }
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_000_000, 0).unwrap()
}

fn header(keys: &Keys) -> Value {
    json!({ "alg": "HS256", "typ": TYPE, "kid": keys.keys[0].id })
}

fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": Uuid::nil(), "sid": Uuid::nil(),
        "iat": now().timestamp(), "exp": now().timestamp() + 60,
    })
}

/// Signed with `SECRET`, whatever it says.
fn forged(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let signature = hmac::sign(&key, message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[test]
fn a_token_names_its_session_until_it_expires() {
    let keys = keys(SECRET, &[]);
    let session = Uuid::now_v7();
    let token = keys.issue(Uuid::nil(), session, now()).unwrap();
    let at = |seconds| keys.check(&token, now() + Duration::from_secs(seconds));
    assert_eq!(at(0).unwrap(), session);
    assert_eq!(at(15 * 60 - 1).unwrap(), session);
    assert!(matches!(at(15 * 60), Err(AuthError::TokenExpired)));
    // What the tests below change is good before they do.
    assert!(
        keys.check(&forged(&header(&keys), &claims()), now())
            .is_ok()
    );
}

#[test]
fn a_token_of_the_last_secret_is_good_until_that_is_forgotten() {
    let old = keys(SECRET, &[])
        .issue(Uuid::nil(), Uuid::nil(), now())
        .unwrap();
    assert!(keys(OTHER, &[SECRET]).check(&old, now()).is_ok());
    assert!(matches!(
        keys(OTHER, &[]).check(&old, now()),
        Err(AuthError::TokenInvalid)
    ));
    let new = keys(OTHER, &[SECRET])
        .issue(Uuid::nil(), Uuid::nil(), now())
        .unwrap();
    assert!(keys(OTHER, &[]).check(&new, now()).is_ok());
}

#[test]
fn no_header_talks_its_way_in() {
    let keys = keys(SECRET, &[]);
    for (field, value) in [
        ("alg", json!("none")),
        ("alg", json!("None")),
        ("alg", json!("HS512")),
        ("alg", json!("RS256")),
        ("alg", json!("EdDSA")),
        ("kid", json!("../../etc/passwd")),
        ("kid", json!("' OR 1=1 --")),
        ("kid", Value::Null),
        ("typ", json!("JWT")),
        ("typ", Value::Null),
    ] {
        let mut header = header(&keys);
        header[field] = value;
        let token = forged(&header, &claims());
        assert!(
            matches!(keys.check(&token, now()), Err(AuthError::TokenInvalid)),
            "{header}"
        );
        let (message, _) = token.rsplit_once('.').unwrap();
        let unsigned = format!("{message}.");
        assert!(
            matches!(keys.check(&unsigned, now()), Err(AuthError::TokenInvalid)),
            "{header}"
        );
    }
}

#[test]
fn claims_of_others_are_refused() {
    let keys = keys(SECRET, &[]);
    for (claim, value) in [
        ("aud", json!("another/api")),
        ("aud", Value::Null),
        ("iss", json!("another")),
        ("iss", Value::Null),
        ("exp", json!("never")),
        ("exp", Value::Null),
        ("sid", json!("' OR 1=1 --")),
    ] {
        let mut claims = claims();
        claims[claim] = value;
        let token = forged(&header(&keys), &claims);
        assert!(
            matches!(keys.check(&token, now()), Err(AuthError::TokenInvalid)),
            "{claims}"
        );
    }
}

#[test]
fn a_token_that_was_changed_is_refused() {
    let keys = keys(SECRET, &[]);
    let token = forged(&header(&keys), &claims());
    let (message, signature) = token.rsplit_once('.').unwrap();
    let (head, _) = message.split_once('.').unwrap();
    let mut other = claims();
    other["sub"] = json!(Uuid::max());
    let other = URL_SAFE_NO_PAD.encode(other.to_string());
    for wrong in [
        format!("{head}.{other}.{signature}"),
        format!("{message}.{}", &signature[1..]),
        format!("{message}."),
        message.to_owned(),
        format!("{token}.x"),
        String::new(),
        "..".to_owned(),
        "\u{0}".to_owned(),
    ] {
        assert!(
            matches!(keys.check(&wrong, now()), Err(AuthError::TokenInvalid)),
            "{wrong}"
        );
    }
}
