//! The queue of letters, and the task that sends them: out of the way of requests, and more than once if need be.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use chrono::{DateTime, Utc};
use lettre::message::header::{ContentTransferEncoding, ContentType};
use lettre::message::{Body, Mailbox, Message};
use lettre::{AsyncFileTransport, AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::letters::{self, Letter, Text};
use super::{is_private, smtp};
use crate::domain::clock::Clock;
use crate::domain::events::{Event, Events};
use crate::features::auth::domain::{Email, User, UserId};
use crate::features::auth::settings::AuthSettings;
use crate::features::auth::storage::{Link, Purpose, Store};
use crate::features::auth::token::Token;

/// The name of the event that a letter has left; its subject is the user.
const SENT: &str = "mail.sent";

/// Letters that may wait. More are dropped: whoever misses one asks again.
const QUEUE: usize = 1000;

/// Pauses between the tries to send one.
const PAUSES: [Duration; 3] = [
    Duration::from_secs(1),
    Duration::from_secs(10),
    Duration::from_mins(1),
];

/// Where letters are thrown in. A cheap handle.
#[derive(Clone)]
pub struct Outbox(mpsc::Sender<Letter>);

impl Outbox {
    fn open() -> (Self, mpsc::Receiver<Letter>) {
        let (outbox, letters) = mpsc::channel(QUEUE);
        (Self(outbox), letters)
    }

    /// Never waits.
    pub fn send(&self, letter: Letter) {
        if self.0.try_send(letter).is_err() {
            tracing::error!("a mail is dropped: {QUEUE} are waiting, or the service is stopping");
        }
    }
}

/// What sends the letters.
pub struct PostOffice {
    letters: mpsc::Receiver<Letter>,
    way: Way,
    from: Mailbox,
    /// What links begin with.
    origin: String,
    verify_ttl: Duration,
    reset_ttl: Duration,
    store: Store,
    events: Events,
    clock: Clock,
}

/// A letter with its address on it.
struct Mail {
    /// Whose account it is about.
    user: UserId,
    to: Email,
    text: Text,
}

enum Way {
    Server(AsyncSmtpTransport<Tokio1Executor>),
    Folder(PathBuf),
    /// Production without a server.
    None,
}

impl PostOffice {
    /// # Errors
    /// If the sender or the server is not one.
    pub fn open(
        settings: &AuthSettings,
        is_production: bool,
        origin: String,
        store: Store,
        events: Events,
        clock: Clock,
    ) -> anyhow::Result<(Outbox, Self)> {
        let (outbox, letters) = Outbox::open();
        let way = match &settings.mail.smtp {
            Some(url) if is_production && !is_private(url) => bail!(
                "auth.mail.smtp must be smtps://… or smtp://…?tls=required: links that set passwords go that way"
            ),
            Some(url) => Way::Server(smtp(url)?),
            None if is_production => Way::None,
            None => Way::Folder(settings.mail.dir.clone()),
        };
        let from = settings.mail.from.parse().context("auth.mail.from")?;
        let office = Self {
            letters,
            way,
            from,
            origin,
            verify_ttl: settings.verify_ttl,
            reset_ttl: settings.reset_ttl,
            store,
            events,
            clock,
        };
        Ok((outbox, office))
    }

    /// Sends until `stop`, and then what is waiting, once.
    pub async fn deliver_until(mut self, stop: CancellationToken) {
        if matches!(self.way, Way::None) {
            tracing::warn!(
                "auth.mail.smtp is not set: no mail is sent, so nobody can register or set another password"
            );
        }
        while let Some(Some(letter)) = stop.run_until_cancelled(self.letters.recv()).await {
            self.deliver(&letter, &stop).await;
        }
        while let Ok(letter) = self.letters.try_recv() {
            self.deliver(&letter, &stop).await;
        }
    }

    async fn deliver(&self, letter: &Letter, stop: &CancellationToken) {
        insist(stop, || self.try_to_deliver(letter)).await;
    }

    async fn try_to_deliver(&self, letter: &Letter) -> anyhow::Result<()> {
        let Some(mail) = self.write(letter).await? else {
            return Ok(());
        };
        let subject = mail.user;
        self.send(mail).await?;
        self.events.publish(Event {
            name: SENT,
            subject,
            at: self.clock.now(),
        });
        Ok(())
    }

    /// What the letter says and to whom; nothing, if there is nobody to say it to.
    async fn write(&self, letter: &Letter) -> anyhow::Result<Option<Mail>> {
        let user = match letter {
            Letter::Confirm(id)
            | Letter::Move(id, _)
            | Letter::Moving(id)
            | Letter::PasswordChanged(id) => self.store.find_user(*id).await?,
            Letter::Reset(email) | Letter::HasAccount(email) => self.owner_of(email).await?,
        };
        let Some(user) = user.filter(|user| user.is_active) else {
            return Ok(None);
        };
        let to = match letter {
            Letter::Move(_, email) => email.clone(),
            _ => user.email.clone(),
        };
        let link = Link {
            user: user.id,
            email: to.clone(),
        };
        let origin = self.origin.as_str();
        let text = match letter {
            Letter::Confirm(_) => {
                let (token, until) = self.add(&link, Purpose::Verify, self.verify_ttl).await?;
                letters::confirm(origin, &token, until)
            }
            Letter::Reset(_) => {
                let (token, until) = self.add(&link, Purpose::Reset, self.reset_ttl).await?;
                letters::reset(origin, &token, until)
            }
            // The owner hears of it, and who asks does not hear that there is one.
            Letter::Move(..) if self.is_confirmed(&to).await? => letters::has_account(origin),
            Letter::Move(..) => {
                let (token, until) = self.add(&link, Purpose::Verify, self.verify_ttl).await?;
                letters::change(origin, &token, until)
            }
            Letter::HasAccount(_) => letters::has_account(origin),
            Letter::Moving(_) => letters::moving(origin),
            Letter::PasswordChanged(_) => letters::password_changed(origin),
        };
        let user = user.id;
        Ok(Some(Mail { user, to, text }))
    }

    async fn owner_of(&self, email: &Email) -> anyhow::Result<Option<User>> {
        let found = self.store.find_credentials(email).await?;
        Ok(found.map(|(user, _)| user))
    }

    /// Whether somebody has shown that the address is theirs.
    async fn is_confirmed(&self, email: &Email) -> anyhow::Result<bool> {
        let owner = self.owner_of(email).await?;
        Ok(owner.is_some_and(|owner| owner.verified_at.is_some()))
    }

    async fn add(
        &self,
        link: &Link,
        purpose: Purpose,
        ttl: Duration,
    ) -> anyhow::Result<(Token, DateTime<Utc>)> {
        let (token, until) = (Token::random(), self.clock.now() + ttl);
        self.store.add_link(&token, link, purpose, until).await?;
        Ok((token, until))
    }

    async fn send(&self, Mail { to, text, .. }: Mail) -> anyhow::Result<()> {
        let to = Mailbox::new(None, to.as_str().parse()?);
        anyhow::ensure!(
            text.body.is_ascii(),
            "a letter has other characters than ASCII"
        );
        // As it is: quoted, a link would be broken wherever a mail is looked at as a file.
        let lines = text.body.replace('\n', "\r\n");
        let body = Body::dangerous_pre_encoded(lines.into(), ContentTransferEncoding::SevenBit);
        let message = Message::builder()
            .from(self.from.clone())
            .to(to)
            .subject(text.subject)
            .message_id(Some(format!(
                "<{}@{}>",
                Uuid::new_v4(),
                self.from.email.domain()
            )))
            .header(ContentType::TEXT_PLAIN)
            .body(body)?;
        match &self.way {
            Way::Server(server) => server
                .send(message)
                .await
                .map(drop)
                .context("the mail server"),
            Way::Folder(folder) => {
                std::fs::create_dir_all(folder).context("the folder of mails")?;
                let files = AsyncFileTransport::<Tokio1Executor>::new(folder);
                files
                    .send(message)
                    .await
                    .map(drop)
                    .context("the folder of mails")
            }
            Way::None => anyhow::bail!("auth.mail.smtp is not set"),
        }
    }
}

/// Tries until it succeeds, the last pause is over, or `stop`.
async fn insist<F>(stop: &CancellationToken, attempt: impl Fn() -> F)
where
    F: Future<Output = anyhow::Result<()>>,
{
    for pause in PAUSES {
        let Err(error) = attempt().await else {
            return;
        };
        tracing::warn!(
            error = format!("{error:#}"),
            "a mail could not be sent; trying again in {pause:?}"
        );
        let rest = tokio::time::sleep(pause);
        if stop.run_until_cancelled(rest).await.is_none() {
            return;
        }
    }
    if let Err(error) = attempt().await {
        tracing::error!(error = format!("{error:#}"), "a mail could not be sent");
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::time::Instant;

    use super::*;

    #[test]
    fn a_thousand_letters_may_wait_and_no_more() {
        let (outbox, letters) = Outbox::open();
        for waiting in (1..=1000).chain([1000]) {
            outbox.send(Letter::HasAccount(Email::parse("ada@example.com").unwrap()));
            assert_eq!(letters.len(), waiting);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_mail_is_tried_four_times_further_and_further_apart() {
        let begun = Instant::now();
        for (succeeds, expected, seconds) in [(1, 1, 0), (2, 2, 1), (4, 4, 71), (5, 4, 71)] {
            let (begun, made) = (Instant::now(), Cell::new(0));
            let attempt = async || {
                made.set(made.get() + 1);
                anyhow::ensure!(made.get() == succeeds, "the mail server is away");
                Ok(())
            };
            insist(&CancellationToken::new(), attempt).await;
            assert_eq!(made.get(), expected);
            assert_eq!(begun.elapsed(), Duration::from_secs(seconds));
        }
        let stopped = CancellationToken::new();
        stopped.cancel();
        insist(&stopped, async || anyhow::bail!("away")).await;
        assert!(begun.elapsed() < Duration::from_mins(3));
    }
}
