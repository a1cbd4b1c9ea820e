use std::time::Duration;

use super::{super::claims::read, *};
use crate::access::RoleName;

/// Some moment, in seconds since 1970.
const NOW: u64 = 1_900_000_000;

fn judge(claims: &Value, adjust: impl FnOnce(&mut JwtConfig)) -> Result<Verified, Refusal> {
    let mut config = JwtConfig::default();
    adjust(&mut config);
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW);
    read(claims.as_object().unwrap(), &config, now)
}

fn rule(claims: &Value, adjust: impl FnOnce(&mut JwtConfig)) -> String {
    match judge(claims, adjust) {
        Ok(verified) => verified.name.to_string(),
        Err(refusal) => refusal.rule().to_owned(),
    }
}

#[test]
fn time() {
    for (claims, expected) in [
        (json!({"sub": "a", "exp": NOW + 1}), "a"),
        (json!({"sub": "a", "exp": NOW - 29}), "a"),
        (json!({"sub": "a", "exp": NOW - 30}), "token-expired"),
        (json!({"sub": "a", "exp": 0}), "token-expired"),
        (json!({"sub": "a"}), "token-without-end"),
        (json!({"sub": "a", "exp": null}), "token-claims"),
        (json!({"sub": "a", "exp": "1900000001"}), "token-claims"),
        (json!({"sub": "a", "exp": -1}), "token-claims"),
        (json!({"sub": "a", "exp": 1e300}), "token-claims"),
        (json!({"sub": "a", "exp": NOW + 9, "nbf": NOW + 30}), "a"),
        (
            json!({"sub": "a", "exp": NOW + 99, "nbf": NOW + 31}),
            "token-not-yet-valid",
        ),
        (
            json!({"sub": "a", "exp": NOW + 99, "nbf": "soon"}),
            "token-claims",
        ),
    ] {
        assert_eq!(rule(&claims, |_| {}), expected, "{claims}");
    }
    let endless = judge(&json!({"sub": "a"}), |config| config.require_exp = false);
    assert_eq!(endless.unwrap().expires_at, None);
    let verified = judge(&json!({"sub": "a", "exp": NOW + 100}), |_| {}).unwrap();
    let end = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW + 130);
    assert_eq!(
        verified.expires_at,
        Some(end),
        "as long as the token is taken"
    );
}

#[test]
fn issuer_and_audience() {
    let token = |more: Value| {
        let mut claims = json!({"sub": "a", "exp": NOW + 1});
        claims
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        claims
    };
    let restrict = |config: &mut JwtConfig| {
        config.issuers = vec!["https://id".to_owned()];
        config.audiences = vec!["mqtt".to_owned(), "broker".to_owned()];
    };
    for (more, expected) in [
        (json!({"iss": "https://id", "aud": "mqtt"}), "a"),
        (json!({"iss": "https://id", "aud": ["web", "broker"]}), "a"),
        (json!({"iss": "https://id/", "aud": "mqtt"}), "token-issuer"),
        (
            json!({"iss": ["https://id"], "aud": "mqtt"}),
            "token-issuer",
        ),
        (json!({"aud": "mqtt"}), "token-issuer"),
        (json!({"iss": "https://id", "aud": "web"}), "token-audience"),
        (
            json!({"iss": "https://id", "aud": ["web"]}),
            "token-audience",
        ),
        (json!({"iss": "https://id", "aud": []}), "token-audience"),
        (json!({"iss": "https://id", "aud": 7}), "token-audience"),
        (json!({"iss": "https://id"}), "token-audience"),
    ] {
        assert_eq!(rule(&token(more.clone()), restrict), expected, "{more}");
    }
    assert_eq!(rule(&token(json!({"iss": "anybody"})), |_| {}), "a");
    let meant_for_others = token(json!({"aud": "web"}));
    assert_eq!(rule(&meant_for_others, |_| {}), "token-audience");
}

#[test]
fn names() {
    let exp = NOW + 1;
    for (claims, claim, expected) in [
        (json!({"sub": "a", "exp": exp}), "sub", "a"),
        (json!({"exp": exp}), "sub", "token-name"),
        (json!({"sub": 7, "exp": exp}), "sub", "token-name"),
        (json!({"sub": "a/#", "exp": exp}), "sub", "user-name"),
        (json!({"sub": "$SYS", "exp": exp}), "sub", "user-name"),
        (json!({"sub": "anonymous", "exp": exp}), "sub", "user-name"),
        (
            json!({"sub": "u1", "mqtt": {"name": "a"}, "exp": exp}),
            "mqtt.name",
            "a",
        ),
        (
            json!({"mqtt": {"name": "b"}, "mqtt.name": "a", "exp": exp}),
            "mqtt.name",
            "a",
        ),
        (json!({"mqtt": "a", "exp": exp}), "mqtt.name", "token-name"),
    ] {
        let name = rule(&claims, |config| config.name_claim = claim.to_owned());
        assert_eq!(name, expected, "{claims}");
    }
}

fn all(config: &mut JwtConfig) {
    config.roles_claim = Some("roles".to_owned());
    config.publish_claim = Some("pub".to_owned());
    config.subscribe_claim = Some("sub_to".to_owned());
    config.grants_claim = Some("grants".to_owned());
    config.superuser_claim = Some("root".to_owned());
}

#[test]
fn what_they_have() {
    let mut claims = json!({
        "sub": "a", "exp": NOW + 1,
        "roles": ["ops", "no role", "ops", "dev"],
        "pub": ["out/#"],
        "sub_to": ["in/+", "news"],
        "grants": [{"topic": "both/{username}", "publish": true, "subscribe": true, "retain": false, "qos": 1}],
        "root": true,
    });
    let account = judge(&claims, all).unwrap().account;
    let names: Vec<_> = account.roles.iter().map(RoleName::as_str).collect();
    assert_eq!(names, ["ops", "dev"]);
    let grants: Vec<_> = account
        .grants
        .iter()
        .map(|grant| {
            (
                grant.topic.as_str(),
                grant.publish,
                grant.subscribe,
                grant.retain,
                grant.qos,
            )
        })
        .collect();
    assert_eq!(
        grants,
        [
            ("out/#", true, false, true, 2),
            ("in/+", false, true, true, 2),
            ("news", false, true, true, 2),
            ("both/{username}", true, true, false, 1),
        ]
    );
    assert!(account.superuser && !account.oracle);

    let account = judge(&claims, |_| {}).unwrap().account;
    assert_eq!(
        account,
        Default::default(),
        "only what the configuration names counts"
    );

    claims["roles"] = "ops dev".into();
    assert_eq!(judge(&claims, all).unwrap().account.roles.len(), 2);
    for root in [json!("true"), json!(1), json!(false), json!(null)] {
        claims["root"] = root;
        assert!(!judge(&claims, all).unwrap().account.superuser, "{claims}");
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    for more in [
        json!({"roles": 7}),
        json!({"roles": ["a", 7]}),
        json!({"pub": "out/#"}),
        json!({"pub": ["a/#/b"]}),
        json!({"pub": ["{tenant}/x"]}),
        json!({"sub_to": [""]}),
        json!({"grants": ["a"]}),
        json!({"grants": [{"topic": "a", "admin": true}]}),
        json!({"grants": [{"topic": "a", "qos": 3}]}),
    ] {
        let mut claims = json!({"sub": "a", "exp": NOW + 1});
        claims
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        assert_eq!(rule(&claims, all), "token-claims", "{more}");
    }
}
