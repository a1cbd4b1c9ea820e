//! The connect flags (§3.1.2.3).

use crate::question::{QoS, Version};
use crate::violation::Violation;
use crate::wire::cursor::Cursor;

const RESERVED: u8 = 1;
const CLEAN_START: u8 = 1 << 1;
const WILL: u8 = 1 << 2;
const WILL_QOS_SHIFT: u8 = 3;
const WILL_RETAIN: u8 = 1 << 5;
const PASSWORD: u8 = 1 << 6;
const USERNAME: u8 = 1 << 7;

/// What the flags say, once they were found to agree with each other.
pub(super) struct Flags {
    pub(super) clean_start: bool,
    pub(super) will: Option<WillFlags>,
    pub(super) username: bool,
    pub(super) password: bool,
}

/// What they say about the will.
#[derive(Clone, Copy)]
pub(super) struct WillFlags {
    pub(super) qos: QoS,
    pub(super) retain: bool,
}

impl Flags {
    pub(super) fn read(cursor: &mut Cursor<'_>, version: Version) -> Result<Self, Violation> {
        let bits = cursor.u8()?;
        let is_set = |flag| bits & flag != 0;
        if is_set(RESERVED) {
            return Err(Violation::malformed(
                "reserved connect flag",
                "MQTT-3.1.2-3",
            ));
        }
        // Legal since MQTT 5.0: a token as a password needs no name (§3.1.2.9).
        if version.is_v3() && is_set(PASSWORD) && !is_set(USERNAME) {
            return Err(Violation::malformed(
                "password without user name",
                "3.1.1: MQTT-3.1.2-22",
            ));
        }
        Ok(Self {
            clean_start: is_set(CLEAN_START),
            will: read_will(bits)?,
            username: is_set(USERNAME),
            password: is_set(PASSWORD),
        })
    }

    pub(super) fn to_bits(&self) -> u8 {
        let flag = |is_set, bit| if is_set { bit } else { 0 };
        let will = self.will.map_or(0, |will| {
            WILL | (will.qos as u8) << WILL_QOS_SHIFT | flag(will.retain, WILL_RETAIN)
        });
        flag(self.clean_start, CLEAN_START)
            | will
            | flag(self.password, PASSWORD)
            | flag(self.username, USERNAME)
    }
}

fn read_will(bits: u8) -> Result<Option<WillFlags>, Violation> {
    let qos = bits >> WILL_QOS_SHIFT & 0b11;
    let retain = bits & WILL_RETAIN != 0;
    if bits & WILL == 0 {
        if qos != 0 || retain {
            return Err(Violation::malformed(
                "will QoS or will retain without a will",
                "MQTT-3.1.2-11, MQTT-3.1.2-13",
            ));
        }
        return Ok(None);
    }
    let qos =
        QoS::from_bits(qos).ok_or(Violation::malformed("will with QoS 3", "MQTT-3.1.2-12"))?;
    Ok(Some(WillFlags { qos, retain }))
}
