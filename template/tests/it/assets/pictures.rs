//! Pictures: in several widths, never wider than they are.

use std::io::Write;

use super::workshop::Workshop;

/// A photo that was taken with the camera turned: 8 × 4 pixels as stored, 4 × 8 as seen.
const TURNED: &[u8] = include_bytes!("turned.jpg");

/// A picture of one colour, which fades to the right.
fn png(width: u32, height: u32) -> Vec<u8> {
    fn chunk(kind: &[u8], content: &[u8]) -> Vec<u8> {
        let named = [kind, content].concat();
        let mut crc = flate2::Crc::new();
        crc.update(&named);
        let length = u32::try_from(content.len()).unwrap();
        [&length.to_be_bytes()[..], &named, &crc.sum().to_be_bytes()].concat()
    }
    let mut line = vec![0];
    line.extend((0..width).flat_map(|x| [200, u8::try_from(x % 256).unwrap(), 40]));
    let pixels = line.repeat(usize::try_from(height).unwrap());
    let mut packed = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(&pixels).unwrap();
    let mut header = [width.to_be_bytes(), height.to_be_bytes()].concat();
    header.extend([8, 2, 0, 0, 0]);
    [
        b"\x89PNG\r\n\x1a\n".to_vec(),
        chunk(b"IHDR", &header),
        chunk(b"IDAT", &packed.finish().unwrap()),
        chunk(b"IEND", b""),
    ]
    .concat()
}

/// Width and height of a lossy WebP.
fn webp_size(content: &[u8]) -> (u16, u16) {
    assert_eq!(
        (&content[..4], &content[8..16]),
        (&b"RIFF"[..], &b"WEBPVP8 "[..])
    );
    let number = |at: usize| u16::from_le_bytes([content[at], content[at + 1]]) & 0x3fff;
    (number(26), number(28))
}

#[test]
fn a_picture_comes_in_the_usual_widths_below_its_own() {
    let workshop = Workshop::new();
    workshop.write("hero.png", png(1200, 300));
    let made = workshop.make("release");
    assert_eq!(made.did("made").len(), 4, "{made:?}");
    for (width, height) in [(480, 120), (960, 240), (1200, 300)] {
        let (_, content) = workshop.file("release", &format!("hero-{width}."), ".webp");
        assert_eq!(webp_size(&content), (width, height));
    }
    let macros = std::fs::read_to_string(workshop.path("release/macros.rs")).unwrap();
    assert!(macros.contains("width: 1200, height: 300"), "{macros}");
    let (fallback, content) = workshop.file("release", "hero.", ".png");
    assert!(content.starts_with(b"\x89PNG"), "{fallback}");
}

#[test]
fn a_small_picture_is_never_made_wider() {
    let workshop = Workshop::new();
    workshop.write("icon.PNG", png(32, 32));
    workshop.make("release");
    let (_, content) = workshop.file("release", "icon-32.", ".webp");
    assert_eq!(webp_size(&content), (32, 32));
    assert_eq!(workshop.files("release").len(), 2);
}

#[test]
fn a_picture_is_kept_between_builds() {
    let workshop = Workshop::new();
    workshop.write("a.png", png(500, 10));
    workshop.make("release");
    let again = workshop.make("release");
    assert_eq!(again.report, [""; 0]);
}

#[test]
fn a_turned_photo_is_turned_back_and_says_nothing_of_where_it_was_taken() {
    let workshop = Workshop::new();
    workshop.write("photo.jpg", TURNED);
    workshop.make("release");
    let (_, webp) = workshop.file("release", "photo-4.", ".webp");
    assert_eq!(webp_size(&webp), (4, 8));
    let (_, jpeg) = workshop.file("release", "photo.", ".jpg");
    let holds = |content: &[u8], what: &[u8]| content.windows(what.len()).any(|part| part == what);
    assert!(holds(TURNED, b"Exif") && !holds(&jpeg, b"Exif"));
}

#[test]
fn in_development_a_picture_stays_as_it_is() {
    let workshop = Workshop::new();
    let picture = png(1000, 10);
    workshop.write("a.png", &picture);
    workshop.make("development");
    assert_eq!(workshop.files("development"), ["a.png"]);
    assert_eq!(workshop.file("development", "a", ".png").1, picture);
}

#[test]
fn a_picture_that_claims_to_be_huge_is_refused() {
    let workshop = Workshop::new();
    let mut huge = png(1, 1);
    huge[16..24].copy_from_slice(&[0, 0, 0xff, 0xff, 0, 0, 0xff, 0xff]);
    let mut crc = flate2::Crc::new();
    crc.update(&huge[12..29]);
    huge[29..33].copy_from_slice(&crc.sum().to_be_bytes());
    workshop.write("a.png", huge);
    assert_eq!(
        workshop.faults(),
        ["assets/a.png: it has 65535 × 65535 pixels, which is too many"]
    );
}
