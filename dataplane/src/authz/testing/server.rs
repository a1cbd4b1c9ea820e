//! A well-behaved service that can die and freeze like a process.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
};

use bytes::Bytes;
use tidegate_proto::v1::{
    self,
    authorization_service_server::{AuthorizationService, AuthorizationServiceServer},
};
use tokio::{net::TcpListener, sync::Notify};
use tokio_stream::{StreamExt, wrappers::TcpListenerStream};
use tonic::{Request, Response, Status};

/// Allows everything but the topic "no".
struct Permissive;

#[tonic::async_trait]
impl AuthorizationService for Permissive {
    async fn authorize_connect(
        &self,
        request: Request<v1::AuthorizeConnectRequest>,
    ) -> Result<Response<v1::AuthorizeConnectResponse>, Status> {
        let checks = request.into_inner().checks.into_iter();
        let results = checks.map(|check| v1::ConnectResult {
            metadata: echo(check.metadata),
            decision: Some(v1::connect_result::Decision::Allow(v1::ConnectAllow {
                principal: "alice".to_owned(),
                session_state: Bytes::from_static(b"state"),
                ..v1::ConnectAllow::default()
            })),
        });
        Ok(Response::new(v1::AuthorizeConnectResponse {
            results: results.collect(),
            policy_revision: String::new(),
        }))
    }

    async fn authorize_publish(
        &self,
        request: Request<v1::AuthorizePublishRequest>,
    ) -> Result<Response<v1::AuthorizePublishResponse>, Status> {
        let checks = request.into_inner().checks.into_iter();
        let results = checks.map(|check| v1::PublishResult {
            metadata: echo(check.metadata),
            decision: Some(match check.topic.as_str() {
                "no" => super::no(),
                _ => super::yes(),
            }),
        });
        Ok(Response::new(v1::AuthorizePublishResponse {
            results: results.collect(),
            policy_revision: String::new(),
        }))
    }

    async fn authorize_subscribe(
        &self,
        request: Request<v1::AuthorizeSubscribeRequest>,
    ) -> Result<Response<v1::AuthorizeSubscribeResponse>, Status> {
        let checks = request.into_inner().checks.into_iter();
        let results = checks.map(|check| v1::SubscribeResult {
            metadata: echo(check.metadata),
            decision: Some(v1::subscribe_result::Decision::Allow(
                v1::SubscribeAllow::default(),
            )),
        });
        Ok(Response::new(v1::AuthorizeSubscribeResponse {
            results: results.collect(),
            policy_revision: String::new(),
        }))
    }

    async fn get_capabilities(
        &self,
        _request: Request<v1::GetCapabilitiesRequest>,
    ) -> Result<Response<v1::GetCapabilitiesResponse>, Status> {
        Err(Status::unimplemented("not needed"))
    }
}

fn echo(metadata: Option<v1::CheckMetadata>) -> Option<v1::ResultMetadata> {
    Some(v1::ResultMetadata {
        item_id: metadata?.item_id,
        policy: "permissive".to_owned(),
        ..v1::ResultMetadata::default()
    })
}

/// Where to say that it is frozen, and what to wait for.
type Freeze = (mpsc::Sender<()>, mpsc::Receiver<()>);

/// A service in a runtime of its own, so that it can die or freeze like a process.
pub(in crate::authz) struct Server {
    pub(in crate::authz) address: SocketAddr,
    pub(in crate::authz) connections: Arc<AtomicUsize>,
    freeze: tokio::sync::mpsc::Sender<Freeze>,
    stop: Arc<Notify>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Server {
    pub(in crate::authz) fn start(bind: SocketAddr) -> Self {
        let connections = Arc::<AtomicUsize>::default();
        let stop = Arc::<Notify>::default();
        let (freeze, mut frozen) = tokio::sync::mpsc::channel::<Freeze>(1);
        let (bound, address) = mpsc::channel();
        let run = {
            let (connections, stop) = (Arc::clone(&connections), Arc::clone(&stop));
            async move {
                let listener = TcpListener::bind(bind).await.unwrap();
                bound.send(listener.local_addr().unwrap()).unwrap();
                let incoming = TcpListenerStream::new(listener);
                let incoming = incoming.map(move |socket| {
                    connections.fetch_add(1, Ordering::Relaxed);
                    socket.inspect(|socket| socket.set_nodelay(true).unwrap())
                });
                let service = AuthorizationServiceServer::new(Permissive);
                let serve = tonic::transport::Server::builder()
                    .add_service(service)
                    .serve_with_incoming(incoming);
                let freezer = async move {
                    while let Some((is_frozen, thaw)) = frozen.recv().await {
                        // Blocks the runtime on purpose: not even an acknowledgement of HTTP/2 gets
                        // out, as with SIGSTOP.
                        is_frozen.send(()).unwrap();
                        let _ = thaw.recv();
                    }
                };
                tokio::select! {
                    served = serve => served.unwrap(),
                    () = freezer => {}
                    () = stop.notified() => {}
                }
            }
        };
        let thread = thread::spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.unwrap().block_on(run);
        });
        Self {
            address: address.recv().unwrap(),
            connections,
            freeze,
            stop,
            thread: Some(thread),
        }
    }

    /// Freezes until the returned handle is dropped.
    pub(in crate::authz) fn freeze(&self) -> mpsc::Sender<()> {
        let (thaw, thawed) = mpsc::channel();
        let (say, is_frozen) = mpsc::channel();
        self.freeze.try_send((say, thawed)).unwrap();
        is_frozen.recv().unwrap();
        thaw
    }
}

impl Drop for Server {
    /// Kills it: connections are closed without a GOAWAY.
    fn drop(&mut self) {
        self.stop.notify_one();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}
