//! The service, in three layers: `handlers` → `domain` ← `infra`.{% capture body %}
//!
//! | question | look in |
//! |---|---|
//! | What are the rules? | [`domain`] |
//! | Which requests are answered, and how? | [`handlers`] |
//! | Where is it stored and cached? | [`infra`] |
//! | What happens around every request? | [`http`] |
//! | What can be set? | [`settings`], `config/default.toml` |
//! | What does it tell about itself? | [`telemetry`] |
//! | How is it put together? | [`app`] |

pub mod app;
pub mod component;
pub mod domain; //~{% if frontend != "none" or features contains "auth" %}
pub mod features; //~{% endif %}
pub mod handlers;
pub mod http;
pub mod infra;
pub mod platform;
pub mod settings;
pub mod telemetry; //~{% endcapture %}{{ body | remove: " //~" | remove: "//+ " }}
