//! Articles over the JSON API.
