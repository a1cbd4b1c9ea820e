use std::{fs, path::Path};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tidegate_proto::v1;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream as ClientStream,
    rustls::{
        ClientConfig, SupportedProtocolVersion,
        crypto::aws_lc_rs,
        pki_types::ServerName,
        version::{TLS12, TLS13},
    },
};

use super::*;
use crate::{
    config::{Certificate, ClientCertificates, TlsVersion},
    tls::pem,
};

/// An authority, and a folder with what it issued.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let authority = Self {
            issuer,
            folder: tempfile::tempdir().unwrap(),
        };
        fs::write(authority.path("ca.pem"), authority.issuer.pem()).unwrap();
        authority
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// Issues a certificate for a name, into files that are called after `file`.
    fn issue(&self, file: &str, name: &str) -> Certificate {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, file);
        params
            .distinguished_name
            .push(DnType::OrganizationName, "Tide, Gate");
        let uri = "spiffe://example/device".try_into().unwrap();
        params.subject_alt_names.push(SanType::URI(uri));
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let (cert, private) = (format!("{file}.pem"), format!("{file}.key"));
        fs::write(self.path(&cert), certificate.pem()).unwrap();
        fs::write(self.path(&private), key.serialize_pem()).unwrap();
        Certificate {
            cert: self.path(&cert),
            key: self.path(&private),
        }
    }

    fn server(&self, certificates: Vec<Certificate>) -> ListenerTls {
        ListenerTls {
            certificates,
            ..ListenerTls::default()
        }
    }

    fn mutual(&self, client_certificates: ClientCertificates) -> ListenerTls {
        ListenerTls {
            client_certificates,
            client_ca: Some(self.path("ca.pem")),
            ..self.server(vec![self.issue("gate", "gate.example")])
        }
    }
}

/// A client: whom it believes, what it shows, and which words of TLS it has.
struct Hello<'a> {
    authority: &'a Authority,
    shows: Option<&'a Certificate>,
    alpn: &'a [&'a [u8]],
    versions: Vec<&'static SupportedProtocolVersion>,
    name: &'a str,
}

impl<'a> Hello<'a> {
    fn new(authority: &'a Authority) -> Self {
        Self {
            authority,
            shows: None,
            alpn: &[],
            versions: vec![&TLS12, &TLS13],
            name: "gate.example",
        }
    }

    /// What both sides make of it.
    async fn says(
        self,
        server: &TlsServer,
    ) -> (
        Result<v1::TlsInfo, HandshakeError>,
        io::Result<ClientStream<TcpStream>>,
    ) {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&self.versions)
            .unwrap()
            .with_root_certificates(pem::roots(&self.authority.path("ca.pem")).unwrap());
        let mut config = match self.shows {
            None => builder.with_no_client_auth(),
            Some(shown) => {
                let chain = pem::certificates(&shown.cert).unwrap();
                let key = pem::private_key(&shown.key).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        config.alpn_protocols = self.alpn.iter().map(|word| word.to_vec()).collect();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let name = ServerName::try_from(self.name.to_owned()).unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        let client = async {
            let stream = TcpStream::connect(address).await.unwrap();
            connector.connect(name, stream).await
        };
        let mut presented = Presented::default();
        let accepting = async {
            let (stream, _) = listener.accept().await.unwrap();
            server.accept(stream, &mut presented).await.map(drop)
        };
        let (accepted, connected) = tokio::join!(accepting, client);
        (accepted.map(|()| *presented.tls.unwrap()), connected)
    }
}

fn leaf(stream: &ClientStream<TcpStream>) -> Vec<u8> {
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

fn in_file(path: &Path) -> Vec<u8> {
    pem::certificates(path).unwrap()[0].to_vec()
}

#[tokio::test]
async fn the_certificate_is_the_one_with_the_name_that_is_asked_for() {
    let authority = Authority::new();
    let first = authority.issue("first", "gate.example");
    let wild = authority.issue("wild", "*.tenants.example");
    let exact = authority.issue("exact", "a.tenants.example");
    let settings = authority.server(vec![first.clone(), wild.clone(), exact.clone()]);
    let server = TlsServer::load(settings, b"mqtt").unwrap();
    for (name, expected) in [
        ("gate.example", &first),
        ("A.tenants.example", &exact),
        ("b.tenants.example", &wild),
    ] {
        let hello = Hello {
            name,
            ..Hello::new(&authority)
        };
        let (facts, connected) = hello.says(&server).await;
        assert_eq!(leaf(&connected.unwrap()), in_file(&expected.cert), "{name}");
        let facts = facts.unwrap();
        assert_eq!(facts.sni.to_lowercase(), name.to_lowercase());
        assert!(!facts.peer_verified && facts.peer_sha256.is_empty());
    }
    for name in ["x.b.tenants.example", "other.example", "127.0.0.1"] {
        let hello = Hello {
            name,
            ..Hello::new(&authority)
        };
        assert!(
            hello.says(&server).await.1.is_err(),
            "{name} has the first certificate"
        );
    }
}

#[tokio::test]
async fn an_offer_of_other_protocols_is_refused() {
    let authority = Authority::new();
    let settings = authority.server(vec![authority.issue("gate", "gate.example")]);
    let server = TlsServer::load(settings, b"mqtt").unwrap();
    for (alpn, is_accepted) in [
        (&[][..], true),
        (&[&b"mqtt"[..]], true),
        (&[b"h2", b"mqtt"], true),
        (&[b"h2"], false),
        (&[b"http/1.1"], false),
    ] {
        let hello = Hello {
            alpn,
            ..Hello::new(&authority)
        };
        let (facts, connected) = hello.says(&server).await;
        assert_eq!(facts.is_ok(), is_accepted, "{alpn:?}");
        if let Err(error) = connected {
            let text = error.to_string();
            assert!(text.contains("NoApplicationProtocol"), "{text}");
        }
    }
}

#[tokio::test]
async fn the_protocols_can_be_others_or_none() {
    let authority = Authority::new();
    let named = |words: &[&str]| ListenerTls {
        alpn: Some(words.iter().map(|&word| word.to_owned()).collect()),
        ..authority.server(vec![authority.issue("gate", "gate.example")])
    };
    for (settings, alpn, is_accepted) in [
        (named(&["mqtt", "x-mqtt-ca"]), &b"x-mqtt-ca"[..], true),
        (named(&["mqtt", "x-mqtt-ca"]), b"mqtt", true),
        (named(&["mqtt", "x-mqtt-ca"]), b"h2", false),
        (named(&["x-mqtt-ca"]), b"mqtt", false),
        (named(&[]), b"mqtt", true),
        (named(&[]), b"h2", true),
    ] {
        let server = TlsServer::load(settings, b"mqtt").unwrap();
        let hello = Hello {
            alpn: &[alpn],
            ..Hello::new(&authority)
        };
        let (facts, _) = hello.says(&server).await;
        assert_eq!(facts.is_ok(), is_accepted, "{alpn:?}");
    }
}

#[tokio::test]
async fn versions() {
    let authority = Authority::new();
    let settings = authority.server(vec![authority.issue("gate", "gate.example")]);
    let both = TlsServer::load(settings.clone(), b"mqtt").unwrap();
    let min_version = TlsVersion::V13;
    let new = ListenerTls {
        min_version,
        ..settings
    };
    let new = TlsServer::load(new, b"mqtt").unwrap();
    let hello = |version| Hello {
        versions: vec![version],
        ..Hello::new(&authority)
    };
    let (facts, _) = hello(&TLS12).says(&both).await;
    assert_eq!(facts.unwrap().version, "TLSv1.2");
    let (facts, _) = hello(&TLS13).says(&both).await;
    assert_eq!(facts.unwrap().version, "TLSv1.3");
    assert!(hello(&TLS12).says(&new).await.0.is_err());
    assert!(hello(&TLS13).says(&new).await.0.is_ok());
}

#[tokio::test]
async fn client_certificates() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let good = authority.issue("device", "device.example");
    let bad = stranger.issue("device", "device.example");
    for (asked, shown, is_accepted, is_verified) in [
        (ClientCertificates::None, Some(&bad), true, false),
        (ClientCertificates::Optional, None, true, false),
        (ClientCertificates::Optional, Some(&good), true, true),
        (ClientCertificates::Optional, Some(&bad), false, false),
        (ClientCertificates::Required, None, false, false),
        (ClientCertificates::Required, Some(&good), true, true),
        (ClientCertificates::Required, Some(&bad), false, false),
    ] {
        let mut settings = authority.mutual(asked);
        settings.client_ca = settings
            .client_ca
            .filter(|_| asked != ClientCertificates::None);
        let server = TlsServer::load(settings, b"mqtt").unwrap();
        let hello = Hello {
            shows: shown,
            ..Hello::new(&authority)
        };
        let (facts, _) = hello.says(&server).await;
        assert_eq!(facts.is_ok(), is_accepted, "{asked:?}");
        let Ok(facts) = facts else { continue };
        assert_eq!(facts.peer_verified, is_verified, "{asked:?}");
        if is_verified {
            assert_eq!(facts.peer_subject, "O=Tide\\, Gate,CN=device");
            assert_eq!(facts.peer_dns_sans, ["device.example"]);
            assert_eq!(facts.peer_uri_sans, ["spiffe://example/device"]);
            assert_eq!(
                facts.peer_sha256,
                Sha256::digest(in_file(&good.cert)).to_vec()
            );
            assert!(facts.peer_certificate_der.is_empty());
        } else {
            assert_eq!(facts.peer_subject, "");
        }
    }
}

#[tokio::test]
async fn a_revoked_certificate_is_none() {
    let authority = Authority::new();
    let settings = authority.mutual(ClientCertificates::Required);
    let device = authority.issue("device", "device.example");
    let list_until = |year, revoked: Vec<rcgen::RevokedCertParams>| {
        let params = rcgen::CertificateRevocationListParams {
            this_update: rcgen::date_time_ymd(2026, 1, 1),
            next_update: rcgen::date_time_ymd(year, 2, 1),
            crl_number: 1.into(),
            issuing_distribution_point: None,
            revoked_certs: revoked,
            key_identifier_method: rcgen::KeyIdMethod::Sha256,
        };
        let list = params.signed_by(&authority.issuer).unwrap().pem().unwrap();
        let path = authority.path("crl.pem");
        fs::write(&path, list).unwrap();
        ListenerTls {
            client_crl: Some(path),
            forward_certificate: true,
            ..settings.clone()
        }
    };
    let list = |revoked| list_until(2999, revoked);
    let asks = async |server: &TlsServer| {
        let shows = Some(&device);
        let hello = Hello {
            shows,
            ..Hello::new(&authority)
        };
        hello.says(server).await.0
    };
    let says = async |settings| asks(&TlsServer::load(settings, b"mqtt").unwrap()).await;
    assert!(
        says(list_until(2026, Vec::new())).await.is_err(),
        "who was revoked since is not in it"
    );
    let facts = says(list(Vec::new())).await.unwrap();
    assert_eq!(facts.peer_certificate_der, in_file(&device.cert));

    let der = in_file(&device.cert);
    let serial = {
        use x509_cert::der::Decode as _;
        let certificate = x509_cert::Certificate::from_der(&der).unwrap();
        let serial = certificate.tbs_certificate().serial_number();
        rcgen::SerialNumber::from_slice(serial.as_bytes())
    };
    let revoked = rcgen::RevokedCertParams {
        serial_number: serial,
        revocation_time: rcgen::date_time_ymd(2026, 1, 1),
        reason_code: None,
        invalidity_date: None,
    };
    // A list that comes while the gate runs, and a certificate is broken.
    let settings = list(Vec::new());
    let key = settings.certificates[0].key.clone();
    let server = TlsServer::load(settings, b"mqtt").unwrap();
    assert!(asks(&server).await.is_ok());
    fs::write(&key, "").unwrap();
    list(vec![revoked]);
    assert!(server.reload().is_new);
    assert!(asks(&server).await.is_err());
    assert!(is_told_once(&server, &key));
}

/// Whether the broken file is told, and only once.
fn is_told_once(server: &TlsServer, path: &Path) -> bool {
    let failures = server.reload().failures;
    let name = path.display().to_string();
    failures.len() == 1
        && failures[0].to_string().contains(&name)
        && server.reload().failures.is_empty()
}

#[tokio::test]
async fn files_that_change_count_for_handshakes_to_come() {
    let authority = Authority::new();
    let certificate = authority.issue("gate", "gate.example");
    let server = TlsServer::load(authority.server(vec![certificate.clone()]), b"mqtt").unwrap();
    let shown = async || {
        let (_, connected) = Hello::new(&authority).says(&server).await;
        leaf(&connected.unwrap())
    };
    let old = in_file(&certificate.cert);
    let reload = || {
        let Reload { is_new, failures } = server.reload();
        let failures: Vec<_> = failures.iter().map(ToString::to_string).collect();
        (is_new, failures)
    };
    let nothing = (false, vec![]);
    assert_eq!(reload(), nothing);
    assert_eq!(shown().await, old);

    // Half of a renewal: the certificate is of another key than the file beside it.
    let key = fs::read(&certificate.key).unwrap();
    authority.issue("gate", "gate.example");
    let new_key = fs::read(&certificate.key).unwrap();
    fs::write(&certificate.key, key).unwrap();
    assert_eq!(reload(), nothing, "the other half may come yet");
    let (is_new, failures) = reload();
    assert!(!is_new && failures.len() == 1, "{failures:?}");
    assert!(failures[0].contains("gate.key"), "{failures:?}");
    assert_eq!(shown().await, old);
    assert_eq!(reload(), nothing, "it is told once");

    fs::remove_file(&certificate.key).unwrap();
    assert_eq!(reload(), nothing);
    fs::write(&certificate.key, new_key).unwrap();
    assert_eq!(reload(), (true, vec![]));
    assert_eq!(shown().await, in_file(&certificate.cert));
    assert_ne!(shown().await, old);
}

#[test]
fn nothing_is_served_without_a_certificate() {
    assert!(TlsServer::load(ListenerTls::default(), b"mqtt").is_err());
    let authority = Authority::new();
    let mut settings = authority.mutual(ClientCertificates::Required);
    settings.client_ca = None;
    assert!(TlsServer::load(settings, b"mqtt").is_err());
}
