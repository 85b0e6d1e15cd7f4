//! A new configuration under traffic.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use hyper::Request;

use crate::support::*;

fn version(group: &str) -> String {
    format!(r#"{{"endpoint": "/x", "backend": [{{"url_pattern": "/user", "group": "{group}"}}]}}"#)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_swap_under_traffic_loses_no_request() {
    let backend = Backend::start().await;
    let gateway = Arc::new(Gateway::start(&backend, &version("v0")));
    let (stop, sent) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let (gateway, stop, sent) = (gateway.clone(), stop.clone(), sent.clone());
            tokio::spawn(async move {
                let client = client();
                while !stop.load(Ordering::Relaxed) {
                    let answer = send(&client, Request::get(gateway.url("/x"))).await;
                    assert_eq!(answer.status, 200);
                    sent.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for number in 1..=20 {
        let before = sent.load(Ordering::Relaxed);
        eventually("traffic", || sent.load(Ordering::Relaxed) > before + 20).await;
        gateway.apply(&backend, &version(&format!("v{number}")));
        let answer = gateway.get("/x").await;
        assert!(
            answer.json()[format!("v{number}")].is_object(),
            "the new version at once"
        );
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
}

#[tokio::test]
async fn a_request_in_flight_ends_on_the_configuration_it_began_with() {
    let backend = Backend::start().await;
    let endpoint = r#"{"endpoint": "/held", "timeout": "20s", "backend": [{"url_pattern": "/held", "group": "old"}]}"#;
    let gateway = Arc::new(Gateway::start(&backend, endpoint));
    let asking = gateway.clone();
    let answer = tokio::spawn(async move { asking.get("/held").await });
    eventually("the request is in flight", || backend.asked() == 1).await;
    gateway.apply(&backend, &version("new"));
    assert_eq!(gateway.get("/held").await.status, 404);
    backend.release.notify_one();
    assert!(answer.await.unwrap().json()["old"].is_object());
}

#[tokio::test]
async fn a_configuration_that_cannot_run_changes_nothing() {
    let backend = Backend::start().await;
    let gateway = Gateway::start(&backend, &version("v1"));
    let document = br#"{"version": 3, "host": ["h:80"], "tls": {"public_key": "x"}}"#;
    let (config, _) =
        krakend_gateway::parse(document, krakend_gateway::Strictness::Lenient).unwrap();
    let error = gateway.engine.apply(Arc::new(config)).unwrap_err();
    assert!(error.to_string().contains("\"tls\""), "{error}");
    assert_eq!(gateway.get("/x").await.status, 200);
}
