//! The keys that seal: the first one makes seals, every one verifies them.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use thiserror::Error;
use zeroize::Zeroizing;

use super::{Binding, SEAL_BYTES};

/// The shortest secret accepted for a key, in bytes.
pub const MIN_KEY_BYTES: usize = 32;

pub(super) const ID_BYTES: usize = 4;

/// Keep these seals apart from anything else the same key may come to be used for.
const PURPOSE: &[u8] = b"tidegate-authz/session-state/2\0";
const ID_PURPOSE: &[u8] = b"tidegate-authz/session-key-id\0";

/// Why there is no key.
#[derive(Debug, Error)]
pub enum KeyError {
    /// The secret is too short to keep anybody out.
    #[error("a session key needs at least {MIN_KEY_BYTES} bytes, this one has {0}")]
    TooShort(usize),
    /// The system gave no randomness.
    #[error("cannot make a random session key: {0}")]
    Random(#[from] getrandom::Error),
}

/// A key ring.
#[derive(Debug, Clone)]
pub struct Keys {
    sealing: Key,
    others: Vec<Key>,
}

impl Keys {
    /// A key that lives as long as this process. After a restart, and on another replica, live
    /// sessions are told that their state is invalid and connect afresh.
    ///
    /// # Errors
    /// If the system gives no randomness.
    pub fn random() -> Result<Self, KeyError> {
        let mut secret = Zeroizing::new([0; MIN_KEY_BYTES]);
        getrandom::fill(secret.as_mut_slice())?;
        Self::sealing_with(secret.as_slice())
    }

    /// Seals with this secret, which can outlive the process and be shared by replicas.
    ///
    /// # Errors
    /// If the secret is shorter than [`MIN_KEY_BYTES`].
    pub fn sealing_with(secret: &[u8]) -> Result<Self, KeyError> {
        Ok(Self {
            sealing: Key::new(secret)?,
            others: Vec::new(),
        })
    }

    /// Opens what another secret has sealed, too.
    ///
    /// # Errors
    /// If the secret is shorter than [`MIN_KEY_BYTES`].
    pub fn opening_with(mut self, secret: &[u8]) -> Result<Self, KeyError> {
        self.others.push(Key::new(secret)?);
        Ok(self)
    }

    /// Whether these open all that `others` can have sealed.
    pub(super) fn open_all_of(&self, others: &Self) -> bool {
        others.all().all(|other| {
            // Equal keys make equal seals.
            let seal = |key: &Key| key.mac.clone().finalize();
            self.all().any(|key| seal(key) == seal(other))
        })
    }

    fn all(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.sealing).chain(&self.others)
    }

    pub(super) fn sealing(&self) -> &Key {
        &self.sealing
    }

    /// In constant time for each key that has this id, of which there is hardly ever more than one.
    pub(super) fn verify(
        &self,
        id: [u8; ID_BYTES],
        sealed: &[u8],
        seal: &[u8; SEAL_BYTES],
        binding: Binding<'_>,
    ) -> bool {
        self.all()
            .filter(|key| key.id == id)
            .any(|key| key.over(sealed, binding).verify(seal.into()).is_ok())
    }
}

/// One key, by which nothing but seals can be made.
#[derive(Clone)]
pub(super) struct Key {
    id: [u8; ID_BYTES],
    mac: Hmac<Sha256>,
}

impl Key {
    fn new(secret: &[u8]) -> Result<Self, KeyError> {
        if secret.len() < MIN_KEY_BYTES {
            return Err(KeyError::TooShort(secret.len()));
        }
        let mac =
            Hmac::<Sha256>::new_from_slice(secret).map_err(|_| KeyError::TooShort(secret.len()))?;
        let name = mac.clone().chain_update(ID_PURPOSE).finalize().into_bytes();
        let mut id = [0; ID_BYTES];
        id.iter_mut().zip(name).for_each(|(to, from)| *to = from);
        Ok(Self {
            id,
            mac: mac.chain_update(PURPOSE),
        })
    }

    pub(super) fn id(&self) -> [u8; ID_BYTES] {
        self.id
    }

    pub(super) fn seal(&self, sealed: &[u8], binding: Binding<'_>) -> [u8; SEAL_BYTES] {
        self.over(sealed, binding).finalize().into_bytes().into()
    }

    /// A length stands before each text but the last, so that no end of one can pass as the beginning of the next.
    fn over(&self, sealed: &[u8], binding: Binding<'_>) -> Hmac<Sha256> {
        let mut mac = self.mac.clone();
        for text in [sealed, binding.session_id.as_bytes()] {
            mac.update(&(text.len() as u64).to_be_bytes());
            mac.update(text);
        }
        mac.update(binding.client_id.as_bytes());
        mac
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(<redacted>)")
    }
}
