//! A collector of spans: takes OTLP over HTTP and gRPC, and keeps what it got.

use std::net::SocketAddr;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Instant;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use crate::cli::process::{PATIENCE, block_on};

/// A running collector. It ends when it is dropped.
pub struct Collector {
    address: SocketAddr,
    batches: Receiver<ExportTraceServiceRequest>,
    spans: Vec<Span>,
    /// Who sent the last spans.
    resource: Vec<KeyValue>,
    _end: oneshot::Sender<()>,
}

impl Collector {
    pub fn http() -> Self {
        Self::answering(StatusCode::OK)
    }

    /// One that takes spans over HTTP and answers with `status`.
    pub fn answering(status: StatusCode) -> Self {
        Self::start(move |listener, got| async move {
            let take = async move |State(got): State<Sender<_>>, body: Bytes| {
                let batch = ExportTraceServiceRequest::decode(body).expect("OTLP");
                let _ = got.send(batch);
                let nothing = ExportTraceServiceResponse::default();
                (status, nothing.encode_to_vec())
            };
            let routes = Router::new()
                .route("/v1/traces", post(take))
                .with_state(got);
            axum::serve(listener, routes).await.expect("it serves");
        })
    }

    pub fn grpc() -> Self {
        Self::start(|listener, got| async move {
            let service = TraceServiceServer::new(Grpc(got));
            Server::builder()
                .add_service(service)
                .serve_with_incoming(TcpIncoming::from(listener))
                .await
                .expect("it serves");
        })
    }

    fn start<F>(
        serve: impl FnOnce(TcpListener, Sender<ExportTraceServiceRequest>) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = ()>,
    {
        let (got, batches) = mpsc::channel();
        let (bound, address) = mpsc::channel();
        let (end, ended) = oneshot::channel::<()>();
        thread::spawn(move || {
            block_on(async move {
                let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
                let address = listener.local_addr().expect("an address");
                bound.send(address).expect("somebody waits for it");
                tokio::select! {
                    () = serve(listener, got) => {}
                    _ = ended => {}
                }
            });
        });
        Self {
            address: address.recv().expect("an address"),
            batches,
            spans: Vec::new(),
            resource: Vec::new(),
            _end: end,
        }
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The first span for which `is_wanted`, of those that came or come in time.
    #[track_caller]
    pub fn wait_for(&mut self, is_wanted: impl Fn(&Span) -> bool) -> Span {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = self.spans.iter().find(|span| is_wanted(span)) {
                return found.clone();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(batch) = self.batches.recv_timeout(left) else {
                let names: Vec<_> = self.spans.iter().map(|span| &span.name).collect();
                panic!("no such span among {names:?}")
            };
            self.take(batch);
        }
    }

    /// Every span that has come.
    pub fn spans(&mut self) -> &[Span] {
        while let Ok(batch) = self.batches.try_recv() {
            self.take(batch);
        }
        &self.spans
    }

    /// What the sender of the last spans says of itself.
    pub fn resource(&self, key: &str) -> Option<String> {
        text(&self.resource, key)
    }

    fn take(&mut self, batch: ExportTraceServiceRequest) {
        for of_resource in batch.resource_spans {
            self.resource = of_resource.resource.expect("a resource").attributes;
            for of_scope in of_resource.scope_spans {
                self.spans.extend(of_scope.spans);
            }
        }
    }
}

struct Grpc(Sender<ExportTraceServiceRequest>);

#[tonic::async_trait]
impl TraceService for Grpc {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let _ = self.0.send(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

/// An attribute as text.
pub fn attribute(span: &Span, key: &str) -> Option<String> {
    text(&span.attributes, key)
}

fn text(attributes: &[KeyValue], key: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(number) => Some(number.to_string()),
        other => panic!("{key} is {other:?}"),
    }
}

pub fn hex(id: &[u8]) -> String {
    id.iter()
        .fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}
