//! The two-tier cache, with real files and a clock of its own.
