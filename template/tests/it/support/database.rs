//! A database for one test: a file in the test's folder, or a database of its own on a `PostgreSQL` server.

use std::path::Path;

use app::infra::db::Driver;
use sqlx::{AssertSqlSafe, Connection, Database};
use uuid::Uuid;

/// Where the `PostgreSQL` server for tests is, for example `postgres://postgres@127.0.0.1:5432/postgres`.
const VARIABLE: &str = "TEST_DATABASE_URL";

/// Gone when it is dropped.
pub struct TestDatabase {
    pub url: String,
    on_server: Option<OnServer>,
}

struct OnServer {
    /// The address of a database whose user may make others.
    admin: String,
    name: String,
}

impl TestDatabase {
    pub async fn create(folder: &Path) -> Self {
        if Driver::NAME == "SQLite" {
            let file = folder.join("app.db");
            return Self {
                url: format!("sqlite://{}", file.display()),
                on_server: None,
            };
        }
        let admin = admin_url();
        let name = format!("test_{}", Uuid::now_v7().simple());
        execute(&admin, &format!("CREATE DATABASE {name}"))
            .await
            .unwrap_or_else(|error| {
                panic!("{VARIABLE} must name a server that lets its user create databases: {error}")
            });
        Self {
            url: with_database(&admin, &name),
            on_server: Some(OnServer { admin, name }),
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "it belongs to the tests, not to the settings of the service"
)]
fn admin_url() -> String {
    std::env::var(VARIABLE).unwrap_or_else(|_| {
        panic!("set {VARIABLE} to a PostgreSQL server on which the tests may create databases, for example postgres://postgres@127.0.0.1:5432/postgres")
    })
}

/// The same server, another database.
fn with_database(url: &str, name: &str) -> String {
    let (address, options) = url.split_once('?').unwrap_or((url, ""));
    let (server, _) = address.rsplit_once('/').expect("a URL with a database");
    format!("{server}/{name}?{options}")
}

async fn execute(url: &str, sql: &str) -> sqlx::Result<()> {
    let mut connection = <Driver as Database>::Connection::connect(url).await?;
    sqlx::query(AssertSqlSafe(sql.to_owned()))
        .execute(&mut connection)
        .await?;
    connection.close().await
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let Some(OnServer { admin, name }) = self.on_server.take() else {
            return;
        };
        // A runtime of its own, because the test's cannot be waited for from here.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            let sql = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
            runtime
                .block_on(execute(&admin, &sql))
                .map_err(std::io::Error::other)
        });
        if let Ok(Err(error)) = dropped.join() {
            eprintln!("a test database is left behind: {error}");
        }
    }
}
