//! The OpenAPI document against the code.
