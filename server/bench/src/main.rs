//! `krakend-bench`: started by `cargo xtask bench`.

use std::process::ExitCode;

use clap::Parser;
use krakend_bench::args::{Arguments, What};

#[tokio::main]
async fn main() -> ExitCode {
    let done = match Arguments::parse().what {
        What::Group(arguments) => krakend_bench::group::run(&arguments).await,
        What::Gossip(arguments) => krakend_bench::gossip::run(&arguments).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
