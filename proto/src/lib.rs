//! The contract between the Tidegate data plane and an authorization service.
//!
//! [`v1`] holds what `proto/tidegate/authz/v1/*.proto` describes: messages, clients and servers of
//! `AuthorizationService` (required), `ControlService` and `EventService` (both optional). The
//! comments of the proto files are the specification; they reappear here as doc comments.

mod redact;

/// Package `tidegate.authz.v1`.
#[allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    clippy::pedantic,
    clippy::use_self,
    rustdoc::all,
    reason = "generated code"
)]
pub mod v1 {
    tonic::include_proto!("tidegate.authz.v1");
}

/// The contract as an encoded `google.protobuf.FileDescriptorSet`, for gRPC server reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/tidegate.authz.v1.bin"));

/// The minor revision of the contract that these files describe, for `GetCapabilities`. Fields that
/// are added later raise it; the changelog lists them.
pub const API_REVISION: u32 = 1;
