use super::*;

const ARGON2ID: &str = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHRzYWx0$AAAAAAAAAAAAAAAAAAAAAA";
/// Made by other programs from the password `secret` (Mosquitto: `s3cret`).
const MOSQUITTO: &str = "$7$101$JahiFc1NvXFNTsy+$cDJCNloGq9PTChOsVLn+yUoIpTlrrP3PvaHPBEM/ZCjpRbshwXcwYJpwqiQXEnWx8ydY3KysK+Eg3ukFPBdW+Q==";
const MOSQUITTO_SHA512: &str = "$6$GFuWfUNEHyv0p0q4$Kp5cbsyKaxTSOh1tN6pnUWyKSTnDV6bn2rfOzI59uGNYrR4OACU1L307IcwP8IndHahZb4DgZMd+kwaYIS6pTg==";
const BCRYPT: &str = "$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a";
const GO_AUTH: &str = "PBKDF2$sha512$100$MDEyMzQ1Njc4OWFiY2RlZg==$NQ0HhrVmg10KxQjptbmqQ9lbVUGRj8DUn1roNc7+mx8cMcVmanaVc34P4vDRx6U5ruIAAMV9S2NQesznrdhFLg==";
const GO_AUTH_SHA256: &str =
    "PBKDF2$sha256$100$MDEyMzQ1Njc4OWFiY2RlZg==$Us/FkSpH1Fd5Nn2yxjYsf38htKuWARcWNf+V8YAGS7I=";

fn parse(text: &str) -> PasswordHash {
    PasswordHash::parse(text).unwrap()
}

fn password(text: impl AsRef<[u8]>) -> Password {
    Password::new(text.as_ref())
}

#[test]
fn understands_what_others_made() {
    for (text, format, secret) in [
        (MOSQUITTO, HashFormat::Mosquitto, "s3cret"),
        (MOSQUITTO_SHA512, HashFormat::MosquittoSha512, "s3cret"),
        (BCRYPT, HashFormat::Bcrypt, "secret"),
        (
            &BCRYPT.replace("$2y$", "$2b$"),
            HashFormat::Bcrypt,
            "secret",
        ),
        (
            &BCRYPT.replace("$2y$", "$2a$"),
            HashFormat::Bcrypt,
            "secret",
        ),
        (GO_AUTH, HashFormat::GoAuth, "secret"),
        (GO_AUTH.trim_end_matches('='), HashFormat::GoAuth, "secret"),
        (GO_AUTH_SHA256, HashFormat::GoAuth, "secret"),
    ] {
        let hash = parse(text);
        assert_eq!(hash.format(), format, "{text}");
        assert!(hash.verify(&password(secret)), "{text}");
        // Not `secret\0`: HMAC, and so PBKDF2, fills keys up with zeros and makes no difference.
        for wrong in ["", "Secret", "secret ", "secre"] {
            assert!(!hash.verify(&password(wrong)), "{text}: {wrong:?}");
        }
        assert!(!hash.decoy().verify(&password(secret)), "{text}");
        assert_eq!(hash.decoy().cost(), hash.cost(), "{text}");
        assert!(parse(&hash.to_string()) == hash, "{text}");
        assert!(hash.decoy() != hash, "{text}");
        assert!(!format!("{hash:?}").contains('$'), "{text}");
    }
}

#[test]
fn makes_what_it_understands() {
    for format in [
        HashFormat::Argon2id,
        HashFormat::Bcrypt,
        HashFormat::Mosquitto,
        HashFormat::GoAuth,
    ] {
        let secret = password("s\u{fc}\u{df} secret");
        let hash = PasswordHash::of_format(&secret, format).unwrap();
        let again = parse(&hash.to_string());
        assert_eq!(again.format(), format);
        assert!(again.verify(&secret), "{format}");
        assert!(!again.verify(&password("other")), "{format}");
        let other = PasswordHash::of_format(&secret, format).unwrap();
        assert!(other != hash, "{format}: the salt is fresh");
    }
}

#[test]
fn bcrypt_never_cuts_a_password() {
    let longest = "x".repeat(72);
    let hash = PasswordHash::of_format(&password(&longest), HashFormat::Bcrypt).unwrap();
    assert!(hash.verify(&password(&longest)));
    assert!(!hash.verify(&password(format!("{longest}y"))));
    assert!(!hash.verify(&password(&longest[1..])));
    // The key repeats with its NUL: `secret\0secret` is the same to bcrypt as `secret`.
    assert!(!parse(BCRYPT).verify(&password("secret\0secret")));
    for unfit in [&[b'x'; 73][..], b"a\0b"] {
        assert_eq!(
            PasswordHash::of_format(&password(unfit), HashFormat::Bcrypt).unwrap_err(),
            PasswordError::NotForBcrypt
        );
    }
}

#[test]
fn refuses_what_could_not_be_verified() {
    use HashFormat::*;
    use PasswordError::*;
    let short = "AAAA";
    for (text, expected) in [
        ("", Unknown),
        ("secret", Unknown),
        ("$apr1$abcdefgh$abcdefghijklmnopqrstu0", Unknown),
        ("{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", Unknown),
        (&ARGON2ID.replace("2id", "2i"), Unknown),
        (&BCRYPT.replace("$2y$", "$2x$"), Unknown),
        (
            "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHRzYWx0",
            Malformed(Argon2id),
        ),
        (&ARGON2ID.replace("t=1", "t=0"), Malformed(Argon2id)),
        (&BCRYPT[..59], Malformed(Bcrypt)),
        (&BCRYPT.replace("$05$", "$03$"), Malformed(Bcrypt)),
        (&BCRYPT.replace("$05$", "$99$"), Malformed(Bcrypt)),
        (&MOSQUITTO.replace("$101$", "$0$"), Malformed(Mosquitto)),
        (&MOSQUITTO.replace("$101$", "$-1$"), Malformed(Mosquitto)),
        (&MOSQUITTO.replace("$101$", "$$"), Malformed(Mosquitto)),
        (&MOSQUITTO[..40], Malformed(Mosquitto)),
        (&format!("{MOSQUITTO}$"), Malformed(Mosquitto)),
        (
            &format!("PBKDF2$sha512$1${short}${short}"),
            Malformed(GoAuth),
        ),
        (&GO_AUTH.replace("sha512", "md5"), Malformed(GoAuth)),
        // crypt's own, in base64 of its own
        (
            "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjlO/O817G3uBnIFNjnQJuesI68OTLiBFdcbYEdFCoEOfaS35inz1u",
            Malformed(MosquittoSha512),
        ),
        (
            &MOSQUITTO.replace("$101$", "$1000000000$"),
            TooCostly(Mosquitto),
        ),
        (
            &MOSQUITTO.replace("$101$", "$99999999999$"),
            TooCostly(Mosquitto),
        ),
        (&GO_AUTH.replace("$100$", "$1000000000$"), TooCostly(GoAuth)),
        (&BCRYPT.replace("$05$", "$31$"), TooCostly(Bcrypt)),
        (&ARGON2ID.replace("m=8,", "m=4000000,"), TooCostly(Argon2id)),
        (
            &ARGON2ID.replace("t=1,", "t=4000000000,"),
            TooCostly(Argon2id),
        ),
    ] {
        assert_eq!(PasswordHash::parse(text).unwrap_err(), expected, "{text}");
    }
}

#[test]
fn costs_compare_over_formats() {
    let costs: Vec<Duration> = [
        MOSQUITTO_SHA512,
        MOSQUITTO,
        BCRYPT,
        &PasswordHash::default().to_string(),
        &BCRYPT.replace("$05$", "$12$"),
    ]
    .into_iter()
    .map(|text| parse(text).cost())
    .collect();
    assert!(costs.is_sorted(), "{costs:?}");
    assert!(costs.last() < Some(&MAX_COST));
}
