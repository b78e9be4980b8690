//! The real binary, started, misused, stopped and killed.{% capture body %}

mod commands;
mod config;
mod hostile;
mod http;
mod http2;
mod limits;
mod logs;
mod operator; //~{% if frontend == "pages" %}
mod pages; //~{% endif %}{% if false %}
#[cfg(feature = "postgres")] //~{% endif %}{% if database == "postgres" %}
mod postgres; //~{% endif %}
mod process; //~{% if false %}
#[cfg(feature = "postgres")] //~{% endif %}{% if database == "postgres" %}
mod proxy; //~{% endif %}
mod replace; //~{% if false %}
#[cfg(not(feature = "postgres"))] //~{% endif %}{% if database == "sqlite" %}
mod sqlite; //~{% endif %}
mod start;
mod stop;
mod storage;
mod tls; //~{% if features contains "otel" %}
mod traces; //~{% endif %}
mod tracker; //~{% if features contains "auth" %}
mod users; //~{% endif %}
mod writing; //~{% endcapture %}{{ body | remove: " //~" | remove: "//+ " }}
