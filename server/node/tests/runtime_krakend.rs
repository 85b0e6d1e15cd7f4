//! What only the supervised KrakenD does.

mod runtime_support;

use std::time::Duration;

use http::{Request, StatusCode};
use http_body_util::Full;
use krakend_node::runtime::{
    self, ApplyError, RuntimeChoice, RuntimeKind, RuntimeOptions, StartError,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use runtime_support::{Backend, Running, client, eventually, krakend_program};

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_gateway_is_started_again_and_counts_on() {
    let Some(program) = krakend_program() else {
        return;
    };
    let backend = Backend::start().await;
    let running = Running::start(RuntimeChoice::Krakend(program)).await;
    running
        .runtime
        .apply(&backend.document("v0"))
        .await
        .expect("applied");
    let client = client();
    assert_eq!(running.get(&client, "/one").await.0, StatusCode::OK);
    let before = running.runtime.take_statistics().await;
    assert_eq!(before.backends.iter().map(|b| b.calls).sum::<u64>(), 1);

    let pids = running.gateway_pids();
    assert_eq!(pids.len(), 1);
    kill(Pid::from_raw(pids[0]), Signal::SIGKILL).expect("killed");
    eventually("serving again", async || {
        let (status, _) = running.get(&client, "/one").await;
        assert!(matches!(status.as_u16(), 200 | 502 | 503), "{status}");
        status == StatusCode::OK
            && running
                .runtime
                .process_sample()
                .is_some_and(|s| s.restarts == 1)
    })
    .await;
    assert_ne!(running.gateway_pids(), pids);
    let after = running.runtime.take_statistics().await;
    let calls: u64 = after.backends.iter().map(|b| b.calls).sum();
    assert_eq!(
        calls,
        backend.total() - 1,
        "counters of the new process start anew and are added"
    );
    running.runtime.shutdown(Duration::from_secs(2)).await;
    assert!(running.gateway_pids().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_does_not_start_is_reported_with_its_last_lines() {
    let Some(program) = krakend_program() else {
        return;
    };
    let backend = Backend::start().await;
    let running = Running::start(RuntimeChoice::Krakend(program)).await;
    running
        .runtime
        .apply(&backend.document("v0"))
        .await
        .expect("applied");
    // The same endpoint twice passes KrakenD's check and ends its router.
    let twice = format!(
        r#"{{"version":3,"host":["http://{}"],"endpoints":[
            {{"endpoint":"/x","backend":[{{"url_pattern":"/1"}}]}},{{"endpoint":"/x","backend":[{{"url_pattern":"/2"}}]}}]}}"#,
        backend.address
    );
    let failed = running.runtime.apply(twice.as_bytes()).await;
    let Err(ApplyError::NotHealthy { last_lines, .. }) = failed else {
        panic!("{failed:?}")
    };
    assert!(
        last_lines
            .iter()
            .any(|l| l.contains("panic") && l.contains("/x")),
        "{last_lines:?}"
    );
    assert_eq!(running.get(&client(), "/one").await.0, StatusCode::OK);
    assert_eq!(running.gateway_pids().len(), 1);
    running.runtime.shutdown(Duration::from_secs(2)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_version_is_the_program_s_own_and_a_wrong_program_is_named() {
    let Some(program) = krakend_program() else {
        return;
    };
    let running = Running::start(RuntimeChoice::Krakend(program)).await;
    assert!(
        matches!(running.runtime.kind(), RuntimeKind::Krakend { version } if !version.is_empty())
    );
    let taken = running.runtime.local_addr();
    let options = RuntimeOptions::new(
        RuntimeChoice::Embedded,
        taken,
        running.directory.path().join("other"),
    );
    let refused = runtime::start(options.clone()).await.map(|_| ());
    assert!(matches!(refused, Err(StartError::Listen { listen, .. }) if listen == taken));
    let wrong = RuntimeOptions {
        kind: RuntimeChoice::Krakend("/bin/true".into()),
        ..options
    };
    let refused = runtime::start(wrong)
        .await
        .map(|_| ())
        .expect_err("not a KrakenD");
    assert!(refused.to_string().contains("/bin/true"), "{refused}");
    running.runtime.shutdown(Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_ends_under_the_configuration_it_began_with() {
    let Some(program) = krakend_program() else {
        return;
    };
    let backend = Backend::start().await;
    let running = Running::start(RuntimeChoice::Krakend(program)).await;
    running
        .runtime
        .apply(&backend.document("v0"))
        .await
        .expect("applied");
    let url = running.url("/held");
    let held = tokio::spawn(async move { runtime_support::get(&client(), &url).await });
    eventually("the held request is in flight", async || {
        backend.calls("/held") == 1
    })
    .await;
    running
        .runtime
        .apply(&backend.document("v1"))
        .await
        .expect("applied");
    assert_eq!(running.get(&client(), "/one").await.0, StatusCode::OK);
    assert_eq!(backend.calls("/one/v1.json"), 1);
    assert_eq!(running.gateway_pids().len(), 2, "the old gateway drains");
    backend.release();
    assert_eq!(
        held.await.expect("a task").expect("answered").0,
        StatusCode::OK
    );
    eventually("the old gateway has ended", async || {
        running.gateway_pids().len() == 1
    })
    .await;
    running.runtime.shutdown(Duration::from_secs(2)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_is_counted_and_holds_nothing_up() {
    let Some(program) = krakend_program() else {
        return;
    };
    let backend = Backend::start().await;
    let running = Running::start(RuntimeChoice::Krakend(program)).await;
    running
        .runtime
        .apply(&backend.document("v0"))
        .await
        .expect("applied");
    let request = Request::get(running.url("/held"))
        .body(Full::default())
        .expect("a request");
    let asked = tokio::spawn(client().request(request));
    eventually("the held request is in flight", async || {
        backend.calls("/held") == 1
    })
    .await;
    asked.abort();
    let mut gone = 0;
    eventually("the request is counted", async || {
        let taken = running.runtime.take_statistics().await;
        gone += taken
            .endpoints
            .iter()
            .filter_map(|e| e.status.get(&499))
            .sum::<u64>();
        gone == 1
    })
    .await;
    running.runtime.shutdown(Duration::from_secs(10)).await;
    assert!(running.gateway_pids().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_apply_that_is_given_up_leaves_no_process() {
    let Some(program) = krakend_program() else {
        return;
    };
    let backend = Backend::start().await;
    let running = Running::start(RuntimeChoice::Krakend(program)).await;
    running
        .runtime
        .apply(&backend.document("v0"))
        .await
        .expect("applied");
    let (runtime, document) = (running.runtime.clone(), backend.document("v1"));
    let applying = tokio::spawn(async move { runtime.apply(&document).await.map(|_| ()) });
    eventually("the second gateway starts", async || {
        running.gateway_pids().len() == 2
    })
    .await;
    applying.abort();
    eventually("one gateway is left", async || {
        running.gateway_pids().len() == 1
    })
    .await;
    assert_eq!(running.get(&client(), "/one").await.0, StatusCode::OK);
    running.runtime.shutdown(Duration::from_secs(2)).await;
}
