//! `/admin/cache`: what the cache holds, and how to make it forget.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::response::IntoResponse;
use serde::Deserialize;

use crate::component::Routes;
use crate::http::extract::Query;
use crate::http::{Kind, Problem};
use crate::infra::cache::Store;
use crate::platform::Platform;

pub(super) fn routes(platform: &Platform) -> Routes {
    Routes::new()
        .get("/admin/cache/stats", stats)
        .post("/admin/cache/invalidate", invalidate)
        .post("/admin/cache/flush", flush)
        .with_state(Forgetting {
            cache: platform.cache.clone(),
            is_enabled: platform.settings.cache.delete_enabled,
        })
}

#[derive(Clone)]
struct Forgetting {
    cache: Store,
    is_enabled: bool,
}

impl Forgetting {
    /// The cache, if it may forget anything: who asks for it must not believe that it has when it has not.
    fn cache(&self) -> Result<&Store, Problem> {
        if self.is_enabled {
            return Ok(&self.cache);
        }
        Err(Problem::new(Kind::Conflict)
            .detail("Nothing is removed from the cache while cache.delete_enabled is false."))
    }
}

async fn stats(State(Forgetting { cache, .. }): State<Forgetting>) -> impl IntoResponse {
    ([(CACHE_CONTROL, "no-store")], Json(cache.stats()))
}

/// One of both.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct What {
    /// `namespace:key`
    key: Option<String>,
    tag: Option<String>,
}

async fn invalidate(
    State(forgetting): State<Forgetting>,
    Query(what): Query<What>,
) -> Result<StatusCode, Problem> {
    match (what.key.as_deref(), what.tag.as_deref()) {
        (Some(key), None) if key.contains(':') => forgetting.cache()?.invalidate_key(key).await,
        (None, Some(tag)) if !tag.is_empty() => forgetting.cache()?.invalidate_tags([tag]).await,
        _ => {
            return Err(Problem::new(Kind::Malformed)
                .detail("Say what is outdated: either ?key=NAMESPACE:KEY or ?tag=TAG."));
        }
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn flush(State(forgetting): State<Forgetting>) -> Result<StatusCode, Problem> {
    forgetting.cache()?.flush().await;
    Ok(StatusCode::NO_CONTENT)
}
