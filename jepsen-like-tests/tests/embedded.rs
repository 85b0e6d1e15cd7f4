//! The scenario with the embedded gateway. A file of its own: cargo runs files one after the other, and two runs at once starve two cores.

mod common;

use jepsen_like_tests::Gateway;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_scenario_passes_with_the_embedded_gateway() {
    common::passes(Gateway::Embedded, None).await;
}
