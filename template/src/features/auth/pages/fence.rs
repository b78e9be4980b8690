//! The fence around forms: who is not signed in is led to where one can, and back.

use std::fmt::Write;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::middleware::from_extractor_with_state;
use axum::response::{IntoResponse, Response};

use super::see;
use crate::component::Routes;
use crate::features::auth::error::AuthError;
use crate::features::auth::fences::{Fence, is_for_administrators};
use crate::http::{Kind, Problem};

/// Lets only those who have the permission use `forms`, be it to look at them.
pub fn fence(forms: Routes, fence: Fence) -> Routes {
    let layer = from_extractor_with_state::<FormUse, _>(fence);
    forms.wrap(|forms| forms.route_layer(layer))
}

/// Lets only administrators see those of `pages` that are theirs, and leads others to where they can sign in.
pub fn administrators_only(pages: Routes, fence: Fence) -> Routes {
    let layer = from_extractor_with_state::<AdministratorsUse, _>(fence);
    pages.wrap(|pages| pages.route_layer(layer))
}

struct AdministratorsUse;

impl FromRequestParts<Fence> for AdministratorsUse {
    type Rejection = Response;

    async fn from_request_parts(request: &mut Parts, fence: &Fence) -> Result<Self, Response> {
        if is_for_administrators(request) {
            FormUse::from_request_parts(request, fence).await?;
        }
        Ok(Self)
    }
}

/// The use of a form by who may use it.
struct FormUse;

impl FromRequestParts<Fence> for FormUse {
    type Rejection = Response;

    async fn from_request_parts(request: &mut Parts, fence: &Fence) -> Result<Self, Response> {
        match fence.enter(request).await {
            Ok(()) => Ok(Self),
            // What was to be sent would be lost on the way: it can be sent again from the form, once signed in elsewhere.
            Err(AuthError::Unauthenticated) if request.method.is_safe() => {
                let asked = request.uri.path_and_query();
                let asked = escaped(asked.map_or("/", |asked| asked.as_str()));
                Err(see(request, &format!("/login?next={asked}"), None, None))
            }
            Err(AuthError::Unauthenticated) => {
                let detail = "You are no longer signed in. Sign in again in another tab, then reload this page: nothing you wrote is lost.";
                let problem = Problem::new(Kind::Unauthenticated).detail(detail);
                Err(problem.into_response())
            }
            Err(error) => Err(Problem::from(error).into_response()),
        }
    }
}

/// A path as the value of a parameter.
fn escaped(path: &str) -> String {
    let mut escaped = String::new();
    for byte in path.bytes() {
        match byte {
            b'/' | b'-' | b'_' | b'.' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {
                escaped.push(byte.into());
            }
            _ => {
                // Writing to memory does not fail.
                let _ = write!(escaped, "%{byte:02X}");
            }
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn a_path_stays_one_value() {
        assert_eq!(escaped("/a-b/c?d=e&f=%20"), "/a-b/c%3Fd%3De%26f%3D%2520");
    }
}
