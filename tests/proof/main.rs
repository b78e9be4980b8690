//! What the template renders, for every combination of answers, by the oldest and the newest cargo-generate.

mod licenses;
mod manifests;
mod mutations;
mod refusals;
mod render;
mod scripts;
mod ways;
