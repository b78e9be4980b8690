//! Two transactions that wait for each other.

use std::cell::Cell;

use app::infra::db::Database;

use super::{execute, insert, open};
use crate::support::Home;

/// Waits until a transaction waits for a lock that another has.
async fn until_somebody_waits(database: &Database) {
    let waiting = "SELECT COUNT(*) FROM pg_stat_activity \
         WHERE datname = current_database() AND wait_event_type = 'Lock'";
    loop {
        let found: i64 = sqlx::query_scalar(waiting)
            .fetch_one(database.pool())
            .await
            .expect("a number");
        if found > 0 {
            return;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn of_two_transactions_that_wait_for_each_other_the_one_that_is_ended_is_run_again() {
    let home = Home::new().await;
    let database = open(&home, &[]).await;
    for (id, slug) in [(1, "'a'"), (2, "'b'")] {
        let sql = insert(id, slug, slug, "'draft'");
        execute(&database, &sql).await.expect("an article");
    }
    // Never looks for a circle itself, so that it is not the one to be ended.
    let mut rival = database.begin().await.expect("a transaction");
    sqlx::raw_sql("SET LOCAL deadlock_timeout = '10min'; UPDATE articles SET title = title || '!' WHERE slug = 'b'")
        .execute(&mut *rival)
        .await
        .expect("the lock on b");
    let rival = Cell::new(Some(rival));
    let (runs, lost, after) = (Cell::new(0), Cell::new(None), Cell::new(None));
    let transaction = || async {
        runs.set(runs.get() + 1);
        let mut tx = database.begin().await?;
        sqlx::query("UPDATE articles SET title = title || '?' WHERE slug = 'a'")
            .execute(&mut *tx)
            .await?;
        if let Some(mut rival) = rival.take() {
            after.set(Some(tokio::spawn(async move {
                sqlx::query("UPDATE articles SET title = title || '!' WHERE slug = 'a'")
                    .execute(&mut *rival)
                    .await?;
                rival.commit().await
            })));
            until_somebody_waits(&database).await;
        }
        let second = sqlx::query("UPDATE articles SET title = title || '?' WHERE slug = 'b'")
            .execute(&mut *tx)
            .await;
        if let Err(sqlx::Error::Database(error)) = &second {
            lost.set(error.code().map(std::borrow::Cow::into_owned));
        }
        second?;
        tx.commit().await
    };
    let done = database.write("update", "articles", transaction).await;
    done.expect("the second run goes through");
    let rival = after.take().expect("it has begun");
    rival.await.expect("no panic").expect("it is not ended");
    assert_eq!((runs.get(), lost.take().as_deref()), (2, Some("40P01")));
    let titles = sqlx::query_scalar("SELECT title FROM articles ORDER BY slug");
    let titles: Vec<String> = titles.fetch_all(database.pool()).await.expect("both");
    assert_eq!(titles, ["a!?", "b!?"]);
}
