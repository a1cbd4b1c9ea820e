//! A small HTTP server that can be down, broken and slow.

use std::{
    convert::Infallible,
    future,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
};

use http_body_util::{BodyExt as _, Full};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tidegate_tests::background::{self, Task};
use tokio::{net::TcpListener, task::JoinSet};

/// What was asked.
pub(crate) struct Question {
    pub(crate) path: String,
    pub(crate) bearer: Option<String>,
    /// Of a JSON body.
    pub(crate) body: Value,
}

impl Question {
    /// A text in the body.
    pub(crate) fn says(&self, field: &str) -> &str {
        self.body[field].as_str().unwrap_or_default()
    }
}

/// Status and body.
pub(crate) type Answer = (u16, String);

type Answers = Arc<dyn Fn(&Question) -> Answer + Send + Sync>;

/// How it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Health {
    Well,
    /// Each request is answered with 500.
    Broken,
    /// No request is ever answered.
    Slow,
}

/// An HTTP server.
pub(crate) struct Web {
    address: SocketAddr,
    answers: Answers,
    health: Arc<AtomicU8>,
    running: Option<Task>,
}

impl Web {
    pub(crate) fn start(answers: impl Fn(&Question) -> Answer + Send + Sync + 'static) -> Self {
        let mut web = Self {
            address: ([127, 0, 0, 1], 0).into(),
            answers: Arc::new(answers),
            health: Arc::new(AtomicU8::new(Health::Well as u8)),
            running: None,
        };
        web.resume();
        web
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn is(&self, health: Health) {
        self.health.store(health as u8, Ordering::SeqCst);
    }

    /// Listens no longer, and cuts all connections.
    pub(crate) fn stop(&mut self) {
        self.running = None;
        tidegate_tests::assert_eventually!(std::net::TcpStream::connect(self.address).is_err());
    }

    /// Listens again, and is well.
    pub(crate) fn resume(&mut self) {
        self.is(Health::Well);
        let listener = background::block_on(TcpListener::bind(self.address)).unwrap();
        self.address = listener.local_addr().unwrap();
        let (answers, health) = (Arc::clone(&self.answers), Arc::clone(&self.health));
        self.running = Some(background::spawn(async move {
            // Dropped with this task, and the connections with it.
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (answers, health) = (Arc::clone(&answers), Arc::clone(&health));
                connections.spawn(async move {
                    let service = service_fn(|request| answer(request, &answers, &health));
                    let connection = http1::Builder::new();
                    let served = connection.serve_connection(TokioIo::new(stream), service);
                    served.await.ok();
                });
            }
        }));
    }
}

async fn answer(
    request: Request<Incoming>,
    answers: &Answers,
    health: &AtomicU8,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let header = request.headers().get("authorization");
    let bearer = header.and_then(|header| header.to_str().ok()?.strip_prefix("Bearer "));
    let (bearer, path) = (bearer.map(str::to_owned), request.uri().path().to_owned());
    let body = request.into_body().collect().await;
    let body = body.map(|body| body.to_bytes()).unwrap_or_default();
    let question = Question {
        path,
        bearer,
        body: serde_json::from_slice(&body).unwrap_or_default(),
    };
    let health = health.load(Ordering::SeqCst);
    if health == Health::Slow as u8 {
        future::pending::<()>().await;
    }
    let (status, body) = match health == Health::Broken as u8 {
        true => (500, "a stack trace".to_owned()),
        false => answers(&question),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status.try_into().unwrap();
    Ok(response)
}
