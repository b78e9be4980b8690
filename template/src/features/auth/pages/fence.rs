//! The fence around forms: who is not signed in is led to where one can, and back.

use std::fmt::Write;

use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};

use super::see;
use crate::component::Routes;
use crate::features::auth::Auth;
use crate::features::auth::domain::Permission;
use crate::features::auth::error::AuthError;
use crate::http::{Kind, Problem};

/// Lets only those who have the permission use `forms`, be it to look at them.
pub fn fence(forms: Routes, fence: (Auth, Permission)) -> Routes {
    forms.wrap(|forms| forms.route_layer(from_fn_with_state(fence, pass)))
}

async fn pass(
    State((auth, permission)): State<(Auth, Permission)>,
    request: Request,
    next: Next,
) -> Response {
    match auth.pass(permission, request, next).await {
        Ok(response) => response,
        // What was to be sent would be lost on the way: it can be sent again from the form, once signed in elsewhere.
        Err((AuthError::Unauthenticated, request)) if request.method.is_safe() => {
            let asked = request
                .uri
                .path_and_query()
                .map_or("/", |asked| asked.as_str());
            see(
                &request,
                &format!("/login?next={}", escaped(asked)),
                None,
                None,
            )
        }
        Err((AuthError::Unauthenticated, _)) => {
            let detail = "You are no longer signed in. Sign in again in another tab, then reload this page: nothing you wrote is lost.";
            let problem = Problem::new(Kind::Unauthenticated).detail(detail);
            problem.into_response()
        }
        Err((error, _)) => Problem::from(error).into_response(),
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
