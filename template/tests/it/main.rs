//! The tests of the whole service, in one binary.{% capture body %}

mod architecture;
mod articles;
mod articles_store; //~{% if frontend == "pages" %}
mod assets; //~{% endif %}{% if features contains "auth" %}
mod auth; //~{% endif %}
mod cache;
mod cli;
mod database;
mod debug;
mod edge;
mod error_reports; //~{% if features contains "redis" %}
mod fleet; //~{% endif %}
mod injection;
mod monitoring;
mod openapi;
mod operator;
mod outbound;
mod page_cache; //~{% if frontend == "pages" %}
mod pages; //~{% endif %}
mod problems; //~{% if features contains "pwa" %}
mod pwa; //~{% endif %}
mod settings; //~{% if frontend == "spa" %}
mod spa; //~{% endif %}
mod streaming;
mod support;
mod warmup; //~{% endcapture %}{{ body | remove: " //~" | remove: "//+ " }}
