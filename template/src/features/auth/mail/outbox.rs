//! The queue of letters, and the task that sends them: out of the way of requests, and more than once if need be.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use chrono::{DateTime, Utc};
use lettre::message::header::{ContentTransferEncoding, ContentType};
use lettre::message::{Body, Mailbox, Message};
use lettre::{AsyncFileTransport, AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::letters::{self, Letter, Text};
use super::smtp;
use crate::domain::clock::Clock;
use crate::domain::events::{Event, Events};
use crate::features::auth::domain::User;
use crate::features::auth::settings::AuthSettings;
use crate::features::auth::storage::{Purpose, Store};
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
        let (outbox, letters) = mpsc::channel(QUEUE);
        let way = match &settings.mail.smtp {
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
        Ok((Outbox(outbox), office))
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
        for pause in PAUSES {
            let Err(error) = self.try_to_deliver(letter).await else {
                return;
            };
            tracing::warn!(
                error = format!("{error:#}"),
                "a mail could not be sent; trying again in {pause:?}"
            );
            if stop
                .run_until_cancelled(tokio::time::sleep(pause))
                .await
                .is_none()
            {
                return;
            }
        }
        if let Err(error) = self.try_to_deliver(letter).await {
            tracing::error!(error = format!("{error:#}"), "a mail could not be sent");
        }
    }

    async fn try_to_deliver(&self, letter: &Letter) -> anyhow::Result<()> {
        let Some((user, text)) = self.write(letter).await? else {
            return Ok(());
        };
        self.send(&user, text).await?;
        self.events.publish(Event {
            name: SENT,
            subject: user.id,
            at: self.clock.now(),
        });
        Ok(())
    }

    /// What the letter says; nothing, if there is nobody to say it to.
    async fn write(&self, letter: &Letter) -> anyhow::Result<Option<(User, Text)>> {
        let user = match letter {
            Letter::Confirm(id) => self.store.find_user(*id).await?,
            Letter::Reset(email) | Letter::HasAccount(email) => self
                .store
                .find_credentials(email)
                .await?
                .map(|(user, _)| user),
        };
        let Some(user) = user.filter(|user| user.is_active) else {
            return Ok(None);
        };
        let text = match letter {
            Letter::Confirm(_) => {
                let (token, until) = self.link(&user, Purpose::Verify, self.verify_ttl).await?;
                letters::confirm(&self.origin, &token, until)
            }
            Letter::Reset(_) => {
                let (token, until) = self.link(&user, Purpose::Reset, self.reset_ttl).await?;
                letters::reset(&self.origin, &token, until)
            }
            Letter::HasAccount(_) => letters::has_account(&self.origin),
        };
        Ok(Some((user, text)))
    }

    async fn link(
        &self,
        user: &User,
        purpose: Purpose,
        ttl: Duration,
    ) -> anyhow::Result<(Token, DateTime<Utc>)> {
        let (token, until) = (Token::random(), self.clock.now() + ttl);
        self.store.add_link(&token, user.id, purpose, until).await?;
        Ok((token, until))
    }

    async fn send(&self, user: &User, text: Text) -> anyhow::Result<()> {
        let to = Mailbox::new(None, user.email.as_str().parse()?);
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
