//! Traces: which requests are traced, and the start and the end of the way of their spans to a collector.

mod caller;
mod ceiling;
mod queue;
pub mod spans;

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::tonic_types::transport::ClientTlsConfig;
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithTonicConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::{EnvResourceDetector, TelemetryResourceDetector};
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use reqwest::Url;
use serde::{Deserialize, Serialize};
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;
use uuid::Uuid;
use validator::{Validate, ValidationError};

pub use self::caller::Caller;
use self::ceiling::Ceiling;
pub use self::spans::TraceIds;
use super::{Exporter, build_info};
use crate::settings::{Environment, a_share};

/// How long a stop waits until the collector has the last spans.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// `[otel]`
#[derive(Clone, Debug, Deserialize, Serialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct OtelSettings {
    /// Where a collector takes OTLP; absent: nothing is traced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[validate(custom(function = http_url))]
    pub endpoint: Option<String>,
    pub protocol: Protocol,
    /// The share of the requests that are traced, of those whose caller has not decided it.
    #[validate(custom(function = a_share))]
    pub sample_ratio: f64,
    /// How many requests are traced in a second at most, whoever decides.
    #[validate(range(min = 1, message = "must be at least 1"))]
    pub most_per_second: u32,
    /// Whether a caller decides by its `traceparent`.
    pub follow_callers: bool,
    /// What the service is called in traces.
    #[serde(default = "package_name")]
    #[validate(length(min = 1, message = "must not be empty"))]
    pub service_name: String,
}

/// How spans travel; also by the names of `OTEL_EXPORTER_OTLP_PROTOCOL`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Protobuf, posted to `/v1/traces` below the endpoint.
    #[serde(alias = "http/protobuf")]
    Http,
    Grpc,
}

fn package_name() -> String {
    env!("CARGO_PKG_NAME").to_owned()
}

fn http_url(url: &str) -> Result<(), ValidationError> {
    let is_good = Url::parse(url).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https") && url.has_host() && url.query().is_none()
    });
    if is_good {
        return Ok(());
    }
    Err(ValidationError::new("url").with_message("must look like http://localhost:4318".into()))
}

/// Set once, before anything is logged or answered.
static STARTED: OnceLock<Started> = OnceLock::new();

struct Started {
    provider: SdkTracerProvider,
    sampling: Sampling,
}

/// Which requests are traced.
#[derive(Debug)]
pub struct Sampling {
    ratio: f64,
    pub follows_callers: bool,
    ceiling: Ceiling,
}

impl Sampling {
    /// None if nothing is traced at all.
    #[must_use]
    pub fn current() -> Option<&'static Self> {
        STARTED.get().map(|started| &started.sampling)
    }

    /// Whether to trace a request that comes from `caller` and has arrived at `now`.
    #[must_use]
    pub fn takes(&self, caller: Option<&Caller>, now: Instant) -> bool {
        let is_wanted = match caller {
            Some(caller) => caller.is_sampled(),
            None => fastrand::f64() < self.ratio,
        };
        is_wanted && self.ceiling.admits(now)
    }
}

/// Starts tracing for the whole process, if there is an endpoint; logging starts after it.
///
/// # Errors
/// If the exporter cannot be made, or tracing has started before. That a collector answers is not asked.
///
/// # Panics
/// Outside a runtime.
pub fn init(settings: &OtelSettings, environment: Environment) -> anyhow::Result<()> {
    let Some(endpoint) = &settings.endpoint else {
        return Ok(());
    };
    // What is lost shall show in the metrics from the start.
    Exporter::install()?;
    let exporter = exporter(endpoint, settings.protocol).context("traces cannot be exported")?;
    let provider = SdkTracerProvider::builder()
        .with_resource(resource(settings, environment))
        // Only what is sampled gets a span at all.
        .with_sampler(Sampler::AlwaysOn)
        .with_span_processor(queue::Bounded::new(exporter))
        .build();
    let sampling = Sampling {
        ratio: settings.sample_ratio,
        follows_callers: settings.follow_callers,
        ceiling: Ceiling::new(settings.most_per_second),
    };
    let started = STARTED.set(Started { provider, sampling });
    ensure!(started.is_ok(), "tracing has started before");
    Ok(())
}

fn exporter(endpoint: &str, protocol: Protocol) -> anyhow::Result<SpanExporter> {
    // Somebody else may have installed one, which does as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let endpoint = endpoint.trim_end_matches('/');
    let exporter = match protocol {
        Protocol::Http => SpanExporter::builder()
            .with_http()
            .with_protocol(opentelemetry_otlp::Protocol::HttpBinary)
            .with_endpoint(format!("{endpoint}/v1/traces"))
            .build()?,
        Protocol::Grpc => SpanExporter::builder()
            .with_tonic()
            .with_endpoint(endpoint)
            .with_tls_config(ClientTlsConfig::new().with_enabled_roots())
            .build()?,
    };
    Ok(exporter)
}

/// Who sends the spans. What `OTEL_RESOURCE_ATTRIBUTES` says comes on top.
fn resource(settings: &OtelSettings, environment: Environment) -> Resource {
    Resource::builder_empty()
        .with_attributes([
            KeyValue::new("service.version", build_info().version),
            KeyValue::new("service.instance.id", Uuid::new_v4().to_string()),
            KeyValue::new("deployment.environment.name", environment.name()),
        ])
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_detector(Box::new(EnvResourceDetector::new()))
        .with_service_name(settings.service_name.clone())
        .build()
}

/// What exports the spans of [`spans`], for the subscriber of the process; it does nothing unless tracing has started.
#[must_use]
pub fn layer<S>() -> impl Layer<S> + Send + Sync + 'static
where
    S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
{
    let layer = STARTED.get().map(|started| {
        tracing_opentelemetry::layer()
            .with_tracer(started.provider.tracer(env!("CARGO_PKG_NAME")))
            .with_context_activation(false)
            .with_tracked_inactivity(false)
            .with_location(false)
            .with_threads(false)
            .with_target(false)
    });
    // Around both: a layer without a filter would want whatever the log does not.
    layer.with_filter(filter_fn(spans::is_ours).with_max_level_hint(LevelFilter::INFO))
}

/// Sends what is left, for at most two seconds; after it nothing is traced any more.
pub async fn close() {
    let Some(Started { provider, .. }) = STARTED.get() else {
        return;
    };
    let close = || provider.shutdown_with_timeout(LAST_WORDS);
    if let Ok(Err(error)) = tokio::task::spawn_blocking(close).await {
        tracing::warn!(%error, "the last spans were not exported");
    }
}
