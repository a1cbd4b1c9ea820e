//! An authority for one test, and connections over TLS.

use std::{fs, net::SocketAddr, path::PathBuf, sync::Arc};

use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
    },
};
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

/// The name of the server.
pub const SERVER: &str = "authz.example";

pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, folder }
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    /// Makes `NAME.pem` and `NAME.key`, or replaces them, for a DNS name and a URI.
    pub fn issue(&self, name: &str, dns: &str) {
        let mut params = CertificateParams::new([dns.to_owned()]).unwrap();
        let uri = format!("spiffe://example/{name}").try_into().unwrap();
        params.subject_alt_names.push(SanType::URI(uri));
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        fs::write(self.path(&format!("{name}.key")), key.serialize_pem()).unwrap();
        fs::write(self.path(&format!("{name}.pem")), certificate.pem()).unwrap();
    }

    /// A client that believes this authority, and shows its certificate, if it has one.
    pub fn client(&self, own: Option<(&Self, &str)>) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match own {
            None => builder.with_no_client_auth(),
            Some((authority, name)) => {
                let path = |end: &str| authority.path(&format!("{name}.{end}"));
                let certificate = CertificateDer::from_pem_file(path("pem")).unwrap();
                let key = PrivateKeyDer::from_pem_file(path("key")).unwrap();
                builder
                    .with_client_auth_cert(vec![certificate], key)
                    .unwrap()
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        Arc::new(config)
    }
}

/// The first certificate that the server shows.
pub async fn shown(addr: SocketAddr, client: &Arc<ClientConfig>) -> Vec<u8> {
    let stream = TcpStream::connect(addr).await.unwrap();
    let name = ServerName::try_from(SERVER).unwrap();
    let connector = TlsConnector::from(Arc::clone(client));
    let stream = connector.connect(name, stream).await.unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

/// A channel that connects when it is first used.
pub fn channel(addr: SocketAddr, client: &Arc<ClientConfig>) -> Channel {
    let client = Arc::clone(client);
    let connect = service_fn(move |_| {
        let connector = TlsConnector::from(Arc::clone(&client));
        async move {
            let stream = TcpStream::connect(addr).await?;
            let name = ServerName::try_from(SERVER).unwrap();
            connector.connect(name, stream).await.map(TokioIo::new)
        }
    });
    Endpoint::from_static("http://authz.example").connect_with_connector_lazy(connect)
}
