//! Articles as pages, and what the cache says about them.
