//! What the service tells about itself: logs, of requests and of everything else, and metrics.{% capture body %}

mod build;
mod errors;
mod handles;
mod in_request;
mod log_line;
mod log_writer;
mod logs;
mod memory;
mod metrics;
mod panics;
mod profile;
mod request_log;
mod request_metrics;
mod runtime; //~{% if features contains "otel" %}
pub mod traces; //~{% endif %}

pub use build::{BuildInfo, build_info};
pub use errors::{Failure, FailureKind, attach_sink, report};
pub use handles::Handles;
pub use in_request::{CurrentRequest, following, in_request, set_user};
pub use log_writer::LogGuard;
pub use logs::{LogFormat, LogSettings};
pub use memory::MemoryUse;
pub use metrics::{Exporter, count_events};
pub use panics::report_panics;
pub use profile::Profile;
pub use request_log::{RequestRecord, RequestSpan};
pub use request_metrics::{InFlight, RequestSeries};
pub use runtime::RuntimeMetrics;

pub use self::logs::{init as init_logs, set_level as set_log_level}; //~{% endcapture %}{{ body | remove: " //~" | remove: "//+ " }}
