//! How long certificates are good.

use std::{
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio_rustls::rustls::pki_types::CertificateDer;
use tracing::warn;
use x509_cert::{Certificate, der::Decode as _};

/// A certificate with less time than this is told of when it is read.
const SOON: Duration = Duration::from_secs(14 * A_DAY);

const A_DAY: u64 = 24 * 3600;

/// When the first certificate of a chain expires, in Unix time. `None`: none of them can be read.
pub(crate) fn not_after(chain: &[CertificateDer<'_>]) -> Option<u64> {
    let read = |der: &CertificateDer<'_>| Certificate::from_der(der).ok();
    let certificates = chain.iter().filter_map(read);
    let ends = certificates.map(|certificate| {
        let validity = certificate.tbs_certificate().validity();
        validity.not_after.to_unix_duration().as_secs()
    });
    ends.min()
}

/// Says so in the log if a certificate expires soon, or has. `file` is where it was read, and `key` what names it.
pub(crate) fn tell(key: &str, file: &Path, not_after: Option<u64>) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let (Some(not_after), Ok(now)) = (not_after, now) else {
        return;
    };
    let file = file.display();
    match Duration::from_secs(not_after).checked_sub(now) {
        None => warn!(key, %file, not_after, "a certificate has expired"),
        Some(left) if left < SOON => {
            let days_left = left.as_secs() / A_DAY;
            warn!(key, %file, not_after, days_left, "a certificate expires soon");
        }
        Some(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    fn until(year: i32) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(["gate".to_owned()]).unwrap();
        params.not_after = date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().clone()
    }

    #[test]
    fn a_chain_is_as_good_as_its_first_to_expire() {
        assert_eq!(not_after(&[until(2040)]), Some(2_208_988_800));
        // Behind 2049 the time is written in another way.
        assert_eq!(not_after(&[until(2060)]), Some(2_840_140_800));
        let chain = [until(2060), until(2030), until(2040)];
        assert_eq!(not_after(&chain), Some(1_893_456_000));
        let unreadable = CertificateDer::from(vec![1, 2, 3]);
        assert_eq!(not_after(&[unreadable]), None);
        assert_eq!(not_after(&[]), None);
    }
}
