//! Three articles to begin with, which tell what this service is; `seed` adds them.

use super::commands::ArticleContent;
use super::entity::Status;
use super::error::ArticleError;
use super::markdown::Markdown;
use super::service::ArticleService;
use super::values::{Summary, Tag, Tags, Title};
use crate::domain::error::Invalid;

struct Sample {
    title: &'static str,
    summary: &'static str,
    tags: &'static [&'static str],
    body: &'static str,
}

/// Oldest first.
const SAMPLES: [Sample; 3] = [
    Sample {
        title: "Make it yours",
        summary: "Where things are, and how to put your own noun in the place of articles.",
        tags: &["guide", "structure"],
        body: include_str!("samples/make-it-yours.md"),
    },
    Sample {
        title: "How a page is served twice",
        summary: "Once from the database, and from then on out of memory or disk, until something in it changes.",
        tags: &["cache", "guide"],
        body: include_str!("samples/how-a-page-is-served-twice.md"),
    },
    Sample {
        title: "Start here",
        summary: "Your service runs. Here is what it does already, and three things to try.",
        tags: &["guide"],
        body: include_str!("samples/start-here.md"),
    },
];

/// Adds the samples that are not there yet and says how many that were.
///
/// # Errors
/// If the store fails.
pub async fn add_samples(articles: &ArticleService) -> anyhow::Result<usize> {
    let mut added = 0;
    for sample in &SAMPLES {
        match articles.create(content(sample)?).await {
            Ok(_) => added += 1,
            Err(ArticleError::SlugTaken(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(added)
}

fn content(sample: &Sample) -> Result<ArticleContent, Invalid> {
    let tags = sample
        .tags
        .iter()
        .map(|tag| Tag::parse(tag))
        .collect::<Result<_, _>>()?;
    Ok(ArticleContent {
        slug: None,
        title: Title::parse(sample.title)?,
        summary: Summary::parse(sample.summary)?,
        body: Markdown::parse(sample.body)?,
        tags: Tags::new(tags)?,
        status: Status::Published,
    })
}
