//! What every article store must do, asked of each of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use app::domain::articles::{
    Article, ArticleContent, ArticleQuery, ArticleRepository, Markdown, RepositoryError, Slug,
    Sort, Status, Summary, Tag, Tags, Title,
};
use app::infra::articles::{CachedArticles, MemoryArticles, SqlArticles};
use app::infra::cache::Store;
use app::infra::db::Database;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::support::{Home, fixed_clock};

#[tokio::test]
async fn the_store_in_memory_keeps_the_contract() {
    contract(Arc::new(MemoryArticles::default())).await;
}

#[tokio::test]
async fn the_store_in_sql_keeps_the_contract() {
    let home = Home::new().await;
    contract(Arc::new(sql(&home).await)).await;
}

#[tokio::test]
async fn the_cache_in_front_of_a_store_keeps_the_contract() {
    let home = Home::new().await;
    let store = Store::open(home.settings(&[]).cache, "build", fixed_clock());
    contract(Arc::new(CachedArticles::new(
        Arc::new(sql(&home).await),
        &store,
    )))
    .await;
    store.close().await;
}

async fn sql(home: &Home) -> SqlArticles {
    let settings = home.settings(&[]).database;
    let database = Database::open(&settings).expect("settings of a database");
    database
        .wait_until_ready(&settings)
        .await
        .expect("a database");
    database.migrate().await.expect("migrations");
    SqlArticles::new(database)
}

async fn contract(articles: Arc<dyn ArticleRepository>) {
    an_article_comes_back_as_it_went_in(&*articles).await;
    a_slug_belongs_to_one_article(&*articles).await;
    a_change_needs_the_version_that_is_stored(&*articles).await;
    an_address_that_moved_shows_what_is_there_now(&*articles).await;
    lists_are_sorted_filtered_and_cut(&*articles).await;
    addresses_are_those_of_published_articles_in_the_order_of_creation(&*articles).await;
}

fn at(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(1_767_323_045_000_000 + micros).expect("a date")
}

fn article(slug: &str, status: Status, tags: &[&str], created: DateTime<Utc>) -> Article {
    let tags = tags.iter().map(|tag| Tag::parse(tag).unwrap()).collect();
    let content = ArticleContent {
        slug: Some(Slug::parse(slug).unwrap()),
        title: Title::parse(&format!("Title of {slug}")).unwrap(),
        summary: Summary::parse("").unwrap(),
        body: Markdown::parse("line\n\n\u{1f600} 'quoted'; --").unwrap(),
        tags: Tags::new(tags).unwrap(),
        status,
    };
    Article::new(Uuid::now_v7(), content, created).unwrap()
}

async fn an_article_comes_back_as_it_went_in(articles: &dyn ArticleRepository) {
    for (slug, micros, tags) in [
        ("whole-second", 0, &[][..]),
        ("whole-milli", 1_000, &["one"]),
        ("whole-micro", 123_457, &["one", "two-words", "3"]),
    ] {
        let article = article(slug, Status::Published, tags, at(micros));
        articles.insert(&article).await.unwrap();
        assert_eq!(
            articles.find(article.id).await.unwrap(),
            Some(article.clone())
        );
        for _ in 0..2 {
            let found = articles.find_by_slug(&article.slug).await.unwrap();
            assert_eq!(found, Some(article.clone()));
        }
        articles.delete(article.id, 1).await.unwrap();
        assert_eq!(articles.find(article.id).await.unwrap(), None);
        assert_eq!(articles.find_by_slug(&article.slug).await.unwrap(), None);
    }
}

async fn a_slug_belongs_to_one_article(articles: &dyn ArticleRepository) {
    let first = article("mine", Status::Draft, &["a"], at(0));
    articles.insert(&first).await.unwrap();
    let mut second = article("mine", Status::Draft, &["b"], at(0));
    let taken = articles.insert(&second).await;
    assert!(
        matches!(taken, Err(RepositoryError::SlugTaken)),
        "{taken:?}"
    );
    assert_eq!(articles.find(second.id).await.unwrap(), None);

    second.slug = Slug::parse("yours").unwrap();
    articles.insert(&second).await.unwrap();
    let stealing = Article {
        slug: first.slug.clone(),
        tags: first.tags.clone(),
        version: 2,
        ..second.clone()
    };
    let taken = articles.update(&stealing, 1).await;
    assert!(
        matches!(taken, Err(RepositoryError::SlugTaken)),
        "{taken:?}"
    );
    assert_eq!(
        articles.find(second.id).await.unwrap(),
        Some(second.clone())
    );
    for left in [first, second] {
        articles.delete(left.id, 1).await.unwrap();
    }
}

async fn a_change_needs_the_version_that_is_stored(articles: &dyn ArticleRepository) {
    let first = article("changing", Status::Draft, &["a", "b"], at(0));
    articles.insert(&first).await.unwrap();
    let second = Article {
        status: Status::Published,
        published_at: Some(at(5)),
        updated_at: at(5),
        tags: Tags::new(vec![Tag::parse("c").unwrap()]).unwrap(),
        body: Markdown::parse("").unwrap(),
        version: 2,
        ..first.clone()
    };
    articles.update(&second, 1).await.unwrap();
    assert_eq!(articles.find(first.id).await.unwrap(), Some(second.clone()));

    for stale in [
        articles.update(&first, 1).await,
        articles.update(&first, 3).await,
        articles.delete(first.id, 1).await,
        articles.delete(Uuid::now_v7(), 1).await,
        articles
            .update(&article("nowhere", Status::Draft, &[], at(0)), 1)
            .await,
    ] {
        assert!(matches!(stale, Err(RepositoryError::Stale)), "{stale:?}");
    }
    assert_eq!(articles.find(first.id).await.unwrap(), Some(second));
    articles.delete(first.id, 2).await.unwrap();
}

async fn an_address_that_moved_shows_what_is_there_now(articles: &dyn ArticleRepository) {
    let first = article("address", Status::Published, &[], at(0));
    articles.insert(&first).await.unwrap();
    articles.find_by_slug(&first.slug).await.unwrap();
    let moved = Article {
        slug: Slug::parse("new-address").unwrap(),
        version: 2,
        ..first.clone()
    };
    articles.update(&moved, 1).await.unwrap();
    assert_eq!(articles.find_by_slug(&first.slug).await.unwrap(), None);
    let second = article("address", Status::Published, &[], at(1));
    articles.insert(&second).await.unwrap();
    assert_eq!(
        articles.find_by_slug(&first.slug).await.unwrap(),
        Some(second.clone())
    );
    assert_eq!(
        articles.find_by_slug(&moved.slug).await.unwrap(),
        Some(moved.clone())
    );
    articles.delete(moved.id, 2).await.unwrap();
    articles.delete(second.id, 1).await.unwrap();
}

async fn lists_are_sorted_filtered_and_cut(articles: &dyn ArticleRepository) {
    // Dates whose texts have different lengths, and three that are the same.
    let dates = [
        0, 1, 10, 999, 1_000, 1_001, 500_000, 999_999, 1_000_000, 7, 7, 7,
    ];
    let mut stored = Vec::new();
    for (n, micros) in dates.into_iter().enumerate() {
        let status = [Status::Published, Status::Draft][n % 2];
        let tags: &[&str] = [&["x"][..], &["x", "y"], &[]][n % 3];
        let mut article = article(&format!("list-{}", (n * 7) % 12), status, tags, at(micros));
        if n % 4 == 1 {
            article.title = Title::parse("The same title").unwrap();
        }
        articles.insert(&article).await.unwrap();
        stored.push(article);
    }
    let tag = |text: &str| Some(Tag::parse(text).unwrap());
    for sort in [Sort::Newest, Sort::Oldest, Sort::Title] {
        for status in [None, Some(Status::Draft), Some(Status::Published)] {
            for tag in [None, tag("x"), tag("y"), tag("z")] {
                let query = ArticleQuery {
                    status,
                    tag,
                    sort,
                    after: None,
                    limit: 1,
                };
                let expected = expected(&stored, &query);
                for limit in [1, 2, 3, 5, 12, 100] {
                    let found = walk(
                        articles,
                        ArticleQuery {
                            limit,
                            ..query.clone()
                        },
                    )
                    .await;
                    assert_eq!(found, expected, "{query:?} by {limit}");
                }
            }
        }
    }
}

async fn addresses_are_those_of_published_articles_in_the_order_of_creation(
    articles: &dyn ArticleRepository,
) {
    let all = articles
        .list(&ArticleQuery::published(ArticleQuery::MAX_LIMIT))
        .await
        .unwrap();
    assert!(all.next.is_none() && all.items.len() > 3);
    let mut published = all.items;
    published.sort_by_key(|article| article.id);
    let expected: Vec<_> = published
        .into_iter()
        .map(|article| (article.slug, article.updated_at))
        .collect();
    let count = articles.count_published().await.unwrap();
    assert_eq!(count as usize, expected.len());
    for skip in [0, 1, count, count + 1] {
        for limit in [u32::MAX, 3, 1, 0] {
            let found = articles.addresses(skip, limit).await.unwrap().into_iter();
            let found: Vec<_> = found.map(|found| (found.slug, found.updated_at)).collect();
            let expected = expected.iter().skip(skip as usize).take(limit as usize);
            assert_eq!(
                found,
                expected.cloned().collect::<Vec<_>>(),
                "{limit} after {skip}"
            );
        }
    }
}

/// The ids a list should have, made the plainest way.
fn expected(stored: &[Article], query: &ArticleQuery) -> Vec<Uuid> {
    let mut articles: Vec<&Article> = stored
        .iter()
        .filter(|article| query.status.is_none_or(|status| article.status == status))
        .filter(|article| {
            query
                .tag
                .as_ref()
                .is_none_or(|tag| article.tags.contains(tag))
        })
        .collect();
    match query.sort {
        Sort::Title => articles.sort_by_key(|article| (article.title.to_string(), article.id)),
        Sort::Newest | Sort::Oldest => articles.sort_by_key(|article| (article.date(), article.id)),
    }
    if query.sort == Sort::Newest {
        articles.reverse();
    }
    articles.iter().map(|article| article.id).collect()
}

/// The ids of a whole list, page by page.
async fn walk(articles: &dyn ArticleRepository, mut query: ArticleQuery) -> Vec<Uuid> {
    let mut ids = Vec::new();
    loop {
        let slice = articles.list(&query).await.unwrap();
        assert!(slice.items.len() <= usize::from(query.limit));
        ids.extend(slice.items.iter().map(|article| article.id));
        assert_eq!(
            ids.iter().collect::<BTreeSet<_>>().len(),
            ids.len(),
            "no article twice"
        );
        match slice.next {
            Some(cursor) => query.after = Some(cursor),
            None => return ids,
        }
    }
}
