//! Passwords as they are stored: argon2id, a bounded number at once, beside the threads that answer requests.

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use ring::rand::{SecureRandom, SystemRandom};
use tokio::sync::Semaphore;

use super::error::AuthError;
use super::settings::PasswordSettings;

/// Hashes and compares. A cheap handle.
#[derive(Clone)]
pub struct Hasher {
    argon: Argon2<'static>,
    /// Places at work and places to wait in.
    places: Arc<Semaphore>,
    turns: Arc<Semaphore>,
    /// Nobody's: compared with where there is no account, so that the answer takes as long.
    dummy: Arc<str>,
}

/// What a comparison found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub matches: bool,
    /// The stored hash has another cost than is set now.
    pub is_outdated: bool,
}

impl Hasher {
    /// # Errors
    /// If argon2 does not take the settings together.
    pub fn new(settings: &PasswordSettings) -> anyhow::Result<Self> {
        let kibibytes = u32::try_from(settings.memory.as_u64() / 1024)?;
        let params = Params::new(kibibytes, settings.iterations, settings.lanes, None)
            .map_err(|error| anyhow::anyhow!("[auth.password] does not fit together: {error}"))?;
        let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let dummy = hash(&argon, "nobody's password")
            .map_err(|error| anyhow::anyhow!("argon2 does not work: {error}"))?;
        Ok(Self {
            argon,
            places: Arc::new(Semaphore::new(settings.turns() + settings.queue)),
            turns: Arc::new(Semaphore::new(settings.turns())),
            dummy: dummy.into(),
        })
    }

    /// # Errors
    /// [`AuthError::Busy`] if too many wait already.
    pub async fn hash(&self, password: &str) -> Result<String, AuthError> {
        let (argon, password) = (self.argon.clone(), password.to_owned());
        let hashed = self.work(move || hash(&argon, &password)).await?;
        hashed.map_err(|error| AuthError::Broken(anyhow::anyhow!("argon2: {error}")))
    }

    /// Compares, with the same effort if there is no hash.
    ///
    /// # Errors
    /// [`AuthError::Busy`] if too many wait already.
    pub async fn verify(&self, password: &str, stored: Option<&str>) -> Result<Verdict, AuthError> {
        let exists = stored.is_some();
        let (argon, password) = (self.argon.clone(), password.to_owned());
        let stored = stored.unwrap_or(&self.dummy).to_owned();
        let verdict = move || {
            let matches = argon
                .verify_password(password.as_bytes(), stored.as_str())
                .is_ok();
            Verdict {
                matches: matches && exists,
                is_outdated: is_outdated(argon.params(), &stored),
            }
        };
        self.work(verdict).await
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, AuthError> {
        let place = Arc::clone(&self.places)
            .try_acquire_owned()
            .map_err(|_| AuthError::Busy)?;
        let turn = Arc::clone(&self.turns)
            .acquire_owned()
            .await
            .map_err(|_| AuthError::Busy)?;
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            // Not before, even if nobody waits for it any more.
            drop((turn, place));
            done
        });
        done.await.map_err(|error| AuthError::Broken(error.into()))
    }
}

fn hash(argon: &Argon2<'_>, password: &str) -> Result<String, argon2::password_hash::Error> {
    let mut salt = [0; 16];
    SystemRandom::new()
        .fill(&mut salt)
        .map_err(|_| argon2::password_hash::Error::RngFailure)?;
    Ok(argon
        .hash_password_with_salt(password.as_bytes(), &salt)?
        .to_string())
}

fn is_outdated(wanted: &Params, stored: &str) -> bool {
    let stored = PasswordHash::new(stored).ok();
    let found = stored.and_then(|stored| Params::try_from(&stored).ok());
    found.is_none_or(|found| {
        (found.m_cost(), found.t_cost(), found.p_cost())
            != (wanted.m_cost(), wanted.t_cost(), wanted.p_cost())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    use bytesize::ByteSize;

    fn settings() -> PasswordSettings {
        PasswordSettings {
            memory: ByteSize::kib(8),
            iterations: 1,
            lanes: 1,
            at_once: 1,
            queue: 0,
        }
    }

    #[tokio::test]
    async fn a_password_matches_its_own_hash_and_no_hash_matches_nothing() {
        let hasher = Hasher::new(&settings()).unwrap();
        let stored = hasher.hash("correct horse").await.unwrap();
        assert!(
            stored.starts_with("$argon2id$v=19$m=8,t=1,p=1$"),
            "{stored}"
        );
        assert!(
            hasher
                .verify("correct horse", Some(&stored))
                .await
                .unwrap()
                .matches
        );
        assert!(
            !hasher
                .verify("wrong horse", Some(&stored))
                .await
                .unwrap()
                .matches
        );
        assert!(
            !hasher
                .verify("nobody's password", None)
                .await
                .unwrap()
                .matches
        );
        assert_ne!(
            hasher.hash("correct horse").await.unwrap(),
            stored,
            "each has a salt"
        );
    }

    #[tokio::test]
    async fn a_hash_of_another_cost_is_outdated_and_still_good() {
        let stored = Hasher::new(&settings())
            .unwrap()
            .hash("correct horse")
            .await
            .unwrap();
        let dearer = PasswordSettings {
            iterations: 2,
            ..settings()
        };
        for (settings, is_outdated) in [(settings(), false), (dearer, true)] {
            let hasher = Hasher::new(&settings).unwrap();
            let verdict = hasher.verify("correct horse", Some(&stored)).await.unwrap();
            assert_eq!(
                verdict,
                Verdict {
                    matches: true,
                    is_outdated
                }
            );
        }
    }

    #[test]
    fn as_many_passwords_are_worked_on_as_the_setting_says_or_as_there_are_cores() {
        for at_once in [0, 1, 3] {
            let settings = PasswordSettings {
                at_once,
                queue: 2,
                ..settings()
            };
            let hasher = Hasher::new(&settings).unwrap();
            let cores = std::thread::available_parallelism().unwrap().get();
            let expected = if at_once == 0 { cores } else { at_once };
            assert_eq!(hasher.turns.available_permits(), expected);
            assert_eq!(hasher.places.available_permits(), expected + 2);
        }
    }

    #[tokio::test]
    async fn who_finds_no_place_to_wait_is_turned_away_at_once() {
        let hasher = Hasher::new(&settings()).unwrap();
        let (started, is_started) = std::sync::mpsc::channel();
        let (go_on, wait) = std::sync::mpsc::channel::<()>();
        let busy = hasher.clone();
        let first = tokio::spawn(async move {
            let work = move || {
                started.send(()).unwrap();
                wait.recv().unwrap();
            };
            busy.work(work).await
        });
        tokio::task::spawn_blocking(move || is_started.recv().unwrap())
            .await
            .unwrap();
        assert!(matches!(hasher.hash("x").await, Err(AuthError::Busy)));
        go_on.send(()).unwrap();
        first.await.unwrap().unwrap();
        assert!(hasher.hash("x").await.is_ok());
    }
}
