//! What the service tells about itself: logs and metrics.

mod build;
mod logs;
mod metrics;

pub use build::{BuildInfo, build_info};
pub use logs::{LogFormat, LogGuard, LogSettings};
pub use metrics::{Exporter, count_events};

pub use self::logs::init as init_logs;
