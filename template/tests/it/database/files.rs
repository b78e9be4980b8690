//! A file that could be opened, and for a while cannot be: as when the process is out of file descriptors.

use std::path::Path;

use app::infra::db::Class;

use super::{execute, failure, open, status_of};
use crate::support::Home;

#[tokio::test]
async fn a_file_that_cannot_be_opened_any_more_is_unavailable_until_it_can_be() {
    let home = Home::new().await;
    let database = open(&home, &[]).await;
    let _held = database.pool().acquire().await.expect("a connection");
    let file = home.database.url.strip_prefix("sqlite://");
    let folder = file.and_then(|file| Path::new(file).parent());
    let folder = folder.expect("the folder of the file");
    let elsewhere = folder.with_extension("elsewhere");
    std::fs::rename(folder, &elsewhere).expect("another name");
    let error = failure(&database, "SELECT 1").await;
    std::fs::rename(&elsewhere, folder).expect("the name from before");
    assert_eq!(status_of(error, Class::CannotOpen), 503);
    let done = execute(&database, "SELECT 1").await;
    done.expect("another connection");
}
