//! The scenario with a real KrakenD behind the nodes' front door.

mod common;

use jepsen_like_tests::Gateway;
use jepsen_like_tests::options::find_krakend;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_scenario_passes_with_a_real_krakend() {
    let Some(krakend) = find_krakend() else {
        common::skip("no krakend on the PATH or in KRAKEND_BIN: run `cargo xtask setup`");
        return;
    };
    common::passes(Gateway::Krakend, Some(krakend)).await;
}
