//! Optional slices: each is a folder here and a line in `app.rs`; delete both to be rid of it.{% capture body %}{% if frontend == "pages" %}

pub mod pages; //~{% endif %}{% if features contains "auth" %}

pub mod auth; //~{% endif %}{% if features contains "pwa" %}

pub mod pwa; //~{% endif %}{% if frontend == "spa" %}

pub mod spa; //~{% endif %}{% if frontend != "none" %}

pub mod sitemap; //~{% endif %}{% endcapture %}{{ body | remove: " //~" | remove: "//+ " }}
