//! Stamps the build, lists the migrations to embed, and makes the assets.{% capture body %}

#![expect(
    clippy::disallowed_methods,
    reason = "a build script is set up by its environment"
)]

use std::env;
use std::path::PathBuf; //~{% if frontend == "pages" %}

mod asset_step;
mod assets; //~{% endif %}
mod migrations;
mod stamps;

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()); //~{% if frontend == "pages" %}
    if asset_step::is_asked_for() {
        return asset_step::run_alone();
    }
    // Before the stamps, which read the same folder and know nothing of links that lead in a circle.
    asset_step::run(&out); //~{% endif %}
    stamps::stamp_all();
    migrations::list(&out);
} //~{% endcapture %}{{ body | remove: " //~" | remove: "//+ " }}
