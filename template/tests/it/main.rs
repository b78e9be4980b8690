//! The tests of the whole service, in one binary.{% capture body %}

mod architecture;
mod articles;
mod articles_store;
mod cache;
mod cli;
mod openapi;
mod page_cache; //~{% if frontend == "pages" %}
mod pages; //~{% endif %}
mod problems;
mod settings;
mod support; //~{% endcapture %}{{ body | remove: " //~" | remove: "//+ " }}
