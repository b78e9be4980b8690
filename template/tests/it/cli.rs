//! The real binary, started, misused, stopped and killed.
