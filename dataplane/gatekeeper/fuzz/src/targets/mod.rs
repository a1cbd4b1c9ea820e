//! One file per target. A target takes any bytes and panics if something is wrong.

pub(crate) mod differential;
pub(crate) mod frames;
pub(crate) mod session;
mod writing;
