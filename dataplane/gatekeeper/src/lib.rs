//! placeholder, being written
#![allow(missing_docs)]
pub mod question;
pub mod reason;
pub mod verdict;
pub use question::*;
pub use verdict::*;
pub use reason::ReasonCode;
