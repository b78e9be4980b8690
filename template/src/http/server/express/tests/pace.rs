//! How long a client may take to say something, and to take what it is told.

use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::time::Instant;

use super::{KEPT, OTHER, Talk, first_answer, settings};

#[tokio::test(start_paused = true)]
async fn a_connection_has_its_idle_time_after_every_answer() {
    let idle = settings().idle_timeout;
    let mut talk = Talk::new(4096);
    for message in [KEPT, KEPT, OTHER, KEPT, KEPT] {
        talk.ask(message).await;
        tokio::time::sleep(idle.mul_f32(0.9)).await;
    }
    let last = Instant::now();
    assert!(talk.is_closed().await);
    let waited = last.elapsed() + idle.mul_f32(0.9);
    assert!(waited >= idle && waited < idle.mul_f32(1.1), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_does_not_come_to_its_end_has_the_time_for_heads() {
    let settings = settings();
    for before in [&[KEPT][..], &[OTHER], &[OTHER, KEPT], &[KEPT, KEPT]] {
        let mut talk = Talk::new(4096);
        for message in before {
            talk.ask(message).await;
        }
        tokio::time::sleep(settings.idle_timeout / 2).await;
        talk.send(b"GET /kept/3 HT").await;
        let begun = Instant::now();
        assert!(talk.is_closed().await);
        let waited = begun.elapsed();
        assert!(
            waited <= settings.read_header_timeout.mul_f32(1.1),
            "{waited:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_is_given_up() {
    let mut talk = Talk::new(64);
    talk.send(b"GET /kept/100000 HTTP/1.1\r\nhost: x\r\n\r\n")
        .await;
    tokio::time::sleep(settings().idle_timeout.mul_f32(1.1)).await;
    let mut rest = Vec::new();
    talk.stream.read_to_end(&mut rest).await.expect("an end");
    assert!(rest.len() <= 64);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_an_answer_slowly_gets_all_of_it() {
    let mut talk = Talk::new(64);
    let length = 100_000;
    talk.send(format!("GET /kept/{length} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes())
        .await;
    let begun = Instant::now();
    let body = loop {
        if let Some((body, _)) = first_answer(&talk.read) {
            break body;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let read = talk.stream.read_buf(&mut talk.read).await;
        assert_ne!(read.expect("more"), 0, "after {} bytes", talk.read.len());
    };
    assert_eq!(body.len(), length);
    assert!(begun.elapsed() > 10 * settings().idle_timeout);
}
