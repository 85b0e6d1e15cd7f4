//! What holds for both gateways.

mod runtime_support;

use std::time::Duration;

use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use krakend_node::runtime::{ApplyError, RuntimeChoice};
use runtime_support::{Backend, Load, Running, client, eventually, krakend_program};

const PATHS: &[&str] = &["/pass", "/send", "/one", "/two", "/item/7"];

/// Both gateways, or the embedded one where there is no KrakenD.
fn gateways() -> Vec<RuntimeChoice> {
    let krakend = krakend_program().map(RuntimeChoice::Krakend);
    [RuntimeChoice::Embedded]
        .into_iter()
        .chain(krakend)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_configuration_every_request_gets_503() {
    for gateway in gateways() {
        let running = Running::start(gateway).await;
        let (status, body) = running.get(&client(), "/any").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        let body: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        assert!(body["message"].is_string());
        assert!(!running.runtime.is_ready());
        running.runtime.shutdown(Duration::from_secs(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_switches_under_load_lose_no_request_and_all_are_counted() {
    for gateway in gateways() {
        let backend = Backend::start().await;
        let running = Running::start(gateway.clone()).await;
        running
            .runtime
            .apply(&backend.document("v0"))
            .await
            .expect("applied");
        assert!(running.runtime.is_ready());

        let load = Load::start(8, running.url(""), PATHS);
        for version in ["v1", "v2", "v3"] {
            running
                .runtime
                .apply(&backend.document(version))
                .await
                .expect("applied");
            let path = format!("/one/{version}.json");
            eventually("the new version serves", async || backend.calls(&path) > 20).await;
        }
        let (good, bad) = load.stop().await;
        assert!(
            bad.is_empty(),
            "{gateway:?}: {} of {} lost: {:?}",
            bad.len(),
            good,
            bad.first()
        );
        running.runtime.shutdown(Duration::from_secs(10)).await;

        let taken = running.runtime.take_statistics().await;
        let counted: u64 = taken.endpoints.iter().map(|e| e.requests()).sum();
        assert_eq!(counted, good, "{gateway:?}");
        let calls: u64 = taken.backends.iter().map(|b| b.calls).sum();
        assert_eq!(calls, backend.total(), "{gateway:?}: {:?}", taken.backends);
        let item = taken
            .backends
            .iter()
            .find(|b| b.url_pattern == "/item/{id}")
            .expect("a backend by its pattern");
        assert_eq!(item.calls, backend.calls("/item/7"));
        assert_eq!(item.host, format!("http://{}", backend.address));
        assert_eq!(item.latency.count() as u64, item.calls);
        let endpoints: Vec<_> = taken
            .endpoints
            .iter()
            .map(|e| e.endpoint.as_str())
            .collect();
        assert_eq!(endpoints, ["/item/{id}", "/one", "/pass", "/send", "/two"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_configuration_leaves_the_old_one_serving() {
    for gateway in gateways() {
        let backend = Backend::start().await;
        let running = Running::start(gateway.clone()).await;
        let applied = running
            .runtime
            .apply(&backend.document("v0"))
            .await
            .expect("applied");
        let refused = running.runtime.apply(br#"{"version": 2}"#).await;
        let Err(ApplyError::Refused(refusal)) = refused else {
            panic!("{refused:?}")
        };
        if gateway != RuntimeChoice::Embedded {
            assert!(
                refusal
                    .text
                    .contains("ERROR parsing the configuration file:\t'"),
                "{refusal}"
            );
            assert!(
                refusal.text.ends_with("unsupported version: 2 (want: 3)"),
                "{refusal}"
            );
        }
        assert!(running.runtime.check(b"{").await.is_err());
        assert_eq!(running.get(&client(), "/one").await.0, StatusCode::OK);
        assert_eq!(
            running.runtime.rendered_digest(),
            Some(applied.rendered_digest)
        );
        running.runtime.shutdown(Duration::from_secs(2)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_answers_what_is_in_flight_and_closes_kept_connections() {
    for gateway in gateways() {
        let backend = Backend::start().await;
        let running = Running::start(gateway.clone()).await;
        running
            .runtime
            .apply(&backend.document("v0"))
            .await
            .expect("applied");
        let kept = client();
        assert_eq!(running.get(&kept, "/pass").await.0, StatusCode::OK);
        let held = tokio::spawn({
            let url = running.url("/held");
            async move { runtime_support::get(&client(), &url).await }
        });
        eventually("the held request is in flight", async || {
            backend.calls("/held") == 1
        })
        .await;

        let stopping = tokio::spawn({
            let runtime = running.runtime.clone();
            async move { runtime.shutdown(Duration::from_secs(10)).await }
        });
        eventually("not ready any more", async || !running.runtime.is_ready()).await;
        let request = Request::get(running.url("/pass"))
            .body(Full::default())
            .expect("a request");
        let response = kept
            .request(request)
            .await
            .expect("answered on the kept connection");
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["connection"], "close", "{gateway:?}");
        response.into_body().collect().await.expect("a body");

        backend.release();
        let (status, _) = held.await.expect("a task").expect("answered");
        assert_eq!(status, StatusCode::OK);
        stopping.await.expect("stopped");
        let taken = running.runtime.take_statistics().await;
        assert_eq!(
            taken.backends.iter().map(|b| b.calls).sum::<u64>(),
            backend.total()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn backends_see_the_client_s_address_and_host() {
    for gateway in gateways() {
        let backend = Backend::start().await;
        let running = Running::start(gateway.clone()).await;
        running
            .runtime
            .apply(&backend.document("v0"))
            .await
            .expect("applied");
        let client = client();
        running.get(&client, "/one").await;
        assert_eq!(
            backend.last_header("x-forwarded-for").as_deref(),
            Some("127.0.0.1")
        );
        let host = running.runtime.local_addr().to_string();
        assert_eq!(
            backend.last_header("x-forwarded-host"),
            Some(host),
            "{gateway:?}"
        );
        let request = Request::get(running.url("/one")).header("x-forwarded-for", "192.0.2.9");
        let request = request.body(Full::default()).expect("a request");
        runtime_support::request(&client, request)
            .await
            .expect("an answer");
        if gateway != RuntimeChoice::Embedded {
            assert_eq!(
                backend.last_header("x-forwarded-for").as_deref(),
                Some("192.0.2.9")
            );
        }
        running.runtime.shutdown(Duration::from_secs(2)).await;
    }
}
