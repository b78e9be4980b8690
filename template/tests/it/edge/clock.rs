//! A clock that jumps, as that of a machine does when it learns the time.

use std::time::Duration;

use crate::support::{ARTICLES, TestApp, published};

const FEW: [(&str, &str); 4] = [
    ("APP__RATE_LIMIT__ENABLED", "true"),
    ("APP__RATE_LIMIT__REQUESTS", "1"),
    ("APP__RATE_LIMIT__WINDOW", "10s"),
    ("APP__RATE_LIMIT__BURST", "10"),
];

#[tokio::test]
async fn a_clock_that_jumps_forward_or_back_stops_nothing() {
    let app = TestApp::with(&FEW).await;
    let article = app.create(ARTICLES, &published("Before")).await;
    let days = |days: u64| Duration::from_hours(24 * days);
    let forward = || app.clock.advance(days(2));
    let back = || app.clock.turn_back(days(4));
    let jumps: [(&str, &dyn Fn()); 2] = [("Forward", &forward), ("Back", &back)];
    for (title, jump) in jumps {
        assert_eq!(app.get("/").await.status, 200);
        while app.get(&article).await.status == 200 {}
        jump();
        // The quota is full, not used up for days; who may write still may; and what is kept gives way to what is new.
        let changed = app.put(&article, &published(title)).await;
        assert_eq!(changed.status, 200, "{title}: {}", changed.text());
        assert_eq!(app.get(&article).await.json()["title"], title);
        assert_eq!(app.get("/").await.status, 200);
    }
}
