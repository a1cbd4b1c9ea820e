//! What holds for all packets alike.

mod differential;
mod mutation;
#[path = "../../tests/support/reading.rs"]
mod reading;
mod samples;
#[path = "../../tests/support/second_opinion/mod.rs"]
mod second_opinion;
mod strings;
pub(crate) mod support;
mod truncation;

use crate as gate;
