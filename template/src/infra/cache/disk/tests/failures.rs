//! A disk that fails, and many that use it at once.

use super::*;

#[test]
fn only_what_is_in_memory_is_read_without_a_blocking_thread() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .max_blocking_threads(1)
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let disk = open(&folder);
        for key in ["written", "cold", "read"] {
            set(&disk, key, &entry(key, 1, 4096)).await;
        }
        cool(&disk);
        set(&disk, "written", &entry("written", 2, 4096)).await;
        assert!(get(&disk, "read").await.is_some());

        let (release, wait) = mpsc::channel::<()>();
        let occupied = spawn_blocking(move || wait.recv());
        let mut context = Context::from_waker(Waker::noop());
        for (key, stored_at) in [("written", 2), ("read", 1)] {
            let Poll::Ready(found) = pin!(disk.get(key)).poll(&mut context) else {
                panic!("{key} is in memory");
            };
            assert_eq!(found.unwrap(), Some(entry(key, stored_at, 4096)));
        }
        let mut cold = pin!(disk.get("cold"));
        assert!(cold.as_mut().poll(&mut context).is_pending());
        release.send(()).unwrap();
        assert_eq!(cold.await.unwrap(), Some(entry("cold", 1, 4096)));
        occupied.await.unwrap().unwrap();
    });
}

/// A cache with an entry, whose next write fails.
async fn about_to_fail(folder: &TempDir) -> Disk {
    let disk = open(folder);
    set(&disk, "old", &entry("old", 1, 10)).await;
    let full = folder.path().join("full");
    fs::create_dir(&full).unwrap();
    let full = Store::on_full_disk(&full, 9).unwrap();
    let mut stores = disk.0.stores_mut();
    stores.older = stores.newest.replace(Arc::new(full));
    drop(stores);
    disk
}

#[tokio::test]
async fn a_full_disk_is_an_error_and_the_next_write_begins_anew() {
    let folder = tempfile::tempdir().unwrap();
    let disk = about_to_fail(&folder).await;
    let new = entry("new", 1, 10);
    assert!(disk.set("new", new.clone(), None, None).await.is_err());
    set(&disk, "new", &new).await;
    cool(&disk);
    assert_eq!(get(&disk, "new").await, Some(new.clone()));
    assert_eq!(get(&disk, "old").await, None);
    close(disk).await;
    assert_eq!(get(&open(&folder), "new").await, Some(new));
}

#[tokio::test]
async fn after_a_failure_what_it_was_to_replace_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let disk = about_to_fail(&folder).await;
    assert!(
        disk.set("old", entry("old", 2, 10), None, None)
            .await
            .is_err()
    );
    assert_eq!(get(&disk, "old").await, None);
    assert_eq!(disk.usage().unwrap().entries, 0);
}

#[tokio::test]
async fn a_failure_nobody_got_over_is_not_closed() {
    let folder = filled().await;
    let disk = open(&folder);
    disk.0.is_doubtful.store(true, Ordering::Relaxed);
    assert!(disk.close().await.is_err());
    drop(disk);
    assert_eq!(get(&open(&folder), "key-7").await, None);
}

#[tokio::test]
async fn a_folder_that_is_deleted_under_way_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let disk = open(&folder);
    fs::remove_dir_all(folder.path()).unwrap();
    for n in 0..200 {
        let key = format!("key-{n}");
        disk.set(&key, entry(&key, 1, 60_000), None, None)
            .await
            .ok();
    }
    set(&disk, "key", &entry("key", 1, 10)).await;
    cool(&disk);
    assert!(get(&disk, "key").await.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_writes_and_reads_at_the_same_time_gets_what_belongs_to_the_key() {
    let folder = tempfile::tempdir().unwrap();
    let disk = open(&folder);
    let mut tasks = Vec::new();
    for task in 0..8_u64 {
        let disk = disk.clone();
        tasks.push(tokio::spawn(async move {
            for step in 0..150 {
                let n = (task * 31 + step * 17) % 40;
                let key = format!("key-{n}");
                match (task + step) % 50 {
                    0 => disk.clear().await.unwrap(),
                    1 => disk.remove(&key).await.unwrap(),
                    2 => {
                        disk.sweep(Box::new(move |_, _| n % 2 == 0)).await.unwrap();
                    }
                    3 => cool(&disk),
                    4..20 => set(&disk, &key, &entry(&key, 1, 50_000)).await,
                    _ => {
                        let found = get(&disk, &key).await;
                        assert!(found.is_none_or(|found| found == entry(&key, 1, 50_000)));
                    }
                }
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let mut present = 0;
    for n in 0..40 {
        present += u64::from(get(&disk, &format!("key-{n}")).await.is_some());
    }
    assert_eq!(disk.usage().unwrap().entries, present);
    assert!(size_of(folder.path()) <= CAPACITY + SLACK);
}

#[test]
fn one_blocking_thread_is_enough() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(1)
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let disk = open(&folder);
        let mut tasks = Vec::new();
        for n in 0..60 {
            let disk = disk.clone();
            tasks.push(tokio::spawn(async move {
                let key = format!("key-{n}");
                set(&disk, &key, &entry(&key, 1, 30_000)).await;
                disk.0.is_doubtful.fetch_or(n == 40, Ordering::Relaxed);
                cool(&disk);
                get(&disk, &key).await;
                disk.sweep(Box::new(|_, _| false)).await.unwrap();
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(disk.usage().unwrap().entries, 0);
        close(disk).await;
    });
}
