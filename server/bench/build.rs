//! Compiles the part of etcd's interface that the benchmark speaks, without protoc.

use std::io;

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=schema");
    let descriptors =
        protox::compile(["schema/etcd.proto"], ["schema"]).map_err(io::Error::other)?;
    tonic_prost_build::configure()
        .build_server(false)
        .bytes(".")
        .compile_fds(descriptors)
}
