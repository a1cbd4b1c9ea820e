//! What holds for all packets alike.

pub(crate) mod support;
