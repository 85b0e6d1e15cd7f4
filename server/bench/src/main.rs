//! `krakend-bench`: started by `cargo xtask bench`.

use std::process::ExitCode;

use clap::Parser;
use krakend_bench::args::{Arguments, What};

#[tokio::main]
async fn main() -> ExitCode {
    let ended = match Arguments::parse().what {
        What::Group(arguments) => krakend_bench::group::run(&arguments).await,
        What::Nodes(arguments) => krakend_bench::nodes::run(&arguments).await,
        What::Statistics(arguments) => krakend_bench::statistics::run(&arguments),
        What::Bare(arguments) => krakend_bench::bare::serve(&arguments).await,
        What::Fill(arguments) => krakend_bench::nodes::fill(&arguments).await,
        What::Gossip(arguments) => krakend_bench::gossip::run(&arguments).await,
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
