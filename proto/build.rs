//! Compiles the contract with protox, so that no protoc is needed.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message as _;

/// Messages that hold a secret. Their `Debug` is written by hand in `src/redact.rs`.
const SECRET_BEARING: [&str; 4] = [
    ".tidegate.authz.v1.Session",
    ".tidegate.authz.v1.Peer",
    ".tidegate.authz.v1.ConnectCheck",
    ".tidegate.authz.v1.ConnectAllow",
];

fn main() -> Result<(), Box<dyn Error>> {
    let files: Vec<String> = [
        "mqtt",
        "authorization",
        "authorization_service",
        "control_service",
        "event_service",
    ]
    .iter()
    .map(|name| format!("tidegate/authz/v1/{name}.proto"))
    .collect();

    let descriptors = protox::compile(&files, ["."])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(
        out.join("tidegate.authz.v1.bin"),
        descriptors.encode_to_vec(),
    )?;

    tonic_prost_build::configure()
        .bytes(".")
        .skip_debug(SECRET_BEARING)
        .compile_fds(descriptors)?;
    println!("cargo:rerun-if-changed=tidegate");
    Ok(())
}
