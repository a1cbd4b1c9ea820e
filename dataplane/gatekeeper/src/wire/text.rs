//! Which strings may pass (MQTT 5.0 §1.5.4, 3.1.1 §1.5.3).

use crate::violation::Violation;

/// Refuses characters that no string of a packet may hold.
///
/// U+0000 is forbidden ([MQTT-1.5.4-2]). Control characters and non-characters are only advised
/// against, and a receiver may close for them: brokers differ about them, and what the broker could
/// read differently is refused. Nothing is ever normalised: a byte order mark stays
/// ([MQTT-1.5.4-3]), case and composition too.
///
/// # Errors
/// At the first such character: 0x81.
pub fn check(text: &str) -> Result<(), Violation> {
    // Without an early exit, so that the common case is a few vector instructions.
    let printable_ascii = text
        .bytes()
        .fold(true, |all, byte| all & (0x20..0x7F).contains(&byte));
    if printable_ascii {
        return Ok(());
    }
    text.chars().try_for_each(check_char)
}

/// Refuses what is forbidden, and nothing that is only advised against.
///
/// # Errors
/// At U+0000: 0x81.
pub(crate) fn check_nul(text: &str) -> Result<(), Violation> {
    if text.contains('\0') {
        Err(NUL)
    } else {
        Ok(())
    }
}

const NUL: Violation = Violation::malformed("U+0000 in a string", "MQTT-1.5.4-2");

fn check_char(char: char) -> Result<(), Violation> {
    if char == '\0' {
        return Err(NUL);
    }
    if char.is_control() {
        return Err(Violation::malformed(
            "control character in a string",
            "§1.5.4",
        ));
    }
    let point = u32::from(char);
    if point & 0xFFFE == 0xFFFE || (0xFDD0..=0xFDEF).contains(&point) {
        return Err(Violation::malformed(
            "Unicode non-character in a string",
            "§1.5.4",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every character there is.
    #[test]
    fn controls_and_non_characters_are_refused_and_nothing_else() {
        for char in '\0'..=char::MAX {
            let refused = matches!(
                char,
                '\0'..='\x1F' | '\x7F'..='\u{9F}' | '\u{FDD0}'..='\u{FDEF}'
            ) || matches!(u32::from(char) & 0xFFFF, 0xFFFE | 0xFFFF);
            let text = format!("a{char}b");
            assert_eq!(check(&text).is_err(), refused, "{char:?}");
        }
    }
}
