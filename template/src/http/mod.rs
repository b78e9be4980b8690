//! What every handler shares: the server, the front with the pages in memory, the layers around the routes, problems,
//! extractors, the page cache.{% capture body %}

pub mod accept; //~{% if frontend == "pages" %}
pub mod assets; //~{% endif %}
pub mod client_address;
pub mod cookies;
mod cross_site;
pub mod extract;
mod front;
mod healthcheck;
mod middleware;
mod operator;
pub mod page_cache;
mod pieces;
pub mod problem;
mod request_id;
mod security;
mod server;
mod visit;

pub use client_address::ClientAddress;
pub use front::Front;
pub use healthcheck::healthcheck;
pub use middleware::around;
pub use operator::around_operator;
pub use problem::{FieldError, Kind, Problem};
pub use request_id::RequestId;
pub use server::{
    Answer, Client, Listener, Listeners, OperatorSettings, ServerSettings, TlsSettings, serve,
};
pub use visit::visit; //~{% endcapture %}{{ body | remove: " //~" | remove: "//+ " }}
