//! Compiles every schema without protoc.

use std::{fs, io, path::PathBuf};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=schema");
    let mut schemas: Vec<PathBuf> = fs::read_dir("schema")?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    schemas.retain(|path| path.extension().is_some_and(|ext| ext == "proto"));
    schemas.sort();
    let descriptors = protox::compile(&schemas, ["schema"]).map_err(io::Error::other)?;
    tonic_prost_build::configure()
        .bytes(".")
        .compile_fds(descriptors)
}
