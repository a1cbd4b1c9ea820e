use std::os::unix::fs::PermissionsExt as _;

use clap::Parser;
use tempfile::TempDir;
use tokio_rustls::rustls::{
    self, ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
    server::WebPkiClientVerifier,
};

use super::*;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    arguments: Arguments,
}

fn arguments(dir: &Path, more: &[&str]) -> Arguments {
    let dir = dir.display().to_string();
    let line = ["certificates", "--dir", &dir];
    Line::parse_from(line.iter().chain(more)).arguments
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

/// What is there, by name.
fn listing(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(listing(&path));
        } else {
            found.push(path.display().to_string());
        }
    }
    found.sort();
    found
}

#[test]
fn keys_are_for_their_owner_and_that_of_the_authority_is_nowhere() {
    let dir = TempDir::new().unwrap();
    let arguments = arguments(dir.path(), &["--service", "authz"]);
    ensure(&arguments).unwrap();
    let mut wanted: Vec<_> = wanted(&arguments)
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    wanted.sort();
    assert_eq!(listing(dir.path()), wanted);
    for path in super::wanted(&arguments) {
        let is_key = path.extension().unwrap() == "key";
        let expected = if is_key { 0o600 } else { 0o644 };
        assert_eq!(
            mode(&path) & !0o022,
            expected & !0o022,
            "{}",
            path.display()
        );
        assert_eq!(mode(&path) & 0o077 == 0, is_key, "{}", path.display());
    }
}

#[test]
fn without_a_service_there_is_nothing_for_it() {
    let dir = TempDir::new().unwrap();
    ensure(&arguments(dir.path(), &[])).unwrap();
    assert!(!dir.path().join("authz").exists());
    assert!(!dir.path().join("gate/client.crt").exists());
}

#[test]
fn what_is_there_stays() {
    let dir = TempDir::new().unwrap();
    let arguments = arguments(dir.path(), &["--service", "authz"]);
    ensure(&arguments).unwrap();
    let read = || -> Vec<_> {
        let files = listing(dir.path()).into_iter();
        files.map(|file| fs::read(file).unwrap()).collect()
    };
    let before = read();
    let told = ensure(&arguments).unwrap();
    assert!(told.contains("they stay"), "{told}");
    assert_eq!(read(), before);
}

#[test]
fn a_part_is_neither_taken_nor_completed() {
    let dir = TempDir::new().unwrap();
    ensure(&arguments(dir.path(), &[])).unwrap();
    let before = listing(dir.path());
    // They were made without a service.
    let error = ensure(&arguments(dir.path(), &["--service", "authz"])).unwrap_err();
    assert!(
        matches!(error, CertificatesError::Partial { .. }),
        "{error}"
    );
    assert!(
        error.to_string().contains("gate/client.crt is not"),
        "{error}"
    );
    assert_eq!(listing(dir.path()), before);
}

#[test]
fn what_has_expired_is_told_and_stays() {
    let dir = TempDir::new().unwrap();
    let arguments = arguments(dir.path(), &[]);
    ensure(&arguments).unwrap();
    let mut old = CertificateParams::new(["localhost".to_owned()]).unwrap();
    old.not_after = date_time_ymd(2020, 1, 1);
    let old = old
        .self_signed(&KeyPair::generate().unwrap())
        .unwrap()
        .pem();
    fs::write(dir.path().join("gate/server.crt"), &old).unwrap();
    let error = ensure(&arguments).unwrap_err().to_string();
    assert!(error.contains("server.crt has expired"), "{error}");
    let kept = fs::read_to_string(dir.path().join("gate/server.crt")).unwrap();
    assert_eq!(kept, old);
}

#[test]
fn a_name_that_is_none_is_refused_before_anything_is_written() {
    let dir = TempDir::new().unwrap();
    let error = ensure(&arguments(dir.path(), &["--name", "no näme"])).unwrap_err();
    assert!(error.to_string().contains("no näme"), "{error}");
    assert!(listing(dir.path()).is_empty());
}

#[test]
fn gate_and_service_believe_each_other() {
    let dir = TempDir::new().unwrap();
    ensure(&arguments(dir.path(), &["--service", "authz"])).unwrap();
    let identity = |name: &str| {
        let chain =
            vec![CertificateDer::from_pem_file(dir.path().join(format!("{name}.crt"))).unwrap()];
        let key = PrivateKeyDer::from_pem_file(dir.path().join(format!("{name}.key"))).unwrap();
        (chain, key)
    };
    let service = identity("authz/server");
    let gate = || identity("gate/client");
    assert_eq!(handshake(dir.path(), service, gate(), "authz"), Ok(()));
    let service = || identity("authz/server");
    assert!(handshake(dir.path(), service(), gate(), "localhost").is_err());
    // A certificate that is for servers opens no door of the service.
    let listener = identity("gate/server");
    assert!(handshake(dir.path(), service(), listener, "authz").is_err());
    // And clients find the gate by any of its names.
    for name in ["localhost", "127.0.0.1", "::1"] {
        let listener = identity("gate/server");
        assert_eq!(
            handshake(dir.path(), listener, gate(), name),
            Ok(()),
            "{name}"
        );
    }
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// Mutual TLS in memory.
fn handshake(
    dir: &Path,
    server: Identity,
    client: Identity,
    name: &str,
) -> Result<(), rustls::Error> {
    let provider = std::sync::Arc::new(aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(dir.join("ca.crt")).unwrap())
        .unwrap();
    let roots = std::sync::Arc::new(roots);
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone());
    let server_config = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(server.0, server.1)
        .unwrap();
    let client_config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(client.0, client.1)
        .unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut server = ServerConnection::new(server_config.into()).unwrap();
    let mut client = ClientConnection::new(client_config.into(), name).unwrap();
    let mut bytes = Vec::new();
    while server.is_handshaking() || client.is_handshaking() {
        bytes.clear();
        client.write_tls(&mut bytes).unwrap();
        server.read_tls(&mut bytes.as_slice()).unwrap();
        server.process_new_packets()?;
        bytes.clear();
        server.write_tls(&mut bytes).unwrap();
        client.read_tls(&mut bytes.as_slice()).unwrap();
        client.process_new_packets()?;
    }
    Ok(())
}
