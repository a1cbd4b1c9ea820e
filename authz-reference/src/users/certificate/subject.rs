//! The common name in a subject as RFC 4514 writes it: `O=Tide\, Gate,CN=device`.
//!
//! Whoever can have a certificate made may choose what stands in it, so escapes are taken seriously:
//! `O=x\,CN\=admin` names no `admin`.

/// The values of all common names. None if the subject can't be read: a half-read name is a wrong name.
pub(super) fn common_names(subject: &str) -> Vec<String> {
    attributes(subject).unwrap_or_default()
}

fn attributes(subject: &str) -> Option<Vec<String>> {
    let mut names = Vec::new();
    let mut rest = subject.as_bytes();
    while !rest.is_empty() {
        let equals = rest.iter().position(|&byte| byte == b'=')?;
        let (kind, value) = rest.split_at(equals);
        let (value, next) = self::value(value.get(1..)?)?;
        // What stands behind a separator is never nothing.
        rest = match next.split_first() {
            None => next,
            Some((_, [])) => return None,
            Some((_, next)) => next,
        };
        let kind = str::from_utf8(kind).ok()?.trim_ascii();
        let well_formed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
        if kind.is_empty() || !kind.chars().all(well_formed) {
            return None;
        }
        if kind.eq_ignore_ascii_case("CN") || kind == "2.5.4.3" {
            // Given in hexadecimal, it is of a type that nobody uses for names any more.
            names.push(value?);
        }
    }
    Some(names)
}

/// A value, and the separator behind it with the rest. The value is `None` if it stands there in hexadecimal.
fn value(text: &[u8]) -> Option<(Option<String>, &[u8])> {
    let is_end = |byte: &u8| matches!(byte, b',' | b'+');
    if let [b'#', hex @ ..] = text {
        let end = hex.iter().position(is_end).unwrap_or(hex.len());
        let (hex, rest) = hex.split_at(end);
        return hex
            .iter()
            .all(u8::is_ascii_hexdigit)
            .then_some((None, rest));
    }
    let mut value = Vec::new();
    let mut rest = text;
    loop {
        rest = match rest {
            [] => break,
            [end, ..] if is_end(end) => break,
            [b'\\', high, low, next @ ..]
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                let pair = [*high, *low];
                value.push(u8::from_str_radix(str::from_utf8(&pair).ok()?, 16).ok()?);
                next
            }
            [b'\\', special, next @ ..] if br##" "#+,;<=>\"##.contains(special) => {
                value.push(*special);
                next
            }
            [b'\\' | b'"' | b';' | b'<' | b'>' | 0, ..] => return None,
            [plain, next @ ..] => {
                value.push(*plain);
                next
            }
        };
    }
    Some((Some(String::from_utf8(value).ok()?), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_names_and_nothing_else() {
        for (subject, expected) in [
            ("", &[] as &[&str]),
            ("CN=alice", &["alice"]),
            ("cn=alice,O=x", &["alice"]),
            ("2.5.4.3=alice", &["alice"]),
            ("O=Tide\\, Gate,CN=device", &["device"]),
            ("O=x\\,CN\\=admin,CN=bob", &["bob"]),
            ("O=x\\,CN=admin", &[]),
            ("O=x\\2cCN=admin", &[]),
            ("O=x\\\\,CN=bob", &["bob"]),
            ("OU=a+CN=alice,O=x", &["alice"]),
            ("CN=alice+OU=a", &["alice"]),
            ("CN=a,CN=b", &["a", "b"]),
            ("CN=\\#a\\ ", &["#a "]),
            ("CN=a\\22b", &["a\"b"]),
            ("CN=L\\c3\\a4rm", &["Lärm"]),
            ("CN=Lärm", &["Lärm"]),
            ("CN=a=b", &["a=b"]),
            ("CN=", &[""]),
            ("XCN=a,1.2.3=#0402ab,CN=b", &["b"]),
        ] {
            assert_eq!(common_names(subject), expected, "{subject}");
        }
    }

    #[test]
    fn nothing_from_what_is_malformed() {
        for subject in [
            "alice",
            "CN",
            "=alice",
            "CN=a,",
            "CN=a+",
            "CN=a,,O=x",
            "CN=a;O=x",
            "CN=\"a,O=x\"",
            "CN=a\\",
            "CN=a\\x",
            "CN=a\\ff",
            "C N=a",
            "CN=#zz",
            "CN=#0c0161",
            "CN=b,CN=#0c0161",
            "CN=a<b",
            "CN=a\0b",
        ] {
            assert_eq!(common_names(subject), [""; 0], "{subject:?}");
        }
    }
}
