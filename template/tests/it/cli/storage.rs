//! What a crash, a damaged cache and a folder that cannot be written do, and what they do not.

use std::fs;
use std::path::Path;

use super::process::{Place, files, is_root};

#[test]
fn what_was_answered_survives_a_kill() {
    let place = Place::new();
    let service = place.serve();
    for title in ["One", "Two", "Three"] {
        service.publish(title);
    }
    service.kill();
    let service = place.serve();
    assert_eq!(service.titles(), ["Three", "Two", "One"]);
    assert!(service.has_logged("the last run did not close the disk cache"));
    assert_eq!(service.health("cache_l2"), "ok");
    service.stop();
    assert!(!place.serve().has_logged("did not close"));
}

/// Serves once on a cache that `damage` was done to, and gives what the start has logged.
fn log_after(damage: impl FnOnce(&Path)) -> Vec<String> {
    let place = Place::new();
    let service = place.serve();
    service.publish("Kept");
    assert!(service.get("/").status < 500);
    service.stop();
    damage(&place.path("data/cache"));

    let service = place.serve();
    assert_eq!(service.titles(), ["Kept"]);
    service.publish("Added");
    assert!(service.get("/").status < 500);
    assert_eq!(service.get("/health").status, 200);
    service.stop()
}

fn assert_logged(log: &[String], text: &str) {
    assert!(log.iter().any(|line| line.contains(text)), "{log:#?}");
}

#[test]
fn a_cache_full_of_garbage_is_set_aside_and_rebuilt() {
    let log = log_after(|cache| {
        for file in files(cache) {
            fs::write(file, [0xA5; 4096]).expect("garbage");
        }
    });
    assert_logged(&log, "the disk cache is damaged; it is set aside in");
}

#[test]
fn a_cache_with_bytes_changed_here_and_there_starts() {
    // What still reads is kept, the rest counts as never written; the start goes well either way.
    log_after(|cache| {
        let mut bytes = fs::read(cache.join("store-1/index/db")).expect("the store");
        for byte in bytes.iter_mut().step_by(7) {
            *byte ^= 0x5A;
        }
        fs::write(cache.join("store-1/index/db"), bytes).expect("damage");
    });
}

#[test]
fn a_truncated_cache_starts() {
    for part in [0, 2, 3] {
        log_after(|cache| {
            for file in files(cache) {
                let bytes = fs::read(&file).expect("a file");
                let left = bytes.len().checked_div(part).unwrap_or(0);
                fs::write(&file, &bytes[..left]).expect("damage");
            }
        });
    }
}

#[test]
fn a_file_in_place_of_the_store_is_set_aside() {
    let log = log_after(|cache| {
        fs::remove_dir_all(cache.join("store-1")).expect("the store");
        fs::write(cache.join("store-1"), "a file").expect("a file");
    });
    assert_logged(&log, "the disk cache is damaged; it is set aside in");
}

#[test]
fn a_file_in_place_of_the_cache_folder_leaves_the_cache_in_memory() {
    let log = log_after(|cache| {
        fs::remove_dir_all(cache).expect("the cache");
        fs::write(cache, "a file").expect("a file");
    });
    assert_logged(&log, "the cache works in memory only");
}

#[test]
fn a_folder_in_place_of_the_marker_leaves_the_cache_in_memory() {
    let log = log_after(|cache| {
        fs::remove_file(cache.join("in-use")).expect("the marker");
        fs::create_dir(cache.join("in-use")).expect("a folder");
    });
    assert_logged(&log, "the cache works in memory only");
}

#[test]
fn a_cache_folder_that_cannot_be_made_leaves_the_cache_in_memory() {
    let place = Place::new();
    // Nobody can make a folder there, root included.
    let service = place.serve_with(&[("APP__CACHE__DIR", "/proc/cache")]);
    assert!(service.has_logged("the cache works in memory only"));
    assert!(service.has_logged("the cache folder /proc/cache cannot be made"));
    assert_eq!(service.health("cache_l2"), "degraded");
    assert_eq!(service.health("database"), "ok");
    service.publish("Served all the same");
    service.stop();
}

#[test]
fn a_cache_folder_without_permission_leaves_the_cache_in_memory() {
    let place = Place::new();
    let locked = place.path("locked");
    fs::create_dir(&locked).expect("a folder");
    let read_only = <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o555);
    fs::set_permissions(&locked, read_only).expect("permissions");
    if is_root() {
        println!("skipped: permissions do not stop root");
        return;
    }
    let service = place.serve_with(&[("APP__CACHE__DIR", "locked")]);
    assert!(service.has_logged("the cache works in memory only"));
    assert_eq!(service.health("cache_l2"), "degraded");
}
