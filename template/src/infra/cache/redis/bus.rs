//! The news of what was invalidated: a table in Redis that numbers every invalidation, and a channel that tells the nodes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use redis::Script;
use uuid::Uuid;

use super::link::Session;
use crate::infra::cache::tags::{Generations, Table, TagId};

static ANNOUNCE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("announce.lua")));

/// How many tags the table in Redis holds before it is begun anew: a node that joins reads all of them.
pub(super) const MOST_TAGS: usize = 1 << 18;

/// How many tags one call tells of: a script keeps all other clients of the server waiting.
pub(super) const BATCH: usize = 1000;

const TAG: usize = size_of::<u64>();

/// Shared by every build of the service, so that the nodes of an old one and of a new one hear of each other.
pub(super) struct Bus {
    /// This node, which knows its own news.
    node: [u8; 16],
    channel: String,
    table: String,
    generations: Arc<Generations>,
    /// The last generation that Redis gave, to this node or another.
    heard: AtomicU64,
}

/// The answer to an announcement: the generation it got, the last one before it, the floor of the table, and whether the
/// table was begun anew.
type Reply = (u64, u64, u64, bool);

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

impl Bus {
    pub fn new(prefix: &str, generations: Arc<Generations>) -> Self {
        Self {
            node: Uuid::now_v7().into_bytes(),
            channel: format!("{prefix}:invalidations"),
            // The braces give each service a node of its own in a cluster.
            table: format!("{{{prefix}:invalidations}}"),
            generations,
            heard: AtomicU64::new(0),
        }
    }

    pub fn channel(&self) -> &str {
        &self.channel
    }

    /// Whether generation `born` is one that Redis gave, and not one that this node is only about to ask for.
    pub fn has_heard_of(&self, born: u64) -> bool {
        born <= self.heard.load(Ordering::SeqCst)
    }

    /// Learns from a message of another node. Says whether the message could be read.
    pub fn hear(&self, message: &[u8]) -> bool {
        let Some((node, generation, tags)) = parse(message) else {
            return false;
        };
        if *node != self.node {
            self.learn(&tags, generation);
        }
        true
    }

    /// Tells the others of up to [`BATCH`] tags that this node has invalidated.
    pub async fn tell(&self, session: &Session, tags: &[TagId]) -> anyhow::Result<()> {
        let least = self.generations.current();
        let (generation, before, _, is_new) = self.announce(session, tags, least).await?;
        // Entries of other nodes may be as young as the generation before. This node's own are younger than what it noted
        // itself, and stay if that is enough.
        let is_noted = |&tag| self.generations.is_outdated(before, &[tag]);
        if is_new {
            self.learn(&[TagId::EVERYTHING], generation);
        } else if tags.iter().all(is_noted) {
            self.advance(generation);
        } else {
            self.learn(tags, generation);
        }
        Ok(())
    }

    /// Learns everything that was invalidated before. Of what is invalidated meanwhile, messages must be coming in already.
    pub async fn join(&self, session: &Session) -> anyhow::Result<()> {
        let mut table = self.read_table(session).await?;
        // After the reading, because a table that was full meanwhile has lost its tags, and has a floor instead.
        let least = self.generations.current();
        let (_, _, floor, _) = self.announce(session, &[], least).await?;
        table.floor = floor;
        self.generations.merge(&table);
        // Merging raised the generation, and Redis has to give those that this node stores entries of.
        let least = self.generations.current();
        let (generation, ..) = self.announce(session, &[], least).await?;
        self.advance(generation);
        Ok(())
    }

    async fn announce(
        &self,
        session: &Session,
        tags: &[TagId],
        least: u64,
    ) -> anyhow::Result<Reply> {
        let tags: Vec<u8> = tags.iter().flat_map(|tag| tag.0.to_be_bytes()).collect();
        let reply = session
            .run(
                ANNOUNCE
                    .key(&self.table)
                    .arg(&self.channel)
                    .arg(&self.node)
                    .arg(least)
                    .arg(tags)
                    .arg(MOST_TAGS),
            )
            .await?;
        Ok(reply)
    }

    /// Piece by piece: read at once, a full table would keep the server busy for a while.
    async fn read_table(&self, session: &Session) -> anyhow::Result<Table> {
        let mut table = Table::default();
        let mut cursor = 0_u64;
        loop {
            let mut scan = redis::cmd("HSCAN");
            scan.arg(&self.table).arg(cursor).arg("COUNT").arg(BATCH);
            let (next, fields): (u64, Fields) = session.query(&scan).await?;
            table
                .invalidated
                .extend(fields.iter().filter_map(|(name, value)| {
                    // The fields that are no tags have shorter names.
                    let tag = TagId(u64::from_be_bytes(name.as_slice().try_into().ok()?));
                    Some((tag, std::str::from_utf8(value).ok()?.parse().ok()?))
                }));
            if next == 0 {
                return Ok(table);
            }
            cursor = next;
        }
    }

    fn learn(&self, tags: &[TagId], generation: u64) {
        let invalidated = tags.iter().map(|tag| (*tag, generation)).collect();
        self.generations.merge(&Table {
            invalidated,
            ..Table::default()
        });
        self.heard.fetch_max(generation, Ordering::SeqCst);
    }

    fn advance(&self, generation: u64) {
        self.generations.merge(&Table {
            last: generation,
            ..Table::default()
        });
        self.heard.fetch_max(generation, Ordering::SeqCst);
    }
}

/// The layout: the node (16 bytes), the generation, then the tags (8 bytes each, big-endian).
fn parse(message: &[u8]) -> Option<(&[u8; 16], u64, Vec<TagId>)> {
    let (node, rest) = message.split_first_chunk()?;
    let (generation, tags) = rest.split_first_chunk()?;
    let (tags, rest) = tags.as_chunks::<TAG>();
    let tags = tags.iter().map(|tag| TagId(u64::from_be_bytes(*tag)));
    rest.is_empty()
        .then(|| (node, u64::from_be_bytes(*generation), tags.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_message_is_it_is_understood_whole_or_not_at_all() {
        let random = &mut fastrand::Rng::with_seed(1);
        for _ in 0..10_000 {
            let length = random.usize(..100);
            let message: Vec<u8> = std::iter::repeat_with(|| random.u8(..))
                .take(length)
                .collect();
            let tags = parse(&message).map(|(_, _, tags)| tags.len());
            let rest = length.checked_sub(24);
            let whole = rest
                .filter(|rest| rest.is_multiple_of(TAG))
                .map(|rest| rest / TAG);
            assert_eq!(tags, whole);
        }
    }
}
