//! TODO
pub mod authz;
