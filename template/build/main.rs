//! Stamps the build, and makes what is embedded in it.{% capture body %}

#![expect(
    clippy::disallowed_methods,
    reason = "a build script is set up by its environment"
)]

use std::env;
use std::path::PathBuf;

mod migrations;
mod stamps; //~{% if frontend == "spa" %}

mod frontend; //~{% endif %}{% if frontend == "pages" %}

mod asset_step;
mod assets; //~{% endif %}

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()); //~{% if frontend == "pages" %}
    if asset_step::is_asked_for() {
        return asset_step::run_alone();
    }
    // Before the stamps, which read the same folder and know nothing of links that lead in a circle.
    asset_step::run(&out); //~{% endif %}
    stamps::stamp_all();
    migrations::list(&out); //~{% if false %}
    frontend::list(&out, false); //~{% endif %}{% if frontend == "spa" %}

    //+ frontend::list(&out, env::var("PROFILE").as_deref() == Ok("release")); //~{% endif %}
} //~{% endcapture %}{{ body | remove: " //~" | remove: "//+ " }}
