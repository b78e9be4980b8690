//! The service as the tests use it: the real application on a database and a cache of its own.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use app::app::App;
use app::domain::clock::Clock;
use app::http::Listeners;
use app::platform::Platform;
use app::settings::{self, Settings};
use app::telemetry::Exporter;
use chrono::DateTime;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
