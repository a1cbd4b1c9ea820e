//! What a token says, once its signature is known to be good.

use std::time::{Duration, SystemTime};

use serde_json::{Map, Value};

use super::NAME;
use crate::{
    access::{Access, RoleName, TopicTemplate},
    config::jwt::JwtConfig,
    identity::UserName,
    policy::Refusal,
    users::{Account, source::Verified},
};

/// Something in it has not the form that it must have.
pub(super) const MALFORMED: &str = "token-claims";

/// The highest QoS there is.
const EXACTLY_ONCE: u8 = 2;

type Claims = Map<String, Value>;
/// The error is the rule that refuses.
type Read<T> = Result<T, &'static str>;

/// Who it is.
///
/// # Errors
/// The token is not in time, not for us, or does not say who it is.
pub(super) fn read(
    claims: &Claims,
    config: &JwtConfig,
    now: SystemTime,
) -> Result<Verified, Refusal> {
    let expires_at = in_time(claims, config, now).map_err(Refusal::Credential)?;
    for_us(claims, config).map_err(Refusal::Credential)?;
    let name = find(claims, &config.name_claim).and_then(Value::as_str);
    let name = name.ok_or(Refusal::Credential("token-name"))?;
    let name = UserName::new(name).map_err(|_| Refusal::UserName)?;
    let account = account(claims, config).map_err(Refusal::Credential)?;
    Ok(Verified {
        name,
        account,
        expires_at,
        rule: NAME,
    })
}

/// When the token was made, if it says so.
pub(super) fn issued(claims: &Claims) -> Option<SystemTime> {
    time(claims, "iat").ok().flatten()
}

/// When the session has to end.
fn in_time(claims: &Claims, config: &JwtConfig, now: SystemTime) -> Read<Option<SystemTime>> {
    let begins = time(claims, "nbf")?;
    let latest = now.checked_add(config.leeway).ok_or(MALFORMED)?;
    if begins.is_some_and(|begins| begins > latest) {
        return Err("token-not-yet-valid");
    }
    let Some(ends) = time(claims, "exp")? else {
        return if config.require_exp {
            Err("token-without-end")
        } else {
            Ok(None)
        };
    };
    let ends = ends.checked_add(config.leeway).ok_or(MALFORMED)?;
    if ends <= now {
        return Err("token-expired");
    }
    Ok(Some(ends))
}

/// Whether issuer and audience are right. An audience that nobody has configured is somebody else (RFC 7519, 4.1.3).
fn for_us(claims: &Claims, config: &JwtConfig) -> Read<()> {
    let is_in = |list: &[String], claim: &Value| {
        claim
            .as_str()
            .is_some_and(|text| list.iter().any(|good| good == text))
    };
    let issuer = claims.get("iss").unwrap_or(&Value::Null);
    if !config.issuers.is_empty() && !is_in(&config.issuers, issuer) {
        return Err("token-issuer");
    }
    let good = match claims.get("aud") {
        None => config.audiences.is_empty(),
        Some(Value::Array(all)) => all.iter().any(|one| is_in(&config.audiences, one)),
        Some(one) => is_in(&config.audiences, one),
    };
    good.then_some(()).ok_or("token-audience")
}

fn account(claims: &Claims, config: &JwtConfig) -> Read<Account> {
    let claim = |name: &Option<String>| name.as_ref().and_then(|name| find(claims, name));
    let mut grants = Vec::new();
    for (name, publish) in [
        (&config.publish_claim, true),
        (&config.subscribe_claim, false),
    ] {
        for topic in claim(name).map(texts).transpose()?.unwrap_or_default() {
            grants.push(Access {
                topic: TopicTemplate::new(topic).map_err(|_| MALFORMED)?,
                publish,
                subscribe: !publish,
                retain: true,
                qos: EXACTLY_ONCE,
            });
        }
    }
    if let Some(whole) = claim(&config.grants_claim) {
        let whole: Vec<Access> = serde_json::from_value(whole.clone()).map_err(|_| MALFORMED)?;
        if whole.iter().any(|grant| grant.qos > EXACTLY_ONCE) {
            return Err(MALFORMED);
        }
        grants.extend(whole);
    }
    Ok(Account {
        superuser: claim(&config.superuser_claim) == Some(&Value::Bool(true)),
        roles: claim(&config.roles_claim)
            .map(roles)
            .transpose()?
            .unwrap_or_default(),
        grants,
        ..Account::default()
    })
}

/// A text that can't name a role names none that is defined, and so grants nothing.
fn roles(claim: &Value) -> Read<Vec<RoleName>> {
    let names = match claim {
        Value::String(text) => text.split_ascii_whitespace().collect(),
        other => texts(other)?,
    };
    let mut roles: Vec<RoleName> = Vec::new();
    for role in names
        .into_iter()
        .filter_map(|name| RoleName::new(name).ok())
    {
        if !roles.contains(&role) {
            roles.push(role);
        }
    }
    Ok(roles)
}

fn texts(claim: &Value) -> Read<Vec<&str>> {
    let all = claim.as_array().ok_or(MALFORMED)?;
    all.iter()
        .map(|text| text.as_str().ok_or(MALFORMED))
        .collect()
}

/// A claim by its whole name, or else by the path of names.
fn find<'a>(claims: &'a Claims, name: &str) -> Option<&'a Value> {
    claims.get(name).or_else(|| {
        let mut path = name.split('.');
        let first = claims.get(path.next()?)?;
        path.try_fold(first, |value, name| value.get(name))
    })
}

/// Seconds since 1970, which may be broken (RFC 7519, 2).
fn time(claims: &Claims, name: &str) -> Read<Option<SystemTime>> {
    let Some(claim) = claims.get(name) else {
        return Ok(None);
    };
    let since = claim
        .as_f64()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let at = since.and_then(|since| SystemTime::UNIX_EPOCH.checked_add(since));
    at.map(Some).ok_or(MALFORMED)
}
