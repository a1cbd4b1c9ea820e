//! Clients that make a TLS handshake and leave, again and again.
//!
//! A handshake is over when the other side has closed as well: so it has seen the client's last word, and done
//! all that it does for one. TLS 1.3, X25519 and AES-128-GCM, whatever the other side would like best: each has
//! the same to do.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    runtime::Builder,
    task::JoinSet,
    time::sleep,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, HandshakeKind, RootCertStore,
        client::Resumption,
        crypto::{CryptoProvider, aws_lc_rs},
        pki_types::{CertificateDer, ServerName, pem::PemObject as _},
        version::TLS13,
    },
};

use super::control;
use crate::{clock, packets};

/// After a handshake that failed, so that a proxy that is down isn't asked in a tight loop.
const PAUSE: Duration = Duration::from_millis(10);
/// Sessions that a client keeps: it needs one.
const KEPT: usize = 4;

/// Whom to greet, and how.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Spec {
    pub(crate) target: SocketAddr,
    /// The name that is asked for.
    pub(crate) name: String,
    /// The file with the certificate that is to be believed.
    pub(crate) cert: PathBuf,
    /// Clients at once.
    pub(crate) clients: usize,
    /// Whether they come back with the ticket of the last time.
    pub(crate) resume: bool,
    /// The protocol level, if a CONNECT follows and its CONNACK is waited for.
    pub(crate) connect: Option<u8>,
}

/// What the clients have done so far.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Report {
    /// When, by the shared clock.
    pub(crate) at_ns: u64,
    /// Handshakes, from the first byte to the end of the connection.
    pub(crate) done: u64,
    /// Those of them that resumed a session.
    pub(crate) resumed: u64,
    /// Connections that came to nothing.
    pub(crate) broken: u64,
}

#[derive(Debug, Default)]
struct Tally {
    started: AtomicU64,
    done: AtomicU64,
    resumed: AtomicU64,
    broken: AtomicU64,
}

pub(super) fn run(spec: Spec) -> anyhow::Result<()> {
    let tally = Arc::<Tally>::default();
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut running = JoinSet::new();
        for _ in 0..spec.clients {
            // Each with a configuration of its own, and so with tickets of its own.
            let connector = TlsConnector::from(Arc::new(configuration(&spec)?));
            running.spawn(client(connector, spec.clone(), Arc::clone(&tally)));
        }
        control::serve(&(), move |_| tally.report())?;
        running.join_all().await;
        Ok(())
    })
}

async fn client(connector: TlsConnector, spec: Spec, tally: Arc<Tally>) {
    loop {
        match once(&connector, &spec, &tally).await {
            Ok(kind) => {
                if kind == HandshakeKind::Resumed {
                    tally.resumed.fetch_add(1, Relaxed);
                }
                tally.done.fetch_add(1, Relaxed);
            }
            Err(_) => {
                tally.broken.fetch_add(1, Relaxed);
                sleep(PAUSE).await;
            }
        }
    }
}

async fn once(
    connector: &TlsConnector,
    spec: &Spec,
    tally: &Tally,
) -> anyhow::Result<HandshakeKind> {
    let stream = TcpStream::connect(spec.target).await?;
    stream.set_nodelay(true)?;
    let name = ServerName::try_from(spec.name.clone())?;
    let mut stream = connector.connect(name, stream).await?;
    let kind = stream.get_ref().1.handshake_kind();
    let kind = kind.context("a handshake of no kind")?;
    if let Some(level) = spec.connect {
        let client_id = format!("tls-{}", tally.started.fetch_add(1, Relaxed));
        let packet = packets::connect(level, &client_id);
        stream.write_all(&packet).await?;
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).await.context("no CONNACK")?;
        ensure!(
            answer[0] == 0x20 && answer[3] == 0,
            "refused: {answer:02x?}"
        );
        stream.write_all(&packets::DISCONNECT).await?;
    }
    stream.shutdown().await?;
    // Up to its end, tickets included: who closes with something unread makes a reset of it.
    let mut rest = Vec::new();
    // Not everybody says goodbye in TLS.
    let _ = stream.read_to_end(&mut rest).await;
    Ok(kind)
}

fn configuration(spec: &Spec) -> anyhow::Result<ClientConfig> {
    let provider = CryptoProvider {
        cipher_suites: vec![aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256],
        kx_groups: vec![aws_lc_rs::kx_group::X25519],
        ..aws_lc_rs::default_provider()
    };
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&spec.cert)?)?;
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"mqtt".to_vec()];
    config.resumption = match spec.resume {
        true => Resumption::in_memory_sessions(KEPT),
        false => Resumption::disabled(),
    };
    Ok(config)
}

impl Tally {
    fn report(&self) -> Report {
        Report {
            at_ns: clock::now_ns(),
            done: self.done.load(Relaxed),
            resumed: self.resumed.load(Relaxed),
            broken: self.broken.load(Relaxed),
        }
    }
}
