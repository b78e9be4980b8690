//! The tests of the whole service, in one binary.{% capture body %}

mod architecture;
mod articles;
mod articles_store; //~{% if frontend == "pages" %}
mod assets; //~{% endif %}{% if features contains "auth" %}
mod auth; //~{% endif %}
mod cache;
mod cli; //~{% if features contains "redis" %}
mod fleet; //~{% endif %}
mod openapi;
mod operator;
mod page_cache; //~{% if frontend == "pages" %}
mod pages; //~{% endif %}
mod problems;
mod settings; //~{% if frontend == "spa" %}
mod spa; //~{% endif %}
mod support;
mod warmup; //~{% endcapture %}{{ body | remove: " //~" | remove: "//+ " }}
