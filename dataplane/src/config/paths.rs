//! Relative paths begin at the folder of the configuration file, wherever the program was started. Without a file,
//! they begin at the working directory.

use std::path::{Path, PathBuf};

use super::Config;

impl Config {
    pub(super) fn relative_to(&mut self, folder: &Path) {
        for path in self.paths() {
            *path = folder.join(&path);
        }
    }

    fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let listeners = self.listeners.0.iter_mut();
        let of_listeners = listeners
            .filter_map(|listener| listener.tls.as_mut())
            .flat_map(|tls| {
                let certificates = tls.certificates.iter_mut();
                certificates
                    .flat_map(|pair| [&mut pair.cert, &mut pair.key])
                    .chain(&mut tls.client_ca)
                    .chain(&mut tls.client_crl)
            });
        let (broker, authz) = (&mut self.broker.tls, &mut self.authz.tls);
        of_listeners
            .chain(&mut broker.ca)
            .chain(&mut broker.cert)
            .chain(&mut broker.key)
            .chain(&mut authz.ca)
            .chain(&mut authz.cert)
            .chain(&mut authz.key)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn paths_begin_at_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tidegate.toml");
        let text = "
            [[listeners]]
            transport = 'tls'
            [listeners.tls]
            certificates = [{ cert = 'a.crt', key = '/keys/a.key' }]
            client_certificates = 'optional'
            client_ca = 'ca.crt'
            client_crl = 'crl.pem'
            [broker]
            url = 'mqtts://localhost'
            tls = { ca = 'ca.crt', cert = 'b.crt', key = 'b.key' }
            [authz]
            endpoint = 'https://localhost:1'
            tls = { ca = 'ca.crt', cert = 'c.crt', key = 'c.key' }
        ";
        fs::write(&file, text).unwrap();
        let mut config = Config::load(Some(&file), []).unwrap();
        let outside = |path: &mut &mut PathBuf| !path.starts_with(folder.path());
        let outside: Vec<_> = config
            .paths()
            .filter_map(|mut path| outside(&mut path).then_some(path))
            .collect();
        assert_eq!(outside, [Path::new("/keys/a.key")]);
        assert_eq!(config.paths().count(), 10);
    }
}
