use std::{fs, net::SocketAddr, path::PathBuf, sync::Arc};

use tempfile::TempDir;
use tidegate_tests::pki::{Authority, Identity, replace};
use tokio::{io::AsyncReadExt, net::TcpListener, time::advance};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::aws_lc_rs,
        server::{NoServerSessionStorage, WebPkiClientVerifier},
    },
};

use super::*;
use crate::tls::{client::LOOK_EVERY, pem};

/// A broker that shows this identity, and tells nothing else.
async fn broker(identity: &Identity, client_authority: Option<&Authority>) -> SocketAddr {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match client_authority {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let roots = Arc::new(pem::roots(&authority.file()).unwrap());
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let mut config = builder
        .with_single_cert(
            pem::certificates(&identity.cert).unwrap(),
            pem::private_key(&identity.key).unwrap(),
        )
        .unwrap();
    config.alpn_protocols = vec![b"mqtt".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Ok(mut stream) = acceptor.accept(stream).await {
                    use tokio::io::AsyncWriteExt;
                    let _ = stream.write_all(b"hello").await;
                    let _ = stream.read(&mut [0]).await;
                }
            });
        }
    });
    address
}

fn load(files: TlsFiles, host: &str) -> Result<Tls, TlsError> {
    Tls::load(files, host, b"mqtt", &TlsMetrics::default())
}

fn believing(ca: PathBuf) -> TlsFiles {
    TlsFiles {
        ca: Some(ca),
        ..TlsFiles::default()
    }
}

/// Reads what the broker says, for a refusal of TLS 1.3 comes after the handshake.
async fn dial(tls: &Tls, broker: SocketAddr) -> Result<(), String> {
    let stream = TcpStream::connect(broker).await.unwrap();
    let mut stream = tls
        .connect(stream)
        .await
        .map_err(|error| error.to_string())?;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"mqtt".as_slice()));
    let heard = stream.read_exact(&mut [0; 5]).await;
    heard.map(|_| ()).map_err(|error| error.to_string())
}

#[tokio::test]
async fn an_error_says_what_is_wrong_with_a_certificate() {
    let (authority, other) = (Authority::new(), Authority::new());
    let broker_of = async |identity| broker(&identity, None).await;
    for (ca, host, identity, said) in [
        (
            &other,
            "localhost",
            authority.issue("localhost"),
            "UnknownIssuer",
        ),
        (
            &authority,
            "localhost",
            authority.issue_expired("localhost"),
            "expired",
        ),
        (
            &authority,
            "localhost",
            authority.issue("other.example"),
            "other.example",
        ),
        (
            &authority,
            "127.0.0.1",
            authority.issue("localhost"),
            "localhost",
        ),
    ] {
        let address = broker_of(identity).await;
        let tls = load(believing(ca.file()), host).unwrap();
        let error = dial(&tls, address).await.unwrap_err();
        assert!(error.contains(said), "{said}: {error}");
    }
    let mut files = believing(authority.file());
    files.server_name = Some("other.example".to_owned());
    let address = broker_of(authority.issue("other.example")).await;
    let tls = load(files, "localhost").unwrap();
    assert_eq!(dial(&tls, address).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn files_that_have_changed_are_used_by_the_next_connection() {
    let (authority, other) = (Authority::new(), Authority::new());
    let address = broker(&authority.issue("localhost"), None).await;
    let folder = TempDir::new().unwrap();
    let ca = folder.path().join("ca.pem");
    fs::copy(other.file(), &ca).unwrap();
    let tls = load(believing(ca.clone()), "localhost").unwrap();
    dial(&tls, address).await.unwrap_err();

    replace(&ca, &authority.file());
    advance(LOOK_EVERY).await;
    assert_eq!(dial(&tls, address).await, Ok(()));

    // And back: nothing that the broker gave us to come back with counts any more.
    replace(&ca, &other.file());
    advance(LOOK_EVERY).await;
    dial(&tls, address).await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn files_that_do_not_fit_each_other_change_nothing() {
    let authority = Authority::new();
    let address = broker(&authority.issue("localhost"), Some(&authority)).await;
    let folder = TempDir::new().unwrap();
    let own = Identity {
        cert: folder.path().join("cert.pem"),
        key: folder.path().join("key.pem"),
    };
    let (first, second) = (authority.issue("gate"), authority.issue("gate"));
    fs::copy(&first.cert, &own.cert).unwrap();
    fs::copy(&first.key, &own.key).unwrap();
    let files = TlsFiles {
        cert: Some(own.cert.clone()),
        key: Some(own.key.clone()),
        ..believing(authority.file())
    };
    let tls = load(files, "localhost").unwrap();
    assert_eq!(dial(&tls, address).await, Ok(()));
    let before = tls.settings.current();

    replace(&own.cert, &second.cert);
    advance(LOOK_EVERY).await;
    assert_eq!(dial(&tls, address).await, Ok(()));
    assert!(Arc::ptr_eq(&before, &tls.settings.current()));

    replace(&own.key, &second.key);
    advance(LOOK_EVERY).await;
    assert_eq!(dial(&tls, address).await, Ok(()));
    assert!(!Arc::ptr_eq(&before, &tls.settings.current()));

    fs::remove_file(&own.key).unwrap();
    advance(LOOK_EVERY).await;
    assert_eq!(dial(&tls, address).await, Ok(()));
}

#[tokio::test]
async fn a_broker_that_wants_a_certificate_of_ours_says_so() {
    let authority = Authority::new();
    let address = broker(&authority.issue("localhost"), Some(&authority)).await;
    let tls = load(believing(authority.file()), "localhost").unwrap();
    let error = dial(&tls, address).await.unwrap_err();
    assert!(error.contains("CertificateRequired"), "{error}");
}
