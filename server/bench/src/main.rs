//! `krakend-bench`: started by `cargo xtask bench`.

use std::process::ExitCode;

use clap::Parser;
use krakend_bench::args::{Arguments, What};

#[tokio::main]
async fn main() -> ExitCode {
    let What::Group(arguments) = Arguments::parse().what;
    match krakend_bench::group::run(&arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
