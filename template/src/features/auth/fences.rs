//! Who may use what of the other components: reading is for everybody, writing for whom the table below says.{% capture body %}

use anyhow::ensure;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};

use super::Auth;
use super::domain::Permission;
use super::error::AuthError;
use super::guard::permitted;
use super::responses::{Guarded, optional_requirements, requirements};
use crate::component::Component;
use crate::http::Problem;
use crate::http::extract::Unpublished;

/// By the name of the component. One that is not here is for administrators, so that a new one is never left open.
const WRITING: &[(&str, Permission)] = &[
    // What editors are for.
    ("articles", Permission::WriteArticles), //~{% if frontend == "pages" %}
    ("article pages", Permission::WriteArticles), //~{% endif %}
];

/// # Errors
/// If the table names a component that is not there, which would leave the one that was meant to the default.
pub fn around(components: Vec<Component>, auth: &Auth) -> anyhow::Result<Vec<Component>> {
    for (name, _) in WRITING {
        let is_there = components.iter().any(|component| component.name == *name);
        ensure!(
            is_there,
            "there is no component `{name}` to put a fence around"
        );
    }
    Ok(components
        .into_iter()
        .map(|component| fenced(component, auth))
        .collect())
}

fn fenced(mut component: Component, auth: &Auth) -> Component {
    let named = WRITING.iter().find(|(name, _)| *name == component.name);
    let permission = named.map_or(Permission::WriteAnything, |(_, permission)| *permission);
    let fence = (auth.clone(), permission);
    if document(&mut component) {
        component.api = component
            .api
            .route_layer(from_fn_with_state(fence.clone(), pass_api));
    }
    let writes = from_fn_with_state(fence.clone(), pass_writes);
    component.pages = component.pages.wrap(|pages| pages.route_layer(writes)); //~{% if frontend == "pages" %}
    component.forms = super::pages::fence(component.forms, fence); //~{% endif %}
    component
}

/// Writes are for who may write; so is what is not published, about which the handler knows.
async fn pass_api(
    State((auth, permission)): State<(Auth, Permission)>,
    mut request: Request,
    next: Next,
) -> Response {
    if request.method().is_safe() {
        let caller = auth.caller(request.headers(), request.extensions()).await;
        if let Err(error @ AuthError::TooMany(_)) = caller {
            return Problem::from(error).into_response();
        }
        let writer = caller.and_then(|caller| permitted(caller, permission));
        let unpublished = Unpublished(writer.map(drop).map_err(|error| error.kind()));
        request.extensions_mut().insert(unpublished);
    }
    pass_writes(State((auth, permission)), request, next).await
}

async fn pass_writes(
    State((auth, permission)): State<(Auth, Permission)>,
    request: Request,
    next: Next,
) -> Response {
    if request.method().is_safe() {
        return next.run(request).await;
    }
    let passed = auth.pass(permission, request, next).await;
    passed.unwrap_or_else(|(error, _)| Problem::from(error).into_response())
}

/// Says in the document what the fences do, and whether there is anything in it.
fn document(component: &mut Component) -> bool {
    let paths = &mut component.api.get_openapi_mut().paths.paths;
    for item in paths.values_mut() {
        if let Some(operation) = &mut item.get {
            operation.responses.responses.extend(Guarded::all());
            operation.security = Some(optional_requirements());
        }
        let writes = [
            &mut item.post,
            &mut item.put,
            &mut item.patch,
            &mut item.delete,
        ];
        for operation in writes.into_iter().flatten() {
            operation.responses.responses.extend(Guarded::all());
            operation.security = Some(requirements());
        }
    }
    !paths.is_empty()
} //~{% endcapture %}{{ body | remove: " //~" | remove: "//+ " }}
