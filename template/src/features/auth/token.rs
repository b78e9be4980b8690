//! Secrets that are handed out once and compared by their digest: cookies, refresh tokens, links in mails.

use std::fmt::{self, Write};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom, SystemRandom};
use sha2::{Digest, Sha256};

/// 256 random bits. Never shown, never stored.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// # Panics
    /// If the system has no random numbers, without which nothing here is safe.
    pub fn random() -> Self {
        let mut bytes = [0; 32];
        SystemRandom::new()
            .fill(&mut bytes)
            .expect("the system has random numbers");
        Self(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// What somebody shows: if it is none of ours, its digest is not stored.
    pub fn shown(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// For the one it is handed to.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What is stored of it. The token is random, so that a plain digest cannot be turned back.
    pub fn digest(&self) -> String {
        let digest = Sha256::digest(self.0.as_bytes());
        digest.iter().fold(String::new(), |mut text, byte| {
            // Writing to memory does not fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_256_bits_and_never_comes_again() {
        let (one, other) = (Token::random(), Token::random());
        assert_eq!(URL_SAFE_NO_PAD.decode(one.expose()).unwrap().len(), 32);
        assert_ne!(one.expose(), other.expose());
        assert_eq!(one.digest(), Token::shown(one.expose()).digest());
        assert_ne!(one.digest(), other.digest());
        assert!(!format!("{one:?}").contains(one.expose()));
    }
}
