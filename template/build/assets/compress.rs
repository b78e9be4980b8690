//! Text in the encodings that browsers take, each as small as it gets: it is made once and sent often.

use std::convert::Infallible;
use std::io::{self, Write};

use brotli::enc::BrotliEncoderParams;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::names;
use super::set::Set;
use super::store::Store;

/// Smaller files fit into one packet anyway. Bytes.
const WORTH_ENCODING: usize = 512;

const ZSTD_LEVEL: i32 = 19;

type Encoder = fn(&[u8]) -> io::Result<Vec<u8>>;

const ENCODERS: [(&str, Encoder); 3] = [("brotli", brotli), ("zstd", zstd), ("gzip", gzip)];

pub fn all(set: &mut Set, store: &mut Store) {
    for asset in &mut set.assets {
        if asset.content.len() < WORTH_ENCODING || !names::is_text(asset.content_type) {
            continue;
        }
        for (encoded, (name, encode)) in asset.encoded.iter_mut().zip(ENCODERS) {
            let content = &asset.content;
            // One that is not smaller, or fails, is kept as nothing.
            let Ok(made) = store.get_or_make(name, &asset.path, &[content], || {
                let made = encode(content).unwrap_or_default();
                Ok::<_, Infallible>(if made.len() < content.len() {
                    made
                } else {
                    Vec::new()
                })
            });
            *encoded = Some(made).filter(|made| !made.is_empty());
        }
    }
}

fn brotli(content: &[u8]) -> io::Result<Vec<u8>> {
    let parameters = BrotliEncoderParams {
        quality: 11,
        lgwin: 22,
        size_hint: content.len(),
        ..Default::default()
    };
    let mut encoded = Vec::new();
    brotli::BrotliCompress(&mut &*content, &mut encoded, &parameters)?;
    Ok(encoded)
}

fn zstd(content: &[u8]) -> io::Result<Vec<u8>> {
    zstd::bulk::compress(content, ZSTD_LEVEL)
}

fn gzip(content: &[u8]) -> io::Result<Vec<u8>> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(content)?;
    gzip.finish()
}
