//! Every way in which a database says no, provoked on a real one, and what becomes of it.{% capture body %}

// What only one of the two does. //~{% if false %}
#[cfg(feature = "postgres")] //~{% endif %}{% if database == "postgres" %}
mod deadlocks; //~{% endif %}{% if false %}
#[cfg(not(feature = "postgres"))] //~{% endif %}{% if database == "sqlite" %}
mod files; //~{% endif %}

use std::cell::Cell;
use std::time::{Duration, Instant};

use app::domain::error::StoreError;
use app::http::Problem;
use app::infra::db::{Class, Database, Driver, store_error};
use axum::response::IntoResponse;
use sqlx::AssertSqlSafe;

use crate::support::{ARTICLES, Home, TestApp, published};

/// Longer than any of this takes.
const PATIENCE: Duration = Duration::from_secs(30);

fn is_sqlite() -> bool {
    <Driver as sqlx::Database>::NAME == "SQLite"
}

async fn open(home: &Home, overrides: &[(&str, &str)]) -> Database {
    let settings = home.settings(overrides).database;
    let database = Database::open(&settings).expect("settings of a database");
    database
        .wait_until_ready(&settings)
        .await
        .expect("a database");
    database.migrate().await.expect("migrations");
    database
}

/// A statement that adds an article, with some of its values given.
fn insert(id: u8, slug: &str, title: &str, status: &str) -> String {
    format!(
        "INSERT INTO articles (id, slug, title, summary, body, status, published_at, created_at, updated_at, version) VALUES \
         ('00000000-0000-0000-0000-0000000000{id:02}', {slug}, {title}, '', '', {status}, '2026-01-01', '2026-01-01', '2026-01-01', 1)"
    )
}

async fn execute(database: &Database, sql: &str) -> sqlx::Result<()> {
    let mut connection = database.pool().acquire().await?;
    for statement in sql.split(';') {
        sqlx::query(AssertSqlSafe(statement.to_owned()))
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// What `sql` fails with.
async fn failure(database: &Database, sql: &str) -> sqlx::Error {
    execute(database, sql)
        .await
        .expect_err("the database says no")
}

/// The status a client sees, after the class was found to be as expected.
#[track_caller]
fn status_of(error: sqlx::Error, class: Class) -> u16 {
    assert_eq!(Class::of(&error), class, "{error:?}");
    Problem::from(store_error(error))
        .into_response()
        .status()
        .as_u16()
}

#[tokio::test]
async fn a_value_that_another_record_has_is_a_conflict_at_its_field() {
    let home = Home::new().await;
    let database = open(&home, &[]).await;
    execute(&database, &insert(1, "'mine'", "'One'", "'draft'"))
        .await
        .expect("the first");
    let error = failure(&database, &insert(2, "'mine'", "'Two'", "'draft'")).await;
    let StoreError::Conflict(broken) = store_error(error) else {
        panic!("not a conflict")
    };
    assert_eq!(broken.field, Some("slug"));
    assert_eq!(broken.to_string(), "slug is taken");
    let error = failure(&database, &insert(3, "'mine'", "'Three'", "'draft'")).await;
    assert_eq!(status_of(error, Class::Unique), 409);
}

#[tokio::test]
async fn a_reference_to_nothing_is_a_conflict() {
    let home = Home::new().await;
    let database = open(&home, &[]).await;
    let sql = "INSERT INTO article_tags (article_id, tag) VALUES ('00000000-0000-0000-0000-000000000009', 'x')";
    let error = failure(&database, sql).await;
    assert_eq!(status_of(error, Class::ForeignKey), 409);
}

#[tokio::test]
async fn a_value_that_breaks_a_rule_is_refused_at_its_field() {
    let home = Home::new().await;
    let database = open(&home, &[]).await;
    for (sql, class, message) in [
        (
            insert(1, "'a'", "NULL", "'draft'"),
            Class::NotNull,
            "title must be given",
        ),
        (
            insert(1, "'a'", "'A'", "'lost'"),
            Class::Check,
            "status is not allowed",
        ),
    ] {
        let error = failure(&database, &sql).await;
        let StoreError::Refused(broken) = store_error(error) else {
            panic!("not refused: {sql}")
        };
        assert_eq!(broken.to_string(), message);
        let error = failure(&database, &sql).await;
        assert_eq!(status_of(error, class), 422);
    }
}

#[tokio::test]
async fn a_value_that_does_not_fit_is_refused() {
    let home = Home::new().await;
    let database = open(&home, &[]).await;
    let cases: &[(&str, Class)] = if is_sqlite() {
        &[
            ("SELECT zeroblob(2147483647)", Class::TooLong),
            (
                "CREATE TABLE numbered (id INTEGER PRIMARY KEY); INSERT INTO numbered VALUES ('abc')",
                Class::BadText,
            ),
        ]
    } else {
        &[
            (
                "CREATE TABLE short (name VARCHAR(2)); INSERT INTO short VALUES ('abc')",
                Class::TooLong,
            ),
            ("SELECT 300::smallint * 300::smallint", Class::OutOfRange),
            (r"SELECT convert_from('\xff', 'UTF8')", Class::BadText),
            ("SELECT 'no'::uuid", Class::BadText),
        ]
    };
    for (sql, class) in cases {
        let error = failure(&database, sql).await;
        assert_eq!(status_of(error, *class), 422, "{sql}");
    }
}

#[tokio::test]
async fn a_database_that_only_reads_is_unavailable() {
    let home = Home::new().await;
    let database = open(&home, &[]).await;
    let sql = if is_sqlite() {
        "PRAGMA query_only = ON; DELETE FROM articles"
    } else {
        "SET default_transaction_read_only = ON; DELETE FROM articles"
    };
    let error = failure(&database, sql).await;
    assert_eq!(status_of(error, Class::ReadOnly), 503);
}

#[tokio::test]
async fn a_database_without_room_is_unavailable() {
    let home = Home::new().await;
    let database = open(&home, &[]).await;
    let sql = if is_sqlite() {
        "PRAGMA max_page_count = 1; CREATE TABLE large AS SELECT randomblob(1000000) AS data"
    } else {
        "SET work_mem = '64kB'; SET temp_file_limit = 0; \
         SELECT count(*) FROM (SELECT n FROM generate_series(1, 100000) n ORDER BY n DESC) sorted"
    };
    let error = failure(&database, sql).await;
    assert_eq!(status_of(error, Class::Storage), 503);
}

#[tokio::test]
async fn a_lock_that_another_holds_is_busy() {
    let home = Home::new().await;
    let holder = open(&home, &[]).await;
    execute(&holder, &insert(1, "'a'", "'A'", "'draft'"))
        .await
        .expect("an article");
    let impatient = open(&home, &[("APP__DATABASE__ACQUIRE_TIMEOUT", "300ms")]).await;
    let mut held = holder.begin().await.expect("a transaction");
    sqlx::query("UPDATE articles SET title = 'B'")
        .execute(&mut *held)
        .await
        .expect("the lock");
    let sql = if is_sqlite() {
        "BEGIN IMMEDIATE"
    } else {
        "SELECT id FROM articles FOR UPDATE NOWAIT"
    };
    let error = failure(&impatient, sql).await;
    assert_eq!(status_of(error, Class::Busy), 503);
}

#[tokio::test]
async fn a_pool_without_a_free_connection_is_unavailable() {
    let overrides = [
        ("APP__DATABASE__MAX_CONNECTIONS", "1"),
        ("APP__DATABASE__ACQUIRE_TIMEOUT", "300ms"),
    ];
    let home = Home::new().await;
    let database = open(&home, &overrides).await;
    let _held = database.pool().acquire().await.expect("the connection");
    let error = failure(&database, "SELECT 1").await;
    assert_eq!(status_of(error, Class::PoolTimeout), 503);
}

#[tokio::test]
async fn a_connection_that_ends_is_unavailable() {
    let home = Home::new().await;
    let database = open(&home, &[]).await;
    let error = if is_sqlite() {
        database.close().await;
        failure(&database, "SELECT 1").await
    } else {
        failure(&database, "SELECT pg_terminate_backend(pg_backend_pid())").await
    };
    assert_eq!(status_of(error, Class::ConnectionLost), 503);
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_ended() {
    let overrides = [
        ("APP__DATABASE__STATEMENT_TIMEOUT", "300ms"),
        ("APP__DATABASE__ACQUIRE_TIMEOUT", "300ms"),
    ];
    let home = Home::new().await;
    let database = open(&home, &overrides).await;
    // A statement of SQLite goes on in its thread; whoever waits for it does not.
    let (sql, class) = if is_sqlite() {
        let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 20000000) SELECT count(*) FROM n";
        (sql, Class::Silent)
    } else {
        ("SELECT pg_sleep(600)", Class::StatementTimeout)
    };
    let call = execute(&database, sql);
    let error = database
        .timed("select", "numbers", call)
        .await
        .expect_err("it is ended");
    assert_eq!(status_of(error, class), 503);
}

#[tokio::test]
async fn what_is_wrong_with_the_service_itself_is_an_internal_error() {
    let home = Home::new().await;
    let database = open(&home, &[]).await;
    let error = failure(&database, "SELECT * FROM nowhere").await;
    assert_eq!(status_of(error, Class::Other), 500);
}

/// Reads, lets `rival` change what was read, and writes: a transaction that cannot go through.
async fn read_then_write(database: &Database, rival: Option<&Database>) -> sqlx::Result<()> {
    let begin = if is_sqlite() {
        "BEGIN"
    } else {
        "BEGIN ISOLATION LEVEL REPEATABLE READ"
    };
    let mut tx = database.pool().begin_with(begin).await?;
    sqlx::query("SELECT title FROM articles")
        .execute(&mut *tx)
        .await?;
    if let Some(rival) = rival {
        execute(rival, "UPDATE articles SET title = title || '!'").await?;
    }
    sqlx::query("UPDATE articles SET title = title || '?'")
        .execute(&mut *tx)
        .await?;
    tx.commit().await
}

#[tokio::test]
async fn a_transaction_that_lost_against_another_is_run_again() {
    let home = Home::new().await;
    let (database, rival) = (open(&home, &[]).await, open(&home, &[]).await);
    execute(&database, &insert(1, "'a'", "'A'", "'draft'"))
        .await
        .expect("an article");

    let error = read_then_write(&database, Some(&rival)).await;
    let class = if is_sqlite() {
        Class::Busy
    } else {
        Class::Serialization
    };
    assert_eq!(status_of(error.expect_err("a conflict"), class), 503);

    let runs = Cell::new(0);
    let transaction = || {
        runs.set(runs.get() + 1);
        read_then_write(&database, (runs.get() < 3).then_some(&rival))
    };
    let done = database.write("update", "articles", transaction).await;
    done.expect("the third run goes through");
    assert_eq!(runs.get(), 3);
    let title: String = sqlx::query_scalar("SELECT title FROM articles")
        .fetch_one(database.pool())
        .await
        .expect("the article");
    assert_eq!(title, "A!!!?");
}

#[tokio::test]
async fn a_transaction_that_broke_a_rule_is_not_run_again() {
    let home = Home::new().await;
    let database = open(&home, &[]).await;
    let runs = Cell::new(0);
    let (database, sql) = (&database, insert(1, "'a'", "NULL", "'draft'"));
    let refused = database
        .write("insert", "articles", || {
            runs.set(runs.get() + 1);
            execute(database, &sql)
        })
        .await;
    assert_eq!(
        Class::of(&refused.expect_err("it is refused")),
        Class::NotNull
    );
    assert_eq!(runs.get(), 1);
}

#[tokio::test]
async fn a_database_that_is_away_is_left_alone_and_used_as_soon_as_it_is_back() {
    let overrides = [
        ("APP__DATABASE__MAX_CONNECTIONS", "1"),
        ("APP__DATABASE__ACQUIRE_TIMEOUT", "300ms"),
    ];
    let home = Home::new().await;
    let database = open(&home, &overrides).await;
    let class = async || {
        let call = execute(&database, "SELECT 1");
        let result = database.timed("select", "nothing", call).await;
        result.map_err(|error| Class::of(&error))
    };
    let held = database.pool().acquire().await.expect("the connection");
    for _ in 0..5 {
        assert_eq!(class().await, Err(Class::PoolTimeout));
    }
    assert_eq!(class().await, Err(Class::LeftAlone));
    drop(held);
    let started = Instant::now();
    while let Err(refused) = class().await {
        assert!(matches!(refused, Class::LeftAlone | Class::PoolTimeout));
        assert!(started.elapsed() < PATIENCE, "it never comes back");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn clients_of_a_service_without_a_free_connection_are_asked_for_patience() {
    let overrides = [
        ("APP__DATABASE__MAX_CONNECTIONS", "1"),
        ("APP__DATABASE__ACQUIRE_TIMEOUT", "300ms"),
    ];
    let app = TestApp::with(&overrides).await;
    app.create(ARTICLES, &published("Kept")).await;
    let held = loop {
        // It comes back a moment after the answer.
        if let Ok(held) = app.database().pool().acquire().await {
            break held;
        }
    };
    // More than the circuit breaker lets through, and both look the same.
    for _ in 0..10 {
        let answer = app.get(ARTICLES).await;
        assert_eq!(answer.status, 503);
        assert_eq!(answer.json()["type"], "/problems/unavailable");
        assert_eq!(answer.header("retry-after"), "1");
    }
    assert_eq!(app.post(ARTICLES, &published("Lost")).await.status, 503);
    drop(held);
    let started = Instant::now();
    let list = loop {
        let answer = app.get(ARTICLES).await;
        if answer.status == 200 {
            break answer.json();
        }
        assert!(started.elapsed() < PATIENCE, "it never comes back");
    };
    assert_eq!(list["items"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn no_text_of_a_driver_reaches_a_client() {
    let app = TestApp::start().await;
    let sql = "ALTER TABLE articles RENAME TO elsewhere";
    execute(app.database(), sql).await.expect("another name");
    let answer = app.get(ARTICLES).await;
    assert_eq!(answer.status, 500);
    assert_eq!(answer.json()["type"], "/problems/internal");
    for word in ["table", "relation", "no such", "SELECT", "42P01", "code"] {
        assert!(!answer.text().contains(word), "{}", answer.text());
    }
} //~{% endcapture %}{{ body | remove: " //~" | remove: "//+ " }}
