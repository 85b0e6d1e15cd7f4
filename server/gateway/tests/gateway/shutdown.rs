//! Ending well.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use krakend_gateway::{BindError, Engine, Server, Statistics};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::*;

const HELD: &str = r#"{"endpoint": "/held", "timeout": "20s", "backend": [{"url_pattern": "/held"}]},
    {"endpoint": "/user", "backend": [{"url_pattern": "/user"}]}"#;
const GRACE: Duration = Duration::from_secs(20);

async fn read_all(mut stream: TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test]
async fn requests_in_flight_finish_and_idle_connections_close() {
    let backend = Backend::start().await;
    let gateway = Gateway::start(&backend, HELD);
    let address = gateway.server.local_addr();
    let idle = TcpStream::connect(address).await.unwrap();
    let mut busy = TcpStream::connect(address).await.unwrap();
    busy.write_all(b"GET /held HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    eventually("the request is in flight", || backend.asked() == 1).await;
    let stopping = tokio::spawn(gateway.server.shutdown(GRACE));
    assert_eq!(read_all(idle).await, "");
    assert!(
        TcpStream::connect(address).await.is_err(),
        "the listener is closed"
    );
    backend.release.notify_one();
    let answer = read_all(busy).await;
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.contains("connection: close"),
        "{answer}"
    );
    assert_eq!(stopping.await.unwrap().unfinished, 0);
}

#[tokio::test]
async fn a_kept_connection_is_told_to_close_by_its_next_answer() {
    let backend = Backend::start().await;
    let gateway = Gateway::start(&backend, HELD);
    let mut kept = TcpStream::connect(gateway.server.local_addr())
        .await
        .unwrap();
    kept.write_all(b"GET /user HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    let mut first = [0; 12];
    kept.read_exact(&mut first).await.unwrap();
    let started = Instant::now();
    let stopping = tokio::spawn(gateway.server.shutdown(GRACE));
    tokio::task::yield_now().await;
    kept.write_all(b"GET /user HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    let rest = read_all(kept).await;
    assert_eq!(rest.matches("HTTP/1.1 200").count(), 1, "{rest}");
    assert!(rest.contains("connection: close"), "{rest}");
    assert_eq!(stopping.await.unwrap().unfinished, 0);
    assert!(started.elapsed() < GRACE);
}

#[tokio::test]
async fn what_outlasts_the_grace_is_cut_off_and_counted() {
    let backend = Backend::start().await;
    let gateway = Gateway::start(&backend, HELD);
    let statistics = gateway.statistics.clone();
    let mut busy = TcpStream::connect(gateway.server.local_addr())
        .await
        .unwrap();
    busy.write_all(b"GET /held HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    eventually("the request is in flight", || backend.asked() == 1).await;
    let drained = gateway.server.shutdown(Duration::from_millis(100)).await;
    assert_eq!(drained.unfinished, 1);
    assert_eq!(read_all(busy).await, "");
    eventually("the abandoned request is counted", || {
        let snapshot = statistics.snapshot();
        snapshot
            .endpoints
            .iter()
            .any(|row| row.status.get(&499) == Some(&1))
    })
    .await;
}

#[tokio::test]
async fn a_port_in_use_says_so_and_what_to_do() {
    let gateway = Gateway::unconfigured();
    let address = gateway.server.local_addr();
    let error = Server::bind(address, Engine::new(Statistics::new())).unwrap_err();
    assert!(matches!(error, BindError::InUse { .. }));
    assert!(error.to_string().contains(&address.to_string()), "{error}");
    assert!(error.to_string().contains("choose another port"), "{error}");
}

#[tokio::test]
async fn a_listener_that_is_bound_already_is_served() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let server = Server::from_listener(listener, Engine::new(Statistics::new())).unwrap();
    let url = format!("http://{}/", server.local_addr());
    assert_eq!(send(&client(), hyper::Request::get(url)).await.status, 503);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traffic_on_kept_connections_loses_nothing_during_a_stop() {
    let backend = Backend::start().await;
    let gateway = Gateway::start(&backend, HELD);
    let address = gateway.server.local_addr();
    let answered = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..8)
        .map(|_| tokio::spawn(ask_until_told_to_close(address, answered.clone())))
        .collect();
    eventually("traffic", || answered.load(Ordering::Relaxed) > 200).await;
    assert_eq!(gateway.server.shutdown(GRACE).await.unfinished, 0);
    for client in clients {
        client.await.unwrap();
    }
    let sent = answered.load(Ordering::Relaxed) as u64;
    let snapshot = gateway.statistics.snapshot();
    let row = snapshot
        .endpoints
        .iter()
        .find(|row| row.endpoint == "/user")
        .unwrap();
    assert_eq!(row.status, [(200, sent)].into());
}

/// One connection, request after request, until an answer says that it is the last.
async fn ask_until_told_to_close(address: SocketAddr, answered: Arc<AtomicUsize>) {
    let stream = hyper_util::rt::TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    loop {
        sender.ready().await.unwrap();
        let request = hyper::Request::get("/user").header("host", "x");
        let request = request
            .body(http_body_util::Empty::<bytes::Bytes>::new())
            .unwrap();
        let (parts, body) = sender.send_request(request).await.unwrap().into_parts();
        http_body_util::BodyExt::collect(body).await.unwrap();
        assert_eq!(parts.status, 200);
        answered.fetch_add(1, Ordering::Relaxed);
        if parts.headers.contains_key("connection") {
            return;
        }
    }
}
