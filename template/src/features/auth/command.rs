//! The subcommand `users`: what has to be possible before anybody can sign in.

use std::io::Read;

use anyhow::{Context, bail};
use clap::Subcommand;

use super::Auth;
use super::accounts::Registration;
use super::domain::{Email, Name, Password, Role, UserId};
use crate::domain::error::Invalid;
use crate::platform::Platform;
use crate::settings::Settings;

/// Bytes that are read of a password.
const LONGEST_INPUT: u64 = 4096;

#[derive(Subcommand)]
pub enum UsersCommand {
    /// Add an administrator; the password is read from standard input
    AddAdmin {
        #[arg(long)]
        email: String,
        /// What to call them; unset: the address
        #[arg(long)]
        name: Option<String>,
    },
}

impl UsersCommand {
    /// # Errors
    /// If a value is refused, the address has an account, or the database does not answer.
    pub async fn run(&self, settings: Settings) -> anyhow::Result<()> {
        let Self::AddAdmin { email, name } = self;
        let name = name.as_deref().unwrap_or(email);
        let password = read_password()?;
        // Without the cache, which a running service has in its hands.
        let platform = Platform::offline(settings)?;
        let (database, settings) = (&platform.database, &platform.settings.database);
        database.wait_until_ready(settings).await?;
        if settings.migrate_on_start {
            database.migrate().await?;
        } else {
            database.check_migrated().await?;
        }
        let new = NewUser {
            email,
            name,
            password: &password,
            role: Role::Admin,
        };
        let added = new.add(&platform).await;
        platform.close().await;
        println!("administrator added: {}", added?);
        Ok(())
    }
}

/// The first line of standard input.
fn read_password() -> anyhow::Result<String> {
    let mut text = String::new();
    let input = std::io::stdin()
        .lock()
        .take(LONGEST_INPUT)
        .read_to_string(&mut text);
    input.context("the password cannot be read from standard input")?;
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() {
        bail!("the password is read from standard input, where there is none");
    }
    Ok(line.to_owned())
}

/// An account whose address somebody vouches for.
pub struct NewUser<'a> {
    pub email: &'a str,
    pub name: &'a str,
    pub password: &'a str,
    pub role: Role,
}

impl NewUser<'_> {
    /// # Errors
    /// If a value is refused, the address has an account, or the database does not answer.
    pub async fn add(&self, platform: &Platform) -> anyhow::Result<UserId> {
        let (auth, _) = Auth::open(platform)?;
        let refused =
            |what: &'static str| move |rule: Invalid| anyhow::anyhow!("the {what} {rule}");
        let email = Email::parse(self.email).map_err(refused("e-mail address"))?;
        let name = Name::parse(self.name).map_err(refused("name"))?;
        let password = Password::parse(self.password, &email, &name);
        let new = Registration {
            password: password.map_err(refused("password"))?,
            email,
            name,
        };
        Ok(auth.accounts.add_confirmed(new, self.role).await?)
    }
}

/// An access token for the account with this address, without its password: for tools that hold the secret anyway.
///
/// # Errors
/// If there is no such account, or the database does not answer.
pub async fn access_token_for(platform: &Platform, email: &str) -> anyhow::Result<String> {
    let (auth, _) = Auth::open(platform)?;
    let email = Email::parse(email).map_err(|rule| anyhow::anyhow!("the e-mail address {rule}"))?;
    let found = auth.accounts.store.find_credentials(&email).await?;
    let (user, _) = found.context("there is no such account")?;
    let tokens = auth.sessions.open_for_program(user.id, "a tool").await?;
    Ok(tokens.access)
}
