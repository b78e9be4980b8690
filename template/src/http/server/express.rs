//! The short way of an HTTP/1 request whose answer is at hand: looked up and written as soon as it is read.
//!
//! hyper drives a connection and asks this one for bytes. Between two messages, and only there, they are looked at: a plain
//! request that has come as a whole and is answered here never gets to hyper. Everything else is passed on as it came.

use std::cell::{Cell, RefCell};
use std::io::{self, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::SystemTime;

use axum::http::header::{CONTENT_LENGTH, DATE};
use axum::http::{Response, StatusCode};
use bytes::{Buf, Bytes};
use http_body_util::Full;
use httpdate::HttpDate;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::head::{self, Head};
use super::timer::Watched;
use super::wire::{Duplex, Wire};
use super::{Answer, Client};
use crate::http::pieces::LARGEST;

thread_local! {
    /// The answer that is being written.
    static ANSWER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static DATE_NOW: Cell<(u64, [u8; 29])> = const { Cell::new((0, [b' '; 29])) };
}

/// Requests that are answered before whatever else waits in the thread, and a stop, get their turn.
const MOST_AT_ONCE: usize = 16;

/// What is known of the bytes that come next.
enum Next {
    /// They begin a message.
    Message,
    /// They belong to one that hyper has, as many as these.
    Rest(u64),
    /// Nothing.
    Unknown,
}

/// A connection as hyper reads and writes it.
pub(super) struct Express<S, A> {
    wire: Wire<S>,
    client: Arc<Client>,
    service: A,
    watched: Arc<Watched>,
    next: Next,
    /// What of an answer has not been taken by the client yet.
    unsent: Unsent,
}

#[derive(Default)]
struct Unsent {
    head: Bytes,
    body: Bytes,
    /// Whether encryption may hold something back.
    is_held: bool,
    /// Whether it had to be waited for.
    is_late: bool,
}

impl<S: Duplex, A: Answer> Express<S, A> {
    pub fn new(wire: Wire<S>, client: Arc<Client>, service: A, watched: Arc<Watched>) -> Self {
        Self {
            wire,
            client,
            service,
            watched,
            next: Next::Message,
            unsent: Unsent::default(),
        }
    }

    /// Answers what has been `read`, if that can be done at once; else notes what hyper gets to know with it.
    fn answer(&mut self, context: &mut Context<'_>, read: &[u8]) -> io::Result<bool> {
        let length = read.len() as u64;
        let mut room = head::room();
        let head = match self.next {
            Next::Message => Head::read(read, &mut room),
            Next::Rest(rest) => {
                self.next = rest.checked_sub(length).map_or(Next::Unknown, Next::Rest);
                return Ok(false);
            }
            Next::Unknown => return Ok(false),
        };
        if let Some(head) = &head
            && head.length == length
            && let Some(plain) = &head.plain
            && let Some(answer) = self.service.at_hand(&self.client, plain)
        {
            self.watched.answered(Instant::now());
            self.send(context, answer)?;
            return Ok(true);
        }
        let rest = head.and_then(|head| head.length.checked_sub(length));
        self.next = rest.map_or(Next::Unknown, Next::Rest);
        Ok(false)
    }

    fn send(&mut self, context: &mut Context<'_>, answer: Response<Full<Bytes>>) -> io::Result<()> {
        ANSWER.with_borrow_mut(|bytes| {
            bytes.clear();
            self.unsent.body = write(bytes, answer)?;
            let sent = match Pin::new(&mut self.wire).poll_write(context, bytes) {
                Poll::Ready(sent) => sent?,
                Poll::Pending => 0,
            };
            self.unsent.head = Bytes::copy_from_slice(&bytes[sent..]);
            self.unsent.is_held = true;
            Ok(())
        })
    }

    /// What was answered here goes out before anything else.
    fn poll_unsent(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Unsent {
            head,
            body,
            is_held,
            is_late,
        } = &mut self.unsent;
        for part in [head, body] {
            while part.has_remaining() {
                let sent = ready!(Pin::new(&mut self.wire).poll_write(context, part))?;
                if sent == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                part.advance(sent);
                // A client that takes it slowly is not idle.
                self.watched.answered(Instant::now());
            }
        }
        if *is_held {
            let flushed = Pin::new(&mut self.wire).poll_flush(context)?;
            *is_late |= flushed.is_pending();
            ready!(flushed);
            *is_held = false;
            if std::mem::take(is_late) {
                self.watched.answered(Instant::now());
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// Writes an answer as hyper does. A body that is too long to be copied behind the head is returned.
fn write(bytes: &mut Vec<u8>, answer: Response<Full<Bytes>>) -> io::Result<Bytes> {
    let (head, body) = answer.into_parts();
    let mut body = body.into_inner().unwrap_or_default();
    let reason = head.status.canonical_reason().unwrap_or_default();
    for part in ["HTTP/1.1 ", head.status.as_str(), " ", reason, "\r\n"] {
        bytes.extend_from_slice(part.as_bytes());
    }
    let (mut has_length, mut has_date) = (head.status == StatusCode::NOT_MODIFIED, false);
    for (name, value) in &head.headers {
        has_length |= name == CONTENT_LENGTH;
        has_date |= name == DATE;
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            bytes.extend_from_slice(part);
        }
    }
    if !has_length {
        write!(bytes, "content-length: {}\r\n", body.len())?;
    }
    if !has_date {
        for part in [&b"date: "[..], &date(), b"\r\n"] {
            bytes.extend_from_slice(part);
        }
    }
    bytes.extend_from_slice(b"\r\n");
    if body.len() <= LARGEST {
        bytes.extend_from_slice(&body);
        body.clear();
    }
    Ok(body)
}

/// Written once in a second.
fn date() -> [u8; 29] {
    let now = SystemTime::now();
    let second = now
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |now| now.as_secs());
    let (written, mut text) = DATE_NOW.get();
    if written != second {
        // As long for every date that a clock can show.
        let _ = write!(&mut text[..], "{}", HttpDate::from(now));
        DATE_NOW.set((second, text));
    }
    text
}

impl<S: Duplex, A: Answer> AsyncRead for Express<S, A> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        for _ in 0..MOST_AT_ONCE {
            ready!(this.poll_unsent(context))?;
            let before = buffer.filled().len();
            ready!(Pin::new(&mut this.wire).poll_read(context, buffer))?;
            let read = &buffer.filled()[before..];
            if read.is_empty() || !this.answer(context, read)? {
                return Poll::Ready(Ok(()));
            }
            buffer.set_filled(before);
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<S: Duplex, A: Answer> AsyncWrite for Express<S, A> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_unsent(context))?;
        Pin::new(&mut self.wire).poll_write(context, bytes)
    }

    /// hyper asks for this when it has nothing left to write.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_unsent(context))?;
        ready!(Pin::new(&mut self.wire).poll_flush(context))?;
        if matches!(self.next, Next::Rest(0)) && self.watched.has_ended() {
            self.next = Next::Message;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_unsent(context))?;
        Pin::new(&mut self.wire).poll_shutdown(context)
    }
}

#[cfg(test)]
pub(super) mod tests;
