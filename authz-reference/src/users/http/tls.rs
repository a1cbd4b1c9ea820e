//! TLS towards the service.

use std::{fmt::Display, path::Path, sync::Arc};

use tokio_rustls::rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};

use super::client::OpenError;
use crate::config::http::ClientTls;

/// The settings of TLS. Without `needed` (the URL is `http://`), no authorities are looked for.
pub(super) fn client(
    section: &str,
    files: &ClientTls,
    needed: bool,
) -> Result<ClientConfig, OpenError> {
    let refuse =
        |key: &str, problem: &dyn Display| OpenError::new(format!("{section}.tls.{key}"), problem);
    let provider = Arc::new(aws_lc_rs::default_provider());
    let roots = match &files.ca {
        Some(file) => authorities(file).map_err(|problem| refuse("ca", &problem))?,
        None if needed => {
            let mut roots = RootCertStore::empty();
            // A system may hold some that cannot be read; those that can are enough.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                let problem = "expected a file: the system has no root certificates";
                return Err(refuse("ca", &problem));
            }
            roots
        }
        None => RootCertStore::empty(),
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| refuse("ca", &error))?
        .with_root_certificates(roots);
    let (Some(cert), Some(key)) = (&files.cert, &files.key) else {
        return Ok(builder.with_no_client_auth());
    };
    let chain = certificates(cert).map_err(|problem| refuse("cert", &problem))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| {
        let file = key.display();
        refuse(
            "key",
            &format!("expected a private key in PEM, found {file}: {error}"),
        )
    })?;
    builder
        .with_client_auth_cert(chain, private)
        .map_err(|error| {
            let (cert, key) = (cert.display(), key.display());
            refuse(
                "key",
                &format!("expected the key of {cert}, found {key}: {error}"),
            )
        })
}

fn authorities(file: &Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file)? {
        roots
            .add(certificate)
            .map_err(|error| format!("{}: {error}", file.display()))?;
    }
    Ok(roots)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(file).and_then(Iterator::collect);
    let path = file.display();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(format!(
            "expected certificates in PEM, found none in {path}"
        )),
        Err(error) => Err(format!(
            "expected certificates in PEM, found {path}: {error}"
        )),
    }
}
