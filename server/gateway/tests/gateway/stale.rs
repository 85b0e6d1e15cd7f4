//! Backends that close kept connections while a request is on its way.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hyper::Request;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::*;

/// Answers the first request of each connection and hangs up on the second. Counts all requests.
async fn forgetful_backend() -> (std::net::SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, asked) = (
        listener.local_addr().unwrap(),
        Arc::new(AtomicUsize::new(0)),
    );
    let counter = asked.clone();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let counter = counter.clone();
            tokio::spawn(async move {
                if read_head(&mut stream).await {
                    counter.fetch_add(1, Ordering::SeqCst);
                    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
                    stream.write_all(answer).await.unwrap();
                }
                if read_head(&mut stream).await {
                    counter.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
    });
    (address, asked)
}

/// Reads up to the empty line; false when the connection ended before.
async fn read_head(stream: &mut TcpStream) -> bool {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return false,
        }
    }
    true
}

fn endpoints(address: std::net::SocketAddr) -> String {
    let one = |method: &str| {
        format!(
            r#"{{"endpoint": "/x", "method": "{method}", "backend": [{{"url_pattern": "/", "host": ["{address}"]}}]}}"#
        )
    };
    format!("{}, {}", one("GET"), one("POST"))
}

#[tokio::test]
async fn a_request_that_can_be_repeated_survives_a_stale_connection() {
    let (address, asked) = forgetful_backend().await;
    let gateway = Gateway::start(&Backend::start().await, &endpoints(address));
    assert_eq!(gateway.get("/x").await.status, 200);
    // On the kept connection, hung up on, and once more on a new one.
    assert_eq!(gateway.get("/x").await.status, 200);
    assert_eq!(asked.load(Ordering::SeqCst), 3);
    let backend = &gateway.statistics.snapshot().backends[0];
    assert_eq!((backend.calls, backend.errors), (2, 0));
}

#[tokio::test]
async fn a_request_that_may_have_had_its_effect_is_not_repeated() {
    let (address, asked) = forgetful_backend().await;
    let gateway = Gateway::start(&Backend::start().await, &endpoints(address));
    assert_eq!(gateway.get("/x").await.status, 200);
    let answer = send(&client(), Request::post(gateway.url("/x"))).await;
    assert_eq!((answer.status, asked.load(Ordering::SeqCst)), (500, 2));
}
