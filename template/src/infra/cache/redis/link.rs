//! The connection: made in the background, believed only while it hears every invalidation, replaced when it falls silent.

use std::collections::HashSet;
use std::pin::pin;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use anyhow::{Context, bail};
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, FromRedisValue, IntoConnectionInfo, ProtocolVersion,
    PushInfo, PushKind, RedisResult, ScriptInvocation, Value,
};
use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::bus::{BATCH, Bus};
use crate::infra::cache::tags::TagId;
use crate::settings::Secret;

/// How often a silent server is asked whether it is there.
const HEARTBEAT: Duration = Duration::from_secs(2);

/// How many timeouts a server may be silent before it is given up, and with it everything in memory.
const PATIENCE: u32 = 4;

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const MOST_PAUSE: Duration = Duration::from_secs(2);

/// How many tags wait to be announced before it is simpler to announce everything.
const MOST_UNSENT: usize = 100_000;

pub(super) struct Link {
    pub bus: Arc<Bus>,
    url: Secret,
    timeout: Duration,
    on_resync: Arc<dyn Fn() + Send + Sync>,
    /// Raised whenever there is a live session.
    is_live: Notify,
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    live: Option<Arc<Session>>,
    /// Empty while there is a live session.
    unsent: Unsent,
    /// What was taken from there is not announced yet.
    is_telling: bool,
}

/// One connection for commands and messages: what was invalidated before a reply was made is heard before the reply is.
pub(super) struct Session {
    connection: MultiplexedConnection,
    ended: CancellationToken,
    /// Raised by a command that took too long.
    doubt: Arc<Notify>,
}

impl Link {
    pub fn new(
        url: Secret,
        timeout: Duration,
        bus: Bus,
        on_resync: Arc<dyn Fn() + Send + Sync>,
    ) -> Self {
        Self {
            bus: Arc::new(bus),
            url,
            timeout,
            on_resync,
            is_live: Notify::new(),
            state: RwLock::default(),
        }
    }

    /// The session, if there is a live one.
    pub fn session(&self) -> anyhow::Result<Arc<Session>> {
        match &self.read().live {
            Some(session) if !session.ended.is_cancelled() => Ok(Arc::clone(session)),
            _ => bail!("not connected to Redis"),
        }
    }

    pub fn has_session(&self) -> bool {
        let state = self.read();
        state
            .live
            .as_ref()
            .is_some_and(|session| !session.ended.is_cancelled())
    }

    /// Connects and reconnects, for ever.
    pub async fn keep(&self) {
        let mut pause = FIRST_PAUSE;
        let mut failures = 0_u32;
        loop {
            match self.open().await {
                Ok(session) => {
                    tracing::info!("connected to Redis at {}", self.url);
                    failures = 0;
                    let started = Instant::now();
                    self.watch(&session).await;
                    self.end();
                    tracing::warn!("lost the connection to Redis");
                    if started.elapsed() > HEARTBEAT {
                        pause = FIRST_PAUSE;
                    }
                }
                Err(error) => {
                    failures = failures.saturating_add(1);
                    let error = format!("{error:#}");
                    if failures == 1 {
                        tracing::warn!(error, "Redis at {} cannot be used", self.url);
                    } else {
                        tracing::debug!(error, failures, "Redis still cannot be used");
                    }
                }
            }
            tokio::time::sleep(jittered(pause)).await;
            pause = (pause * 2).min(MOST_PAUSE);
        }
    }

    /// Ends the session, if there is one.
    pub fn end(&self) {
        self.write().end();
    }

    /// Tells the other nodes of `tags`, or notes them for the start of the next session.
    pub async fn announce(&self, tags: &[TagId]) -> anyhow::Result<()> {
        let session = {
            // Under one lock, so that no session starts in between without them.
            let mut state = self.write();
            match &state.live {
                Some(session) if !session.ended.is_cancelled() => Arc::clone(session),
                _ => {
                    state.unsent.add(tags);
                    state.end();
                    bail!("not connected to Redis");
                }
            }
        };
        self.tell(&session, tags).await
    }

    /// Returns when nothing is left to be announced.
    pub async fn told(&self) {
        loop {
            let mut is_live = pin!(self.is_live.notified());
            is_live.as_mut().enable();
            {
                let state = self.read();
                if state.unsent.0.is_empty() && !state.is_telling {
                    return;
                }
            }
            is_live.await;
        }
    }

    async fn tell(&self, session: &Session, tags: &[TagId]) -> anyhow::Result<()> {
        let mut untold = Untold { link: self, tags };
        while !untold.tags.is_empty() {
            let (batch, rest) = untold.tags.split_at(untold.tags.len().min(BATCH));
            self.bus.tell(session, batch).await?;
            untold.tags = rest;
        }
        Ok(())
    }

    /// Every step in this order: what is invalidated after the subscription is heard, what was before is in the table, what
    /// this node could not announce is announced, and only then is anything read.
    async fn open(&self) -> anyhow::Result<Arc<Session>> {
        let session = Arc::new(self.connect().await?);
        self.bus.join(&session).await.context("the table")?;
        let forget = Arc::clone(&self.on_resync);
        spawn_blocking(move || forget()).await?;
        loop {
            let unsent = {
                let mut state = self.write();
                if state.unsent.0.is_empty() {
                    state.live = Some(Arc::clone(&session));
                    state.is_telling = false;
                    self.is_live.notify_waiters();
                    return Ok(session);
                }
                state.is_telling = true;
                state.unsent.take()
            };
            self.tell(&session, &unsent).await.context("unsent tags")?;
        }
    }

    async fn connect(&self) -> anyhow::Result<Session> {
        let info = self.url.expose().into_connection_info()?;
        let resp3 = info
            .redis_settings()
            .clone()
            .set_protocol(ProtocolVersion::RESP3);
        let client = Client::open(info.set_redis_settings(resp3))?;
        let ended = CancellationToken::new();
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.timeout * PATIENCE))
            .set_response_timeout(Some(self.timeout))
            .set_push_sender(listener(Arc::clone(&self.bus), ended.clone()));
        let mut connection = client
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        connection.subscribe(self.bus.channel()).await?;
        Ok(Session {
            connection,
            ended,
            doubt: Arc::default(),
        })
    }

    /// Returns when the session has ended.
    async fn watch(&self, session: &Session) {
        loop {
            tokio::select! {
                () = session.ended.cancelled() => return,
                () = session.doubt.notified() => {}
                () = tokio::time::sleep(HEARTBEAT) => {}
            }
            if let Err(error) = session.ping(self.timeout * PATIENCE).await {
                tracing::debug!(%error, "Redis is silent");
                return;
            }
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn end(&mut self) {
        if let Some(session) = self.live.take() {
            session.ended.cancel();
        }
    }
}

impl Session {
    pub async fn query<T: FromRedisValue>(&self, command: &Cmd) -> RedisResult<T> {
        let reply = command.query_async(&mut self.connection.clone()).await;
        self.checked(reply)
    }

    pub async fn run<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> RedisResult<T> {
        let reply = script.invoke_async(&mut self.connection.clone()).await;
        self.checked(reply)
    }

    async fn ping(&self, timeout: Duration) -> RedisResult<()> {
        let mut connection = self.connection.clone();
        connection.set_response_timeout(timeout);
        redis::cmd("PING").query_async(&mut connection).await
    }

    fn checked<T>(&self, reply: RedisResult<T>) -> RedisResult<T> {
        if reply.as_ref().is_err_and(redis::RedisError::is_timeout) {
            self.doubt.notify_one();
        }
        reply
    }
}

/// Called with every message as it is read, before any reply that comes after it is handed out.
fn listener(
    bus: Arc<Bus>,
    ended: CancellationToken,
) -> impl Fn(PushInfo) -> Result<(), std::convert::Infallible> {
    move |push| {
        let is_well = match (push.kind, push.data.as_slice()) {
            (PushKind::Message, [_, Value::BulkString(message)]) => bus.hear(message),
            (PushKind::Message | PushKind::Disconnection, _) => false,
            _ => true,
        };
        // A message that cannot be read is made up for by the table, at the start of the next session.
        if !is_well {
            ended.cancel();
        }
        Ok(())
    }
}

/// Tags on their way to the other nodes. Dropped before they are there, because of an error or because the caller gave up,
/// they are announced again at the start of the next session.
struct Untold<'a> {
    link: &'a Link,
    tags: &'a [TagId],
}

impl Drop for Untold<'_> {
    fn drop(&mut self) {
        if !self.tags.is_empty() {
            let mut state = self.link.write();
            state.unsent.add(self.tags);
            state.end();
        }
    }
}

/// What could not be announced.
#[derive(Default)]
struct Unsent(HashSet<TagId>);

impl Unsent {
    fn add(&mut self, tags: &[TagId]) {
        self.0.extend(tags);
        if self.0.len() > MOST_UNSENT || self.0.contains(&TagId::EVERYTHING) {
            self.0 = HashSet::from([TagId::EVERYTHING]);
        }
    }

    fn take(&mut self) -> Vec<TagId> {
        std::mem::take(&mut self.0).into_iter().collect()
    }
}

/// Half to one and a half times as long, so that the nodes of a fleet do not keep step.
pub(super) fn jittered(duration: Duration) -> Duration {
    duration.mul_f64(0.5 + fastrand::f64())
}
