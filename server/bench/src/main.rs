//! `krakend-bench`: started by `cargo xtask bench`.

use anyhow::Result;
use clap::Parser;
use krakend_bench::args::{Arguments, What};

#[tokio::main]
async fn main() -> Result<()> {
    let What::Group(arguments) = Arguments::parse().what;
    krakend_bench::group::run(&arguments).await
}
