//! What is below `/admin` is for administrators, whoever has added it and whatever they forgot.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use app::component::{Component, Routes};
use app::features::auth::{NewUser, Role, access_token_for, protect};
use app::http::page_cache::{CachePolicy, Page, PageCache};
use app::http::problem::Presentation;
use app::http::rate_limit::RateLimits;
use app::http::{self, ClientAddress};
use app::platform::Platform;
use axum::Router;
use axum::body::Body;
use axum::http::request::Parts;
use serde_json::json;
use tokio_util::task::TaskTracker;

use crate::support::{Answer, Home, JSON, fixed_clock, request};

const PASSWORD: &str = "correct horse battery staple";

/// A service with a component that its owner has added, and put into no table.
struct Owned {
    edge: http::Edge,
    platform: Platform,
    /// How often a page was made that its handler would have kept for everybody.
    made: Arc<AtomicUsize>,
    _home: Home,
}

impl Owned {
    async fn start() -> Self {
        let home = Home::new().await;
        let platform = Platform::connect(home.settings(&[]), fixed_clock()).await;
        let platform = platform.expect("a database");
        for role in [Role::Member, Role::Editor, Role::Admin] {
            let new = NewUser {
                email: &email(role),
                name: "Somebody",
                password: PASSWORD,
                role,
            };
            new.add(&platform).await.expect("a new account");
        }
        let made = Arc::<AtomicUsize>::default();
        // The tables of the fences name the first two.
        let components = ["articles", "article pages"].map(|name| Component {
            name,
            pages: Routes::new().get(&format!("/admin/{}", name.replace(' ', "-")), secret),
            ..Component::default()
        });
        let own = owned(&platform.pages, &made);
        let components = components.into_iter().chain([own]).collect();
        let mut routes = Routes::new();
        for component in protect(components, &platform) {
            assert!(component.refused.is_none(), "{:?}", component.refused);
            let api = Router::new().nest("/api/v1", component.api.split_for_parts().0);
            routes = routes.merge(component.pages).merge(component.forms);
            routes = routes.merge(Routes::with_table(api, Vec::new()));
        }
        let edge = http::Edge::public(
            routes,
            &platform.settings,
            Presentation::default(),
            TaskTracker::new(),
            &RateLimits::local(fixed_clock()),
        );
        Self {
            edge,
            platform,
            made,
            _home: home,
        }
    }

    async fn ask(&self, method: &str, path: &str, header: (&str, &str)) -> Answer {
        let request = request(method, path, &[header], Body::empty());
        self.send(request).await
    }

    async fn send(&self, mut request: axum::http::Request<Body>) -> Answer {
        request.extensions_mut().insert(ClientAddress {
            ip: [192, 0, 2, 1].into(),
            is_https: false,
        });
        Answer::of(self.edge.answer(request).await).await
    }

    /// Shows the token of somebody with this role.
    async fn ask_as(&self, role: Role, method: &str, path: &str) -> Answer {
        let token = access_token_for(&self.platform, &email(role)).await;
        let bearer = format!("Bearer {}", token.expect("an account"));
        self.ask(method, path, ("authorization", &bearer)).await
    }

    /// The cookie of an administrator's browser.
    async fn browser(&self) -> String {
        let body = json!({ "email": email(Role::Admin), "password": PASSWORD }).to_string();
        let answer = self
            .send(request(
                "POST",
                "/api/v1/auth/session",
                &[JSON],
                body.into(),
            ))
            .await;
        assert_eq!(answer.status, 204, "{}", answer.text());
        let cookie = answer.header("set-cookie").split(';').next();
        cookie.expect("a cookie").to_owned()
    }
}

fn email(role: Role) -> String {
    format!("{}@example.com", role.as_str())
}

async fn secret() -> &'static str {
    "secret"
}

fn owned(pages: &PageCache, made: &Arc<AtomicUsize>) -> Component {
    let (pages, made) = (pages.clone(), Arc::clone(made));
    let kept = async move |request: Parts| {
        let render = async move || {
            made.fetch_add(1, Ordering::SeqCst);
            Ok::<_, http::Problem>(Page::html("secret".to_owned()))
        };
        let policy = CachePolicy::new().ignoring_cookies();
        pages.render(&request, "/admin/kept", &policy, render).await
    };
    let pages = Routes::new()
        .get("/admin", secret)
        .get("/admin/report", secret)
        .post("/admin/report", secret)
        .get("/admin/{name}/details", secret)
        .get("/admin/kept", kept)
        .get("/{anything}/of/theirs", secret)
        .get("/administration", async || "public")
        .get("/about/admin", async || "public");
    Component {
        name: "an owner's own",
        pages,
        ..Component::default()
    }
}

const BELOW: [&str; 7] = [
    "/admin",
    "/admin/report",
    "/admin/7/details",
    "/admin/kept",
    "/admin/of/theirs",
    "/admin/articles",
    "/admin/article-pages",
];

#[tokio::test]
async fn a_page_below_admin_is_shown_to_administrators_and_nobody_else() {
    let service = Box::pin(Owned::start()).await;
    for path in BELOW {
        for method in ["GET", "HEAD"] {
            let nobody = service.ask(method, path, ("accept", "text/html")).await;
            // Pages lead to where one can sign in; without them there is no such place.
            assert!(
                [303, 401].contains(&nobody.status),
                "{path}: {}",
                nobody.status
            );
            assert!(!nobody.text().contains("secret"), "{path}");
            for role in [Role::Member, Role::Editor] {
                let refused = service.ask_as(role, method, path).await;
                assert_eq!(refused.status, 403, "{path} as {role:?}");
                assert!(!refused.text().contains("secret"), "{path}");
            }
            let shown = service.ask_as(Role::Admin, method, path).await;
            assert_eq!(shown.status, 200, "{path}");
        }
    }
    let shown = service.ask_as(Role::Admin, "GET", "/admin").await;
    assert_eq!(shown.text(), "secret");
}

#[tokio::test]
async fn what_is_done_below_admin_is_done_by_administrators() {
    let service = Box::pin(Owned::start()).await;
    let header = ("accept", "text/html");
    let nobody = service.ask("POST", "/admin/report", header).await;
    assert_eq!(nobody.status, 401);
    let editor = service.ask_as(Role::Editor, "POST", "/admin/report").await;
    assert_eq!(editor.status, 403);
    let admin = service.ask_as(Role::Admin, "POST", "/admin/report").await;
    assert_eq!((admin.status, admin.text()), (200, "secret"));
}

#[tokio::test]
async fn what_only_looks_like_it_is_for_everybody() {
    let service = Box::pin(Owned::start()).await;
    for path in ["/administration", "/about/admin"] {
        let page = service.ask("GET", path, ("accept", "text/html")).await;
        assert_eq!((page.status, page.text()), (200, "public"), "{path}");
    }
}

#[tokio::test]
async fn a_page_below_admin_stays_in_no_cache_although_its_policy_says_so() {
    let service = Box::pin(Owned::start()).await;
    let cookie = service.browser().await;
    for visit in 1..=2 {
        let page = service.ask("GET", "/admin/kept", ("cookie", &cookie)).await;
        assert_eq!((page.status, page.text()), (200, "secret"));
        let kept = page.header("cache-control");
        assert!(
            kept.contains("private") || kept.contains("no-store"),
            "{kept}"
        );
        assert_eq!(service.made.load(Ordering::SeqCst), visit);
    }
}
