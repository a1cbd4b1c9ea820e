use super::{super::http::tests::short, *};
use crate::{access::RoleName, config::certificate::NameFrom::*, password::Password};

fn device() -> TlsInfo {
    TlsInfo {
        peer_verified: true,
        peer_subject: "O=Tide,CN=alice".to_owned(),
        peer_dns_sans: vec![
            "d7.devices.example.org".to_owned(),
            "example.org".to_owned(),
        ],
        peer_uri_sans: vec!["spiffe://td/user/carol".to_owned(), "urn:x".to_owned()],
        ..TlsInfo::default()
    }
}

async fn ask(config: &CertificateConfig, tls: Option<&TlsInfo>, username: Option<&str>) -> String {
    let password = Password::new(b"whatever");
    let login = Login {
        username,
        password: Some(&password),
        client_id: "c1",
        tls,
        listener: "mtls",
    };
    short(Certificates::new(config).find(&login, Deadline::NONE).await)
}

fn from(places: &[NameFrom]) -> CertificateConfig {
    CertificateConfig {
        from: places.to_vec(),
        uri_prefix: "spiffe://td/user/".to_owned(),
        dns_suffix: ".devices.example.org".to_owned(),
        ..CertificateConfig::default()
    }
}

#[tokio::test]
async fn where_the_name_is() {
    let tls = device();
    for (places, expected) in [
        (vec![CommonName], "alice by certificate"),
        (vec![Dns], "d7 by certificate"),
        (vec![Uri], "carol by certificate"),
        (vec![Uri, CommonName], "carol by certificate"),
        (vec![CommonName, Uri], "alice by certificate"),
    ] {
        assert_eq!(
            ask(&from(&places), Some(&tls), None).await,
            expected,
            "{places:?}"
        );
    }
    let no_user = TlsInfo {
        peer_uri_sans: vec!["spiffe://other/user/carol".to_owned()],
        ..device()
    };
    assert_eq!(ask(&from(&[Uri]), Some(&no_user), None).await, "not mine");
    assert_eq!(
        ask(&from(&[Uri, Dns]), Some(&no_user), None).await,
        "d7 by certificate"
    );
}

#[tokio::test]
async fn only_a_verified_certificate_on_the_right_listener() {
    let mut tls = device();
    let mut config = from(&[CommonName]);
    assert_eq!(ask(&config, None, None).await, "not mine");
    config.listeners = vec!["public".to_owned()];
    assert_eq!(ask(&config, Some(&tls), None).await, "not mine");
    config.listeners.push("mtls".to_owned());
    assert_eq!(ask(&config, Some(&tls), None).await, "alice by certificate");
    tls.peer_verified = false;
    assert_eq!(ask(&config, Some(&tls), Some("alice")).await, "not mine");
}

#[tokio::test]
async fn names_that_are_refused() {
    for (subject, expected) in [
        ("CN=a/#", "refused user-name"),
        ("CN=$SYS", "refused user-name"),
        ("CN=", "refused user-name"),
        ("CN=a,CN=b", "refused certificate-ambiguous"),
        ("CN=a,CN=a", "a by certificate"),
        ("O=x\\,CN\\=admin", "not mine"),
        ("", "not mine"),
    ] {
        let tls = TlsInfo {
            peer_subject: subject.to_owned(),
            ..device()
        };
        assert_eq!(
            ask(&from(&[CommonName]), Some(&tls), None).await,
            expected,
            "{subject}"
        );
    }
    let longer = TlsInfo {
        peer_uri_sans: vec!["spiffe://td/user/a/b".to_owned()],
        ..device()
    };
    assert_eq!(
        ask(&from(&[Uri]), Some(&longer), None).await,
        "refused user-name"
    );
    let mut config = from(&[CommonName]);
    config.allow = vec!["device-*".to_owned(), "bob".to_owned()];
    assert_eq!(
        ask(&config, Some(&device()), None).await,
        "refused certificate-not-allowed"
    );
    config.allow.push("al*".to_owned());
    assert_eq!(
        ask(&config, Some(&device()), None).await,
        "alice by certificate"
    );
}

#[tokio::test]
async fn a_user_name_beside_it() {
    let tls = device();
    let mut config = from(&[CommonName]);
    assert_eq!(
        ask(&config, Some(&tls), Some("alice")).await,
        "alice by certificate"
    );
    assert_eq!(
        ask(&config, Some(&tls), Some("bob")).await,
        "refused certificate-username"
    );
    assert_eq!(
        ask(&config, Some(&tls), Some("")).await,
        "refused certificate-username"
    );
    config.require_same_username = false;
    assert_eq!(
        ask(&config, Some(&tls), Some("bob")).await,
        "alice by certificate"
    );
}

#[test]
fn roles_of_all() {
    let mut config = from(&[CommonName]);
    config.roles = vec![RoleName::new("devices").unwrap()];
    let tls = device();
    let login = Login {
        username: None,
        password: None,
        client_id: "c1",
        tls: Some(&tls),
        listener: "mtls",
    };
    let found = Certificates::new(&config).judge(&login);
    let Found::Verified(verified) = found else {
        panic!("{found:?}");
    };
    assert_eq!(verified.account.roles, config.roles);
    assert!(!verified.account.superuser);
}
