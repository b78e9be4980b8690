//! What every handler shares: the server, the front with the pages in memory, the edge around the routes, problems,
//! extractors, the page cache.{% capture body %}

pub mod accept;
pub mod api; //~{% if frontend == "pages" %}
pub mod assets; //~{% endif %}
pub mod client_address;
pub mod cookies;
pub mod cors;
mod cross_site;
pub mod csrf;
mod edge;
pub mod extract;
mod front;
mod healthcheck;
mod number;
mod operator;
mod overload;
pub mod page_cache;
mod pieces;
pub mod problem;
pub mod rate_limit;
mod request_id;
pub mod responses;
pub mod routes;
pub mod security;
mod server; //~{% if features contains "otel" %}
mod trace; //~{% endif %}
mod visit;

pub use client_address::{ClientAddress, is_https};
pub use edge::Edge;
pub use front::Front;
pub use healthcheck::healthcheck;
pub use operator::Operator;
pub use problem::{FieldError, Kind, Problem};
pub use request_id::RequestId;
pub use server::{
    Answer, Client, Listener, Listeners, OperatorSettings, Plain, ServerSettings, TlsSettings,
    serve,
};
pub use visit::visit;

/// Whether somebody asks how the service is, which must work when little else does.
fn is_health(path: &str) -> bool {
    path == "/health" || path.starts_with("/health/")
}

/// Whether it is for programs.
fn is_api(path: &str) -> bool {
    path == "/api" || path.starts_with("/api/")
} //~{% endcapture %}{{ body | remove: " //~" | remove: "//+ " }}
