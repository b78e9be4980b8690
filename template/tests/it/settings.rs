//! The layers of the settings, and what is refused.
