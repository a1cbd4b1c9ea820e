//! Which key of the configuration has named a file of TLS that can't be used.

use std::path::Path;

use crate::{config::Listener, tls::pem::PemError};

/// The key, for the listener in this place.
pub(super) fn key_of(listener: &Listener, place: usize, error: &PemError) -> String {
    let section = format!("listeners.{place}.tls");
    let Some(tls) = &listener.tls else {
        return section;
    };
    let certificates = tls.certificates.iter().enumerate();
    let of_pairs = certificates.flat_map(|(index, pair)| {
        let key = move |name: &str| format!("certificates.{index}.{name}");
        // One file may hold both; what was looked for in it tells which is meant.
        let pair = [
            (key("cert"), &pair.cert, false),
            (key("key"), &pair.key, true),
        ];
        pair.into_iter()
    });
    let of_clients = [
        ("client_crl", &tls.client_crl),
        ("client_ca", &tls.client_ca),
    ];
    let of_clients = of_clients
        .into_iter()
        .filter_map(|(name, path)| Some((name.to_owned(), path.as_ref()?, false)));
    let is_it = |(_, path, is_key): &(String, &std::path::PathBuf, bool)| {
        path.as_path() == error.path() && *is_key == error.is_about_a_key()
    };
    let found = of_pairs.chain(of_clients).find(is_it);
    found.map_or_else(|| section.clone(), |(name, ..)| format!("{section}.{name}"))
}

/// What is wrong with it, by file.
pub(super) fn reason(error: &PemError) -> String {
    match error.path() == Path::new("") {
        true => "expected a certificate".to_owned(),
        false => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Certificate, ListenerTls};

    #[test]
    fn the_key_is_that_of_the_file_and_of_what_was_looked_for_in_it() {
        let pair = |cert: &str, key: &str| Certificate {
            cert: cert.into(),
            key: key.into(),
        };
        let listener = Listener {
            tls: Some(ListenerTls {
                certificates: vec![pair("a", "b"), pair("both", "both")],
                client_ca: Some("ca".into()),
                client_crl: Some("crl".into()),
                ..ListenerTls::default()
            }),
            ..Listener::default()
        };
        for (path, expected, key) in [
            ("a", "certificates in PEM", ".certificates.0.cert"),
            ("b", "a private key in PEM", ".certificates.0.key"),
            ("both", "certificates in PEM", ".certificates.1.cert"),
            ("both", "the key of the certificate", ".certificates.1.key"),
            ("ca", "certificates in PEM", ".client_ca"),
            ("crl", "certificate revocation lists in PEM", ".client_crl"),
            ("elsewhere", "a certificate", ""),
        ] {
            let error = PemError::new(Path::new(path), expected, "broken");
            assert_eq!(
                key_of(&listener, 2, &error),
                format!("listeners.2.tls{key}")
            );
        }
    }
}
