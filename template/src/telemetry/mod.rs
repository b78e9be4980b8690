//! What the service tells about itself: logs, of requests and of everything else, and metrics.

mod build;
mod log_writer;
mod logs;
mod metrics;
mod request_log;
mod request_metrics;

pub use build::{BuildInfo, build_info};
pub use log_writer::LogGuard;
pub use logs::{LogFormat, LogSettings};
pub use metrics::{Exporter, count_events};
pub use request_log::RequestRecord;
pub use request_metrics::{InFlight, RequestSeries};

pub use self::logs::init as init_logs;
