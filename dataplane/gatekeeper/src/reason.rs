//! placeholder, being written
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReasonCode(u8);
impl ReasonCode {
    #[must_use] pub const fn new(value: u8) -> Self { Self(value) }
    #[must_use] pub const fn get(self) -> u8 { self.0 }
}
