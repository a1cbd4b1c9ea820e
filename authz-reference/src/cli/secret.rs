//! Reading a password from whoever runs a command.

use std::io::{self, IsTerminal as _, Read as _};

use anyhow::{Context as _, ensure};
use zeroize::Zeroizing;

use crate::{password::Password, topics::MAX_STRING_BYTES};

/// Asks twice on a terminal, without showing what is typed; otherwise takes the one line on
/// standard input. A password is never an argument: everybody can read those.
pub(super) fn read() -> anyhow::Result<Password> {
    if io::stdin().is_terminal() {
        prompt()
    } else {
        read_line(io::stdin())
    }
}

fn prompt() -> anyhow::Result<Password> {
    let ask = |prompt: &str| rpassword::prompt_password(prompt).map(Zeroizing::new);
    let password = ask("Password: ").context("cannot read the password")?;
    let again = ask("Once more: ").context("cannot read the password")?;
    ensure!(password == again, "the two passwords differ");
    checked(password.as_bytes())
}

fn read_line(input: impl io::Read) -> anyhow::Result<Password> {
    // One byte and a line end too many, so that a longer input is noticed. All of it up front: a
    // buffer that grows leaves copies behind.
    let limit = MAX_STRING_BYTES + 3;
    let mut text = Zeroizing::new(Vec::with_capacity(limit));
    input
        .take(limit as u64)
        .read_to_end(&mut text)
        .context("cannot read the password")?;
    let line = text.strip_suffix(b"\n").unwrap_or(&text);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    ensure!(
        !line.contains(&b'\n'),
        "one line with the password was expected on standard input"
    );
    checked(line)
}

fn checked(password: &[u8]) -> anyhow::Result<Password> {
    ensure!(!password.is_empty(), "a password may not be empty");
    ensure!(
        password.len() <= MAX_STRING_BYTES,
        "MQTT cannot carry a password this long"
    );
    Ok(Password::new(password))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_one_line() {
        for (input, password) in [
            (&b"secret\n"[..], &b"secret"[..]),
            (b"secret", b"secret"),
            (b" se cret \r\n", b" se cret "),
            (b"se\xffcret\n", b"se\xffcret"),
        ] {
            assert_eq!(read_line(input).unwrap().expose(), password);
        }
    }

    #[test]
    fn refuses_what_cannot_be_meant() {
        for input in [
            &b""[..],
            b"\n",
            b"\r\n",
            b"one\ntwo\n",
            &[b'x'; MAX_STRING_BYTES + 1],
        ] {
            assert!(read_line(input).is_err());
        }
        assert!(read_line(&[b'x'; MAX_STRING_BYTES][..]).is_ok());
    }
}
