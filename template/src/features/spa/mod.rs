//! The single-page application: the page that loads it, its files, and the addresses that are its own.

pub mod articles;
mod files;
mod shell;

use axum::extract::State;
use axum::http::Method;
use axum::http::request::Parts;
use axum::response::Response;

use self::shell::Shell;
use crate::component::{Component, Routes};
use crate::http::accept::{Form, preferred};
use crate::http::page_cache::{CachePolicy, Page, PageCache};
use crate::http::{Kind, Problem};
use crate::platform::Platform;

/// The name in the header, and the title of the front page.
const SITE: &str = env!("CARGO_PKG_NAME");

/// Nothing that is sent depends on who asks.
const PAGE: CachePolicy = CachePolicy::new().ignoring_cookies();

/// A name with a hash never gets other content, so browsers may keep it for a year.
const HASHED: CachePolicy = PAGE.cache_control("public, max-age=31536000, immutable");

/// The files of the application, and every address that nothing else answers: it knows its pages by itself.
#[must_use]
pub fn component(platform: &Platform) -> Component {
    let pages = platform.pages.clone();
    Component {
        name: "single-page application",
        pages: Routes::new()
            .get("/assets/{*path}", asset)
            .fallback(file_or_page)
            .with_state((pages, Shell::built())),
        ..Component::default()
    }
}

async fn asset(
    State((pages, _)): State<(PageCache, Shell)>,
    request: Parts,
) -> Result<Response, Problem> {
    file(&pages, &HASHED, &request)
        .ok_or_else(|| Problem::new(Kind::NotFound))?
        .await
}

async fn file_or_page(
    State((pages, shell)): State<(PageCache, Shell)>,
    request: Parts,
) -> Result<Response, Problem> {
    if let Some(file) = file(&pages, &PAGE, &request) {
        return file.await;
    }
    if !is_page(&request) {
        return Err(Problem::new(Kind::NotFound));
    }
    empty(&pages, shell, &request).await
}

/// The answer with the file that stands at the address asked for, if there is one.
fn file<'a>(
    pages: &'a PageCache,
    policy: &'a CachePolicy,
    request: &'a Parts,
) -> Option<impl Future<Output = Result<Response, Problem>> + Send + 'a> {
    let path = request.uri.path();
    let file = files::find(path.trim_start_matches('/'))?;
    let page = async || Ok(Page::new(file.content_type, file.content));
    Some(pages.render(request, path, policy, page))
}

/// The page without data; the application asks for what it needs.
async fn empty(pages: &PageCache, shell: Shell, request: &Parts) -> Result<Response, Problem> {
    let page = async move || Ok(shell.page());
    pages.render(request, "/index.html", &PAGE, page).await
}

/// Whether somebody goes to the address with a browser. A name with a dot is that of a file, and below the others are
/// answers for programs.
fn is_page(request: &Parts) -> bool {
    let mut names = request.uri.path().split('/').skip(1);
    let is_taken = matches!(names.next(), Some("api" | "assets" | "health"));
    let is_file = request
        .uri
        .path()
        .rsplit('/')
        .next()
        .is_some_and(|name| name.contains('.'));
    let is_navigation = matches!(request.method, Method::GET | Method::HEAD)
        && preferred(&request.headers, &[Form::Json, Form::Html]) == Form::Html;
    is_navigation && !is_taken && !is_file
}

#[cfg(test)]
mod tests {
    use axum::http::Request;
    use axum::http::header::ACCEPT;

    use super::*;

    fn is_page_for(method: Method, path: &str, accept: &str) -> bool {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(ACCEPT, accept);
        let (request, ()) = request.body(()).unwrap().into_parts();
        is_page(&request)
    }

    #[test]
    fn only_a_browser_that_goes_to_an_unknown_address_gets_the_application() {
        const BROWSER: &str = "text/html,application/xhtml+xml,*/*;q=0.8";
        for path in ["/", "/write", "/articles/hello/edit", "/v1.0/notes"] {
            assert!(is_page_for(Method::GET, path, BROWSER), "{path}");
            assert!(is_page_for(Method::HEAD, path, BROWSER), "{path}");
            assert!(!is_page_for(Method::POST, path, BROWSER), "{path}");
            assert!(!is_page_for(Method::GET, path, "*/*"), "{path}");
            assert!(
                !is_page_for(Method::GET, path, "application/json"),
                "{path}"
            );
        }
        for path in [
            "/assets/gone",
            "/api/v1/nothing",
            "/api",
            "/health/x",
            "/robots.txt",
            "/a/b.js",
        ] {
            assert!(!is_page_for(Method::GET, path, BROWSER), "{path}");
        }
    }
}
