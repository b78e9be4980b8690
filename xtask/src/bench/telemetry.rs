//! `cargo xtask bench --telemetry`: what the log and the traces cost, against the same service without either.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use anyhow::{Context, Result};

use super::load::{Contender, need_tools, take_turns};
use super::servers::{UNLIMITED, released, start_service, wait_for, write_article};

/// Measures and prints.
pub fn run() -> Result<()> {
    need_tools()?;
    let project = released(&[("features", "auth,otel")])?;
    let collector = format!("http://{}", collect()?);
    let with = |more: &[(&'static str, &'static str)]| [&UNLIMITED[..], more].concat();
    let endpoint = ("APP__OTEL__ENDPOINT", collector.leak() as &str);
    let silent = start_service(&project, &with(&[("APP__LOG__LEVEL", "off")]))?;
    let logging = start_service(&project, &with(&[]))?;
    let tracing = start_service(&project, &with(&[endpoint]))?;
    let article = write_article(&silent, "A row")?;
    for (title, path) in [
        ("a page in memory", "/"),
        ("an article as JSON, one row", article.as_str()),
    ] {
        let mut contenders = [
            Contender::of_service("without log and traces", &silent, path),
            Contender::of_service("with its log", &logging, path),
            Contender::of_service("with its log, and traces as in production", &tracing, path),
        ];
        for contender in &contenders {
            wait_for(&contender.address, path, None)?;
        }
        take_turns(title, &mut contenders, None)?;
    }
    Ok(())
}

/// A collector that takes everything and does nothing with it; its address. It ends with the process.
fn collect() -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").context("the collector has no port")?;
    let address = listener.local_addr()?.to_string();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A connection that breaks is one the service opens again.
            thread::spawn(move || take_all(&stream).ok());
        }
    });
    Ok(address)
}

/// Answers every request on a connection.
fn take_all(mut stream: &TcpStream) -> Result<()> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let line = line.trim_end().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse()?;
        }
        if line.is_empty() {
            reader.read_exact(&mut vec![0; length])?;
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?;
            length = 0;
        }
    }
}
