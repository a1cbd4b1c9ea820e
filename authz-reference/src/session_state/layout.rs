//! The content of a session state.
//!
//! ```text
//! sealed at (8) | flags (1) | end (8) | store | name | roles (2) × name | grants (2) × (flags (1), topic)
//! store: name | what the password was verified against (8)
//! ```
//!
//! End and store are there if a flag says so. Times are milliseconds since 1970. Numbers are big-endian; a name has its
//! length before it in one byte, a topic in two. Nothing may follow.

use std::time::{Duration, SystemTime};

use super::{Claims, Opened, Stored};
use crate::{
    access::{Access, RoleName, TopicTemplate},
    identity::{Principal, UserName},
    password::HashId,
};

const SUPERUSER: u8 = 0b0_0001;
const ANONYMOUS: u8 = 0b0_0010;
const STORED: u8 = 0b0_0100;
const ORACLE: u8 = 0b0_1000;
const ENDS: u8 = 0b1_0000;

const PUBLISH: u8 = 0b0_0001;
const SUBSCRIBE: u8 = 0b0_0010;
const RETAIN: u8 = 0b0_0100;
const QOS_SHIFT: u8 = 3;
const GRANT_FLAGS: u8 = 0b1_1111;

/// Counts and lengths that their field can't hold make the state too large for its limit as well: they are written
/// as far as they go, and the state is thrown away.
pub(super) fn write(claims: &Claims, now: SystemTime, to: &mut Vec<u8>) {
    time(now, to);
    let how = flag(claims.stored.is_some(), STORED)
        | flag(claims.oracle, ORACLE)
        | flag(claims.ends.is_some(), ENDS);
    match &claims.principal {
        Principal::Anonymous => {
            to.push(ANONYMOUS | how);
            end_and_store(claims, to);
        }
        Principal::User {
            name,
            superuser,
            roles,
            grants,
        } => {
            to.push(flag(*superuser, SUPERUSER) | how);
            end_and_store(claims, to);
            short(name.as_str(), to);
            count(roles.len(), to);
            for role in roles {
                short(role.as_str(), to);
            }
            count(grants.len(), to);
            for access in grants {
                grant(access, to);
            }
        }
    }
}

fn time(at: SystemTime, to: &mut Vec<u8>) {
    let since = at.duration_since(SystemTime::UNIX_EPOCH);
    let millis = since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    });
    to.extend_from_slice(&millis.to_be_bytes());
}

fn end_and_store(claims: &Claims, to: &mut Vec<u8>) {
    if let Some(ends) = claims.ends {
        time(ends, to);
    }
    if let Some(Stored { source, credential }) = &claims.stored {
        short(source, to);
        to.extend_from_slice(&credential.0.to_be_bytes());
    }
}

fn flag(set: bool, flag: u8) -> u8 {
    if set { flag } else { 0 }
}

fn count(number: usize, to: &mut Vec<u8>) {
    let number = u16::try_from(number).unwrap_or(u16::MAX);
    to.extend_from_slice(&number.to_be_bytes());
}

fn short(text: &str, to: &mut Vec<u8>) {
    to.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
    to.extend_from_slice(text.as_bytes());
}

fn grant(access: &Access, to: &mut Vec<u8>) {
    to.push(
        flag(access.publish, PUBLISH)
            | flag(access.subscribe, SUBSCRIBE)
            | flag(access.retain, RETAIN)
            | (access.qos.min(2) << QOS_SHIFT),
    );
    let topic = access.topic.as_str();
    count(topic.len(), to);
    to.extend_from_slice(topic.as_bytes());
}

/// `None` for everything that [`write`] does not write.
pub(super) fn read(content: &[u8]) -> Option<Opened> {
    let mut from = Reader(content);
    let sealed_at = from.time()?;
    let flags = from.byte()?;
    let ends = match flags & ENDS {
        0 => None,
        _ => Some(from.time()?),
    };
    let stored = match flags & STORED {
        0 => None,
        _ => Some(Stored {
            source: from.short()?.into(),
            credential: HashId(u64::from_be_bytes(from.array()?)),
        }),
    };
    let principal = match flags & !(STORED | ORACLE | ENDS) {
        ANONYMOUS => Principal::Anonymous,
        flags @ (0 | SUPERUSER) => Principal::User {
            superuser: flags == SUPERUSER,
            name: UserName::new(from.short()?).ok()?,
            roles: from.many(|from| RoleName::new(from.short()?).ok())?,
            grants: from.many(Reader::grant)?,
        },
        _ => return None,
    };
    let claims = Claims {
        principal,
        stored,
        oracle: flags & ORACLE != 0,
        ends,
    };
    from.0.is_empty().then_some(Opened { claims, sealed_at })
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    fn time(&mut self) -> Option<SystemTime> {
        let millis = u64::from_be_bytes(self.array()?);
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis))
    }

    fn short(&mut self) -> Option<&'a str> {
        let length = self.byte()?;
        str::from_utf8(self.take(length.into())?).ok()
    }

    fn many<T>(&mut self, mut read: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = u16::from_be_bytes(self.array()?);
        (0..count).map(|_| read(self)).collect()
    }

    fn grant(&mut self) -> Option<Access> {
        let flags = self.byte()?;
        let qos = flags >> QOS_SHIFT;
        if flags & !GRANT_FLAGS != 0 || qos > 2 {
            return None;
        }
        let length = u16::from_be_bytes(self.array()?);
        let topic = str::from_utf8(self.take(length.into())?).ok()?;
        Some(Access {
            topic: TopicTemplate::new(topic).ok()?,
            publish: flags & PUBLISH != 0,
            subscribe: flags & SUBSCRIBE != 0,
            retain: flags & RETAIN != 0,
            qos,
        })
    }
}
