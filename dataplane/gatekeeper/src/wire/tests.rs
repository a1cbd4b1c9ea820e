//! What holds for all packets alike.

mod differential;
mod mutation;
mod samples;
mod strings;
pub(crate) mod support;
mod truncation;
