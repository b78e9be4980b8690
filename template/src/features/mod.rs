//! Optional slices: each is a folder here and a line in `app.rs`; delete both to be rid of it.{% capture body %}{% if frontend == "pages" %}

// First, because the macros of its assets are known only to what stands below it.
#[macro_use]
pub mod pages; //~{% endif %}{% if features contains "auth" %}

pub mod auth; //~{% endif %}{% if frontend == "spa" %}

pub mod spa; //~{% endif %}{% endcapture %}{{ body | remove: " //~" | remove: "//+ " }}
