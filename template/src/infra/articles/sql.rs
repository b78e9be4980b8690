//! Articles in SQL: one text for SQLite and PostgreSQL.

use async_trait::async_trait;
use sqlx::query::QueryAs;
use sqlx::{FromRow, QueryBuilder, Row as _, Transaction};

use crate::domain::articles::{
    Address, Article, ArticleId, ArticleQuery, ArticleRepository, Cursor, Markdown,
    RepositoryError, Slice, Slug, Sort, Status, Summary, Tag, Tags, Title, Version,
};
use crate::domain::error::{Invalid, StoreError};
use crate::infra::db::{Database, Driver, store_error};

type DatabaseRow = <Driver as sqlx::Database>::Row;

pub struct SqlArticles {
    db: Database,
}

impl SqlArticles {
    #[must_use]
    pub fn new(db: Database) -> Self {
        Self { db }
    }

    async fn find_one(
        &self,
        query: QueryAs<'_, Driver, Row, <Driver as sqlx::Database>::Arguments>,
    ) -> Result<Option<Article>, StoreError> {
        let row = query.fetch_optional(self.db.pool());
        let row = self.db.timed("select", "articles", row).await;
        Ok(row.map_err(store_error)?.map(|Row(article)| article))
    }
}

macro_rules! select_articles {
    ($rest:literal) => {
        concat!(
            "SELECT id, slug, title, summary, body, status, published_at, created_at, updated_at, version, \
             (SELECT string_agg(tag, ',') FROM article_tags WHERE article_id = articles.id) AS tags \
             FROM articles ",
            $rest
        )
    };
}

#[async_trait]
impl ArticleRepository for SqlArticles {
    async fn insert(&self, article: &Article) -> Result<(), RepositoryError> {
        let insert = || async {
            let mut tx = self.db.begin().await?;
            sqlx::query(
                "INSERT INTO articles (id, slug, title, summary, body, status, published_at, created_at, updated_at, version) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            )
            .bind(article.id)
            .bind(article.slug.as_str())
            .bind(article.title.as_str())
            .bind(article.summary.as_str())
            .bind(article.body.as_str())
            .bind(article.status.as_str())
            .bind(article.published_at)
            .bind(article.created_at)
            .bind(article.updated_at)
            .bind(article.version)
            .execute(&mut *tx)
            .await?;
            insert_tags(&mut tx, article).await?;
            tx.commit().await
        };
        self.db
            .write("insert", "articles", insert)
            .await
            .map_err(write_error)
    }

    async fn update(&self, article: &Article, expected: Version) -> Result<(), RepositoryError> {
        let update = || async {
            let mut tx = self.db.begin().await?;
            let updated = sqlx::query(
                "UPDATE articles SET slug = $1, title = $2, summary = $3, body = $4, status = $5, \
                 published_at = $6, updated_at = $7, version = $8 WHERE id = $9 AND version = $10",
            )
            .bind(article.slug.as_str())
            .bind(article.title.as_str())
            .bind(article.summary.as_str())
            .bind(article.body.as_str())
            .bind(article.status.as_str())
            .bind(article.published_at)
            .bind(article.updated_at)
            .bind(article.version)
            .bind(article.id)
            .bind(expected)
            .execute(&mut *tx)
            .await?
            .rows_affected();
            if updated == 1 {
                sqlx::query("DELETE FROM article_tags WHERE article_id = $1")
                    .bind(article.id)
                    .execute(&mut *tx)
                    .await?;
                insert_tags(&mut tx, article).await?;
            }
            tx.commit().await?;
            Ok(updated)
        };
        let updated = self
            .db
            .write("update", "articles", update)
            .await
            .map_err(write_error)?;
        if updated == 1 {
            Ok(())
        } else {
            Err(RepositoryError::Stale)
        }
    }

    async fn delete(&self, id: ArticleId, expected: Version) -> Result<(), RepositoryError> {
        let delete = || {
            sqlx::query("DELETE FROM articles WHERE id = $1 AND version = $2")
                .bind(id)
                .bind(expected)
                .execute(self.db.pool())
        };
        let deleted = self
            .db
            .write("delete", "articles", delete)
            .await
            .map_err(write_error)?;
        if deleted.rows_affected() == 1 {
            Ok(())
        } else {
            Err(RepositoryError::Stale)
        }
    }

    async fn find(&self, id: ArticleId) -> Result<Option<Article>, StoreError> {
        let query = sqlx::query_as(select_articles!("WHERE id = $1"));
        self.find_one(query.bind(id)).await
    }

    async fn find_by_slug(&self, slug: &Slug) -> Result<Option<Article>, StoreError> {
        let query = sqlx::query_as(select_articles!("WHERE slug = $1"));
        self.find_one(query.bind(slug.as_str())).await
    }

    async fn list(&self, query: &ArticleQuery) -> Result<Slice<Article>, StoreError> {
        let mut sql = list_sql(query);
        let rows = sql.build_query_as().fetch_all(self.db.pool());
        let rows: Vec<Row> = self
            .db
            .timed("list", "articles", rows)
            .await
            .map_err(store_error)?;
        Ok(query.slice(rows.into_iter().map(|Row(article)| article).collect()))
    }

    async fn addresses(&self, skip: u32, limit: u32) -> Result<Vec<Address>, StoreError> {
        let rows = sqlx::query_as(
            "SELECT slug, updated_at FROM articles WHERE status = 'published' \
             ORDER BY id LIMIT $1 OFFSET $2",
        )
        .bind(i64::from(limit))
        .bind(i64::from(skip))
        .fetch_all(self.db.pool());
        let rows: Vec<AddressRow> = self
            .db
            .timed("addresses", "articles", rows)
            .await
            .map_err(store_error)?;
        Ok(rows
            .into_iter()
            .map(|AddressRow(address)| address)
            .collect())
    }

    async fn count_published(&self) -> Result<u32, StoreError> {
        let count = sqlx::query_scalar::<_, i64>(
            "SELECT COUNT(*) FROM articles WHERE status = 'published'",
        )
        .fetch_one(self.db.pool());
        let count = self.db.timed("count", "articles", count).await;
        Ok(u32::try_from(count.map_err(store_error)?).unwrap_or(u32::MAX))
    }
}

/// One row more than asked for, which tells whether there is a next page.
fn list_sql(query: &ArticleQuery) -> QueryBuilder<Driver> {
    let mut sql = QueryBuilder::new(select_articles!("WHERE 1 = 1"));
    if let Some(status) = query.status {
        sql.push(" AND status = ").push_bind(status.as_str());
    }
    if let Some(tag) = &query.tag {
        sql.push(" AND id IN (SELECT article_id FROM article_tags WHERE tag = ")
            .push_bind(tag.to_string())
            .push(")");
    }
    let (column, after, order) = match query.sort {
        Sort::Newest => ("COALESCE(published_at, created_at)", "<", "DESC"),
        Sort::Oldest => ("COALESCE(published_at, created_at)", ">", "ASC"),
        Sort::Title => ("title", ">", "ASC"),
    };
    if let Some(cursor) = &query.after {
        sql.push(format_args!(" AND ({column}, id) {after} ("));
        let id = match cursor {
            Cursor::Date(date, id) => {
                sql.push_bind(*date);
                id
            }
            Cursor::Title(title, id) => {
                sql.push_bind(title.clone());
                id
            }
        };
        sql.push(", ").push_bind(*id).push(")");
    }
    sql.push(format_args!(
        " ORDER BY {column} {order}, id {order} LIMIT "
    ))
    .push_bind(i64::from(query.limit) + 1);
    sql
}

async fn insert_tags(tx: &mut Transaction<'_, Driver>, article: &Article) -> sqlx::Result<()> {
    for tag in article.tags.iter() {
        sqlx::query("INSERT INTO article_tags (article_id, tag) VALUES ($1, $2)")
            .bind(article.id)
            .bind(tag.as_str())
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}

/// The slug is the only value of a user that has to be unique.
fn write_error(error: sqlx::Error) -> RepositoryError {
    match &error {
        sqlx::Error::Database(cause) if cause.is_unique_violation() => RepositoryError::SlugTaken,
        _ => RepositoryError::Store(store_error(error)),
    }
}

/// A row of `select_articles!`.
struct Row(Article);

impl FromRow<'_, DatabaseRow> for Row {
    fn from_row(row: &DatabaseRow) -> sqlx::Result<Self> {
        let tags = row.try_get::<Option<&str>, _>("tags")?.unwrap_or_default();
        let tags = tags
            .split(',')
            .filter(|tag| !tag.is_empty())
            .map(Tag::parse);
        let tags = tags.collect::<Result<_, _>>().and_then(Tags::new);
        Ok(Self(Article {
            id: row.try_get("id")?,
            slug: parsed(row, "slug", Slug::parse)?,
            title: parsed(row, "title", Title::parse)?,
            summary: parsed(row, "summary", Summary::parse)?,
            body: parsed(row, "body", Markdown::parse)?,
            tags: tags.map_err(|rule| broken("tags", rule))?,
            status: parsed(row, "status", Status::parse)?,
            published_at: row.try_get("published_at")?,
            created_at: row.try_get("created_at")?,
            updated_at: row.try_get("updated_at")?,
            version: row.try_get("version")?,
        }))
    }
}

/// A row of [`ArticleRepository::addresses`].
struct AddressRow(Address);

impl FromRow<'_, DatabaseRow> for AddressRow {
    fn from_row(row: &DatabaseRow) -> sqlx::Result<Self> {
        Ok(Self(Address {
            slug: parsed(row, "slug", Slug::parse)?,
            updated_at: row.try_get("updated_at")?,
        }))
    }
}

fn parsed<T>(
    row: &DatabaseRow,
    column: &str,
    parse: fn(&str) -> Result<T, Invalid>,
) -> sqlx::Result<T> {
    parse(row.try_get(column)?).map_err(|rule| broken(column, rule))
}

/// A stored value that breaks a rule of today.
fn broken(column: &str, rule: Invalid) -> sqlx::Error {
    sqlx::Error::ColumnDecode {
        index: column.to_owned(),
        source: rule.into(),
    }
}
