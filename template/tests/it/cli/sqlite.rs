//! What can happen to a database that is a file: garbage, no permission, a full disk.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::process::{PROFILE, Place, Service, finish, is_root};

/// In the folder of the test, as it is without a setting.
const DEFAULT: (&str, &str) = ("DATABASE_URL", "sqlite://data/app.db");

#[test]
fn without_a_setting_the_database_is_a_file_in_the_data_folder() {
    let place = Place::new();
    let mut command = place.command(&[], &[]);
    command.env_remove("DATABASE_URL");
    let mut service = Service::spawn(command);
    service.wait_until_it_serves();
    service.stop();
    assert!(place.path("data/app.db").is_file());
    let status = place.run_with(&["migrate", "--status"], &[DEFAULT]).ok();
    assert!(
        status.contains("applied") && !status.contains("pending"),
        "{status}"
    );
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left_as_it_is() {
    let place = Place::new();
    let garbage = "These are somebody's notes, not a database.\n".repeat(200);
    let file = place.write("data/app.db", &garbage);
    for command in ["serve", "migrate", "seed"] {
        let finished = place.run_with(&[command], &[DEFAULT]);
        assert_eq!(
            finished.error(),
            "the database sqlite://data/app.db cannot be used: error returned from database: \
             (code: 26) file is not a database"
        );
    }
    assert_eq!(fs::read_to_string(file).expect("the file"), garbage);
}

#[test]
fn a_folder_in_place_of_the_database_is_refused() {
    let place = Place::new();
    place.write("data/app.db/file", "");
    let finished = place.run_with(&["serve"], &[DEFAULT]);
    let expected = "the database sqlite://data/app.db cannot be used: ";
    assert!(finished.error().starts_with(expected), "{finished:?}");
    assert!(finished.error().ends_with("unable to open database file"));
}

#[test]
fn a_file_in_place_of_the_data_folder_is_refused() {
    let place = Place::new();
    let file = place.write("data", "mine");
    let finished = place.run_with(&["serve"], &[DEFAULT]);
    assert_eq!(
        finished.error(),
        "the folder data cannot be made: File exists (os error 17)"
    );
    assert_eq!(fs::read(file).expect("the file"), b"mine");
}

#[test]
fn a_url_of_another_kind_is_refused_and_no_file_is_named_after_it() {
    let place = Place::new();
    for url in [
        "",
        "postgres://user:hidden@host/name",
        "data/app.db",
        "sqlite://",
    ] {
        let finished = place.run_with(&["serve"], &[("DATABASE_URL", url)]);
        assert_eq!(
            finished.problems(),
            ["database.url must look like sqlite://data/app.db (environment DATABASE_URL)"]
        );
    }
    assert!(super::process::files(&place.path(".")).is_empty());
}

/// The same command as a user whom permissions stop; `None` where nothing can make one.
fn without_privileges(command: &Command) -> Option<Command> {
    let program = command.get_program();
    let as_user = || {
        if !is_root() {
            return Command::new(program);
        }
        let mut setpriv = Command::new("/usr/bin/setpriv");
        setpriv.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]);
        setpriv.arg(program);
        setpriv
    };
    // Where the binary is out of that user's reach there is nothing to see either.
    let mut probe = as_user();
    probe.arg("--version").stdout(Stdio::null());
    if !probe.status().is_ok_and(|status| status.success()) {
        return None;
    }
    let mut command_of_user = as_user();
    command_of_user.args(command.get_args()).env_clear();
    command_of_user.current_dir(command.get_current_dir()?);
    for (name, value) in command.get_envs() {
        command_of_user.env(name, value?);
    }
    if is_root() {
        // Where the others note it, that user may not write.
        command_of_user.env(PROFILE, "/dev/null");
    }
    Some(command_of_user)
}

/// Lets everybody read the folder, and the listed parts of it written by nobody but root.
fn make_read_only(place: &Place) {
    for path in ["", "data", "data/app.db"] {
        let path = place.path(path);
        let mode = if path.is_dir() { 0o555 } else { 0o444 };
        fs::set_permissions(path, Permissions::from_mode(mode)).expect("permissions");
    }
}

#[test]
fn a_database_without_permission_to_write_is_refused_with_one_sentence() {
    let place = Place::new();
    let service = place.serve_with(&[DEFAULT]);
    service.publish("Kept");
    service.stop();
    let before = fs::read(place.path("data/app.db")).expect("the database");
    make_read_only(&place);
    let Some(mut command) = without_privileges(&place.command(&["serve"], &[DEFAULT])) else {
        println!("skipped: there is no way to run the binary without privileges here");
        return;
    };
    let finished = finish(&mut command);
    let expected = "the database sqlite://data/app.db cannot be used: ";
    assert!(finished.error().starts_with(expected), "{finished:?}");
    assert!(finished.error().contains("readonly") || finished.error().contains("unable to open"));
    assert_eq!(
        fs::read(place.path("data/app.db")).expect("the database"),
        before
    );
}

#[test]
fn a_data_folder_that_cannot_be_made_is_refused_with_one_sentence() {
    let place = Place::new();
    let folder = place.path("");
    fs::set_permissions(folder, Permissions::from_mode(0o555)).expect("permissions");
    let Some(mut command) = without_privileges(&place.command(&["serve"], &[DEFAULT])) else {
        println!("skipped: there is no way to run the binary without privileges here");
        return;
    };
    assert_eq!(
        finish(&mut command).error(),
        "the folder data cannot be made: Permission denied (os error 13)"
    );
}

/// A small disk, mounted until it is dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(folder: &Path, size: &str) -> Option<Self> {
        if !is_root() {
            return None;
        }
        fs::create_dir(folder).expect("a folder");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "none"]);
        let mounted = mount.arg(folder).status();
        mounted
            .is_ok_and(|status| status.success())
            .then(|| Self(folder.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[test]
fn on_a_full_disk_writes_fail_reads_go_on_and_space_heals_it() {
    let place = Place::new();
    let Some(disk) = SmallDisk::mount(&place.path("data"), "8m") else {
        println!("skipped: no small disk can be mounted here");
        return;
    };
    let service = place.serve_with(&[DEFAULT]);
    service.publish("Before");
    let ballast = disk.0.join("ballast");
    // It takes what is there, and then fails.
    let _ = fs::write(&ballast, vec![1; 16 * 1024 * 1024]);
    let kept: Vec<String> = (0..1000)
        .map(|number| format!("Number {number}"))
        .take_while(|title| {
            let answer = service.try_to_publish(title);
            if answer.status != 201 {
                assert_eq!(answer.status, 503, "{}", answer.body);
                assert_eq!(answer.json()["status"], answer.status);
            }
            answer.status == 201
        })
        .collect();
    assert!(kept.len() < 1000, "the disk never was full");
    assert_eq!(
        service.titles()[0],
        kept.last().map_or("Before", String::as_str)
    );
    assert_eq!(service.get("/health/live").status, 200);

    fs::remove_file(&ballast).expect("space");
    service.publish("After");
    service.stop();
    let service = place.serve_with(&[DEFAULT]);
    assert_eq!(service.titles()[0], "After");
    let last = service.get("/api/v1/articles?sort=oldest").json();
    assert_eq!(last["items"][0]["title"], "Before");
}

#[test]
fn a_start_on_a_full_disk_ends_with_one_sentence_and_nothing_is_lost() {
    let place = Place::new();
    let Some(disk) = SmallDisk::mount(&place.path("data"), "8m") else {
        println!("skipped: no small disk can be mounted here");
        return;
    };
    let service = place.serve_with(&[DEFAULT]);
    service.publish("Kept");
    service.stop();
    let ballast = disk.0.join("ballast");
    let _ = fs::write(&ballast, vec![1; 16 * 1024 * 1024]);
    let finished = place.run_with(&["migrate"], &[DEFAULT]);
    assert!(finished.error().contains("disk"), "{finished:?}");
    fs::remove_file(&ballast).expect("space");
    assert_eq!(place.serve_with(&[DEFAULT]).titles(), ["Kept"]);
}
