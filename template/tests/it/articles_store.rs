//! What every article store must do, asked of each of them.
