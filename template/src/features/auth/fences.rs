//! Who may use what of the other components: reading is for everybody, writing for whom the table below says. What is below
//! `/admin` is for administrators, be it to look at.{% capture body %}

use anyhow::ensure;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::middleware::from_extractor_with_state;

use super::Auth;
use super::domain::Permission;
use super::error::AuthError;
use super::guard::permitted;
use super::responses::{Guarded, optional_requirements, requirements};
use super::sessions::Caller;
use crate::component::Component;
use crate::http::Problem;
use crate::http::extract::Unpublished;
use crate::http::page_cache::ForOneClient;
use crate::http::responses::for_each_operation;

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
    let fence = Fence {
        auth: auth.clone(),
        permission: named.map_or(Permission::WriteAnything, |(_, permission)| *permission),
    };
    if document(&mut component) {
        let api = from_extractor_with_state::<ApiUse, _>(fence.clone());
        component.api = component.api.route_layer(api);
    }
    let writes = from_extractor_with_state::<Writing, _>(fence.clone());
    component.pages = component.pages.wrap(|pages| pages.route_layer(writes)); //~{% if frontend == "pages" %}
    component.forms = super::pages::fence(component.forms, fence.clone());
    component.pages = super::pages::administrators_only(component.pages, fence); //~{% endif %}
    component
}

/// Who lets through to some routes, and whom. A cheap handle.
#[derive(Clone)]
pub(super) struct Fence {
    auth: Auth,
    permission: Permission,
}

impl Fence {
    /// Lets the sender of a request through, and notes who it is.
    pub async fn enter(&self, request: &mut Parts) -> Result<(), AuthError> {
        let caller = self.writer(request).await?;
        caller.enter(&mut request.extensions);
        if is_for_administrators(request) {
            request.extensions.insert(ForOneClient);
        }
        Ok(())
    }

    async fn writer(&self, request: &Parts) -> Result<Caller, AuthError> {
        let (headers, extensions) = (&request.headers, &request.extensions);
        let caller = self.auth.caller(headers, extensions).await?;
        let permission = if is_for_administrators(request) {
            Permission::WriteAnything
        } else {
            self.permission
        };
        permitted(caller, permission)
    }
}

/// Whether it is so without any line in a table: whoever adds a page there, and nothing else, has closed it.
pub(super) fn is_for_administrators(request: &Parts) -> bool {
    let below = request.uri.path().strip_prefix("/admin");
    below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// A write, or a look at what is for administrators, by who may; or neither.
struct Writing;

impl FromRequestParts<Fence> for Writing {
    type Rejection = Problem;

    async fn from_request_parts(request: &mut Parts, fence: &Fence) -> Result<Self, Problem> {
        if !request.method.is_safe() || is_for_administrators(request) {
            fence.enter(request).await?;
        }
        Ok(Self)
    }
}

/// The same; of a read the handler is told whether what is not published may be seen.
struct ApiUse;

impl FromRequestParts<Fence> for ApiUse {
    type Rejection = Problem;

    async fn from_request_parts(request: &mut Parts, fence: &Fence) -> Result<Self, Problem> {
        if request.method.is_safe() {
            let unpublished = match fence.writer(request).await {
                Ok(_) => Ok(()),
                Err(error @ AuthError::TooMany(_)) => return Err(error.into()),
                Err(error) => Err(error.kind()),
            };
            request.extensions.insert(Unpublished(unpublished));
        }
        Writing::from_request_parts(request, fence).await?;
        Ok(Self)
    }
}

/// Says in the document what the fences do, and whether there is anything in it.
fn document(component: &mut Component) -> bool {
    let document = component.api.get_openapi_mut();
    for_each_operation(document, |operation, is_write| {
        operation.responses.responses.extend(Guarded::all());
        operation.security = Some(if is_write {
            requirements()
        } else {
            optional_requirements()
        });
    });
    !document.paths.paths.is_empty()
} //~{% endcapture %}{{ body | remove: " //~" | remove: "//+ " }}
