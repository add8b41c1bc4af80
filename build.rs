//! Compiles the contract with `protox`, in pure Rust: no machine needs `protoc`.

use std::{env, error::Error, fs, path::PathBuf, process::Command};

use prost::Message as _;

fn main() -> Result<(), Box<dyn Error>> {
    const PROTOS: [&str; 2] =
        ["proto/readstates/v1/readstates.proto", "proto/readstates/v1/maintenance.proto"];
    PROTOS.iter().for_each(|proto| println!("cargo:rerun-if-changed={proto}"));
    let descriptors = protox::compile(PROTOS, ["proto"])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("readstates.v1.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    println!("cargo:rustc-env=READSTATES_RUSTC={}", rustc_version()?);
    Ok(())
}

/// What `rustc --version` says, for the build metric.
fn rustc_version() -> Result<String, Box<dyn Error>> {
    let output = Command::new(env::var("RUSTC")?).arg("--version").output()?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
