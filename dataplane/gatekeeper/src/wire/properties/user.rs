//! How many user properties a client may send.

use super::{RawProperties, USER_PROPERTY};
use crate::violation::Violation;

pub(super) const TOO_MANY: Violation =
    Violation::quota("too many user properties in a packet", "§2.2.2.2");

const TOO_LONG: Violation =
    Violation::quota("too many bytes of user properties in a packet", "§2.2.2.2");

/// Bounds on the user properties in one packet of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserPropertyLimits {
    /// User properties; [`MAX_USER_PROPERTIES`](super::MAX_USER_PROPERTIES) holds all the same.
    pub max_count: usize,
    /// Bytes that they take on the wire, with identifiers and lengths.
    pub max_bytes: usize,
}

/// Refuses more user properties, or more bytes of them, than the operator allows.
///
/// # Errors
/// 0x97.
pub fn check_user_properties(
    count: usize,
    bytes: usize,
    limits: UserPropertyLimits,
) -> Result<(), Violation> {
    if count > limits.max_count {
        return Err(TOO_MANY);
    }
    if bytes > limits.max_bytes {
        return Err(TOO_LONG);
    }
    Ok(())
}

impl RawProperties {
    /// The same for all user properties of this section.
    ///
    /// # Errors
    /// 0x97.
    pub fn check_user_properties(&self, limits: UserPropertyLimits) -> Result<(), Violation> {
        let (count, bytes) = self.user_properties();
        check_user_properties(count, bytes, limits)
    }

    /// How many user properties there are, and how many bytes they take. For a packet with two
    /// sections, CONNECT with a will, the sums count.
    #[must_use]
    pub fn user_properties(&self) -> (usize, usize) {
        self.iter()
            .filter(|(id, _)| *id == USER_PROPERTY)
            .fold((0, 0), |(count, sum), (_, bytes)| {
                (count + 1, sum + bytes.len())
            })
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::wire::cursor::Cursor;

    const LIMITS: UserPropertyLimits = UserPropertyLimits {
        max_count: 2,
        max_bytes: 20,
    };

    fn check(properties: &[u8]) -> Option<u8> {
        let bytes = Bytes::copy_from_slice(properties);
        let raw = RawProperties::read(Cursor::over(&bytes));
        let found = raw.check_user_properties(LIMITS);
        found.err().map(|found| found.code.get())
    }

    #[test]
    fn count_and_bytes_are_bounded() {
        let one = [0x26, 0, 1, b'k', 0, 1, b'v'];
        assert_eq!(check(&[]), None);
        assert_eq!(check(&one.repeat(2)), None);
        assert_eq!(check(&one.repeat(3)), Some(0x97));
        let long = [&[0x26, 0, 1, b'k', 0, 15], &[b'v'; 15][..]].concat();
        assert_eq!(check(&long), Some(0x97));
        let fits = [&[0x26, 0, 1, b'k', 0, 14], &[b'v'; 14][..]].concat();
        assert_eq!(check(&fits), None);
    }

    #[test]
    fn other_properties_do_not_count() {
        let text = [&[0x03, 0, 30], &[b'x'; 30][..]].concat();
        assert_eq!(check(&text), None);
    }
}
