//! Tells open pages when an asset has changed or the service is another build; in development only.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use tokio_util::sync::CancellationToken;

use crate::component::Routes;
use crate::http::assets::{Live, Url};
use crate::platform::Platform;

pub(super) fn routes(platform: &Platform) -> Routes {
    if !platform.settings.environment.is_development() {
        return Routes::new();
    }
    Routes::new()
        .get("/dev/reload", tell)
        .with_state((platform.assets.live(), platform.shutdown.clone()))
}

/// The script by which pages load themselves again.
pub(super) fn script() -> Option<Url> {
    Live::is_watched().then_some(asset!("reload.debug.js"))
}

/// Server-sent events, until the page is gone or the service stops.
async fn tell(State((live, shutdown)): State<(Arc<Live>, CancellationToken)>) -> Response {
    live.tell(shutdown).await
}
