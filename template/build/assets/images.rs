//! Pictures: in several widths, so that a phone does not load what a large screen needs.
//!
//! In development they are left as they are.

use std::cell::OnceCell;
use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::imageops::FilterType;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader};

use super::Mode;
use super::fault::Fault;
use super::names;
use super::set::{Asset, Picture, Set};
use super::sources::{Source, Sources, extension};
use super::store::Store;

const EXTENSIONS: &[&str] = &["jpg", "jpeg", "png"];

/// In pixels. A picture is never made wider than it is.
const WIDTHS: [u32; 3] = [480, 960, 1440];

/// Of WebP, out of 100.
const WEBP_QUALITY: f32 = 78.0;
const JPEG_QUALITY: u8 = 82;

/// More pixels than any camera takes: a small file can claim to be huge.
const MOST_PIXELS: u64 = 100_000_000;

pub fn is_image(path: &str) -> bool {
    EXTENSIONS.contains(&extension(path).as_str())
}

pub fn add(sources: &Sources, set: &mut Set, store: &mut Store) -> Result<(), Vec<Fault>> {
    let mut faults = Vec::new();
    for (path, source) in sources.with_extension(EXTENSIONS) {
        let added = add_one(path, source, set, store);
        faults.extend(added.map_err(|error| Fault::of_file(path, error)).err());
    }
    if faults.is_empty() {
        Ok(())
    } else {
        Err(faults)
    }
}

fn add_one(path: &str, source: &Source, set: &mut Set, store: &mut Store) -> Result<(), String> {
    let (width, height) = size(&source.content)?;
    if set.mode == Mode::Development {
        let name = names::published(path, &source.content, set.mode);
        let mut asset = Asset::new(Some(path), name, source.content.clone());
        asset.picture = Some(Picture {
            width,
            height,
            versions: Vec::new(),
        });
        set.add(asset);
        return Ok(());
    }
    let decoded = OnceCell::new();
    let pixels = || -> Result<&DynamicImage, String> {
        if decoded.get().is_none() {
            let _ = decoded.set(decode(&source.content)?);
        }
        decoded
            .get()
            .ok_or_else(|| "it cannot be decoded".to_owned())
    };
    let hash = source.hash.to_le_bytes();
    let mut versions = Vec::new();
    for wanted in widths(width) {
        let content = store.get_or_make(
            "webp",
            &format!("{path} {wanted}"),
            &[&hash, &wanted.to_le_bytes()],
            || webp(pixels()?, wanted),
        )?;
        let marked = names::with_mark(path, &format!("-{wanted}"));
        let marked = names::with_extension(&marked, "webp");
        let name = names::published(&marked, &content, set.mode);
        versions.push((wanted, name.clone()));
        set.add(Asset::new(None, name, content));
    }
    // For browsers without WebP, for feeds and previews. Written anew: a photo may say where it was taken.
    let content = store.get_or_make("picture", path, &[&hash], || {
        rewritten(pixels()?, path, &source.content)
    })?;
    let name = names::published(path, &content, set.mode);
    let mut asset = Asset::new(Some(path), name, content);
    asset.picture = Some(Picture {
        width,
        height,
        versions,
    });
    set.add(asset);
    Ok(())
}

/// The usual ones below the width of the picture, and that.
fn widths(width: u32) -> Vec<u32> {
    let mut widths: Vec<u32> = WIDTHS.into_iter().filter(|usual| *usual < width).collect();
    if widths.len() < WIDTHS.len() {
        widths.push(width);
    }
    widths
}

fn reader(content: &[u8]) -> Result<impl ImageDecoder + '_, String> {
    let reader = ImageReader::new(Cursor::new(content)).with_guessed_format();
    let reader = reader.map_err(|error| error.to_string())?;
    reader.into_decoder().map_err(|error| error.to_string())
}

/// Width and height as they are seen.
fn size(content: &[u8]) -> Result<(u32, u32), String> {
    let mut decoder = reader(content)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > MOST_PIXELS {
        return Err(format!(
            "it has {width} × {height} pixels, which is too many"
        ));
    }
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let lies = matches!(
        orientation,
        Orientation::Rotate90
            | Orientation::Rotate270
            | Orientation::Rotate90FlipH
            | Orientation::Rotate270FlipH
    );
    Ok(if lies {
        (height, width)
    } else {
        (width, height)
    })
}

fn decode(content: &[u8]) -> Result<DynamicImage, String> {
    let mut decoder = reader(content)?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut pixels = DynamicImage::from_decoder(decoder).map_err(|error| error.to_string())?;
    pixels.apply_orientation(orientation);
    Ok(pixels)
}

fn webp(pixels: &DynamicImage, width: u32) -> Result<Vec<u8>, String> {
    let resized = resized(pixels, width);
    let (width, height) = (resized.width(), resized.height());
    let (rgba, rgb);
    let encoder = if resized.color().has_alpha() {
        rgba = resized.to_rgba8();
        webp::Encoder::from_rgba(&rgba, width, height)
    } else {
        rgb = resized.to_rgb8();
        webp::Encoder::from_rgb(&rgb, width, height)
    };
    match encoder.encode_simple(false, WEBP_QUALITY) {
        Ok(made) => Ok(made.to_vec()),
        Err(error) => Err(format!("it cannot be made a WebP: {error:?}")),
    }
}

fn rewritten(pixels: &DynamicImage, path: &str, original: &[u8]) -> Result<Vec<u8>, String> {
    let mut content = Vec::new();
    if extension(path) == "png" {
        let written = pixels.write_to(&mut Cursor::new(&mut content), ImageFormat::Png);
        written.map_err(|error| error.to_string())?;
        // Somebody may have taken more trouble over it.
        return Ok(if content.len() < original.len() {
            content
        } else {
            original.to_owned()
        });
    }
    let encoder = JpegEncoder::new_with_quality(&mut content, JPEG_QUALITY);
    let written = DynamicImage::from(pixels.to_rgb8()).write_with_encoder(encoder);
    written.map_err(|error| error.to_string())?;
    Ok(content)
}

fn resized(pixels: &DynamicImage, width: u32) -> DynamicImage {
    if width == pixels.width() {
        return pixels.clone();
    }
    pixels.resize(width, u32::MAX, FilterType::Lanczos3)
}
