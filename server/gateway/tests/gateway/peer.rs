//! The same requests to the engine and to a real KrakenD, which must answer alike.
//!
//! Needs a KrakenD: `KRAKEND_BIN`, one on the PATH, or the reference KrakenD where the workspace builds it. Without one the
//! test is skipped aloud, and fails where `CI=true`.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use hyper::Request;

use crate::support::*;

const ENDPOINTS: &str = r#"
{"endpoint": "/raw", "output_encoding": "no-op", "input_query_strings": ["q"], "backend": [{"url_pattern": "/echo"}]},
{"endpoint": "/raw", "method": "POST", "output_encoding": "no-op", "cache_ttl": "1m", "backend": [{"url_pattern": "/echo"}]},
{"endpoint": "/user", "cache_ttl": "90s", "backend": [{"url_pattern": "/user", "deny": ["secret"], "mapping": {"name": "title"}}]},
{"endpoint": "/users/{id}", "input_query_strings": ["q", "a"], "backend": [{"url_pattern": "/u/{id}?k=1"}]},
{"endpoint": "/users/me", "backend": [{"url_pattern": "/me"}]},
{"endpoint": "/both", "cache_ttl": "1m", "backend": [{"url_pattern": "/user", "allow": ["name"]}, {"url_pattern": "/orders", "is_collection": true, "group": "shop"}]},
{"endpoint": "/partial", "cache_ttl": "1m", "backend": [{"url_pattern": "/user"}, {"url_pattern": "/fails"}]},
{"endpoint": "/none", "backend": [{"url_pattern": "/broken"}, {"url_pattern": "/fails"}]},
{"endpoint": "/fails", "backend": [{"url_pattern": "/fails"}]},
{"endpoint": "/broken", "backend": [{"url_pattern": "/broken"}]},
{"endpoint": "/not-an-object", "backend": [{"url_pattern": "/orders"}]},
{"endpoint": "/list", "output_encoding": "json-collection", "backend": [{"url_pattern": "/orders", "encoding": "safejson"}]},
{"endpoint": "/scalar", "backend": [{"url_pattern": "/number", "encoding": "safejson"}]},
{"endpoint": "/words", "output_encoding": "string", "backend": [{"url_pattern": "/text", "encoding": "string"}]},
{"endpoint": "/words-in-json", "backend": [{"url_pattern": "/text", "encoding": "string"}]},
{"endpoint": "/no-target", "backend": [{"url_pattern": "/user", "target": "x.y"}]},
{"endpoint": "/no-target-group", "backend": [{"url_pattern": "/user", "target": "x", "group": "g"}]},
{"endpoint": "/numbers", "backend": [{"url_pattern": "/numbers"}]},
{"endpoint": "/null", "backend": [{"url_pattern": "/null"}]},
{"endpoint": "/null-group", "backend": [{"url_pattern": "/null", "group": "g"}]},
{"endpoint": "/null-list", "backend": [{"url_pattern": "/null", "is_collection": true}]},
{"endpoint": "/null-merged", "backend": [{"url_pattern": "/null"}, {"url_pattern": "/user"}]},
{"endpoint": "/allow-all", "backend": [{"url_pattern": "/deep", "allow": ["a.b", "a", "l.x", "n"]}]},
{"endpoint": "/allow-narrow", "backend": [{"url_pattern": "/deep", "allow": ["a", "a.b", "z.y"]}]},
{"endpoint": "/deny-deep", "backend": [{"url_pattern": "/deep", "deny": ["a.b", "l.x", "n"], "mapping": {"a": "q.r", "zz": "y"}}]},
{"endpoint": "/target-deep", "backend": [{"url_pattern": "/deep", "target": "a.c", "group": "g"}]},
{"endpoint": "/moved", "backend": [{"url_pattern": "/moved"}]},
{"endpoint": "/moved-raw", "output_encoding": "no-op", "backend": [{"url_pattern": "/moved"}]},
{"endpoint": "/headers", "input_headers": ["X-A", "User-Agent"], "backend": [{"url_pattern": "/h"}]},
{"endpoint": "/all-headers", "input_headers": ["*"], "input_query_strings": ["*"], "backend": [{"url_pattern": "/h"}]},
{"endpoint": "/narrow", "input_headers": ["X-A", "X-B"], "input_query_strings": ["*"], "backend": [{"url_pattern": "/h", "input_headers": ["X-B", "X-Forwarded-For"], "input_query_strings": ["b"]}]},
{"endpoint": "/put", "method": "PUT", "backend": [{"url_pattern": "/user", "method": "POST"}]}"#;

const REQUESTS: &[(&str, &str)] = &[
    ("GET", "/raw?q=1&r=2"),
    ("POST", "/raw"),
    ("PUT", "/raw"),
    ("HEAD", "/raw"),
    ("GET", "/raw/"),
    ("POST", "/raw/?x=1"),
    ("GET", "/user"),
    ("GET", "/users/7?q=b%20c&z=1&a=%26"),
    ("GET", "/users/me"),
    ("GET", "/users/a%20b"),
    ("GET", "/users/a&b;c"),
    ("GET", "/users/%253F"),
    ("GET", "/users/a%3Fb"),
    ("GET", "/users/a%23b"),
    ("GET", "/users/"),
    ("GET", "/users"),
    ("GET", "/users/%zz"),
    ("GET", "/both"),
    ("GET", "/partial"),
    ("GET", "/none"),
    ("GET", "/fails"),
    ("GET", "/broken"),
    ("GET", "/not-an-object"),
    ("GET", "/list"),
    ("GET", "/scalar"),
    ("GET", "/words"),
    ("GET", "/words-in-json"),
    ("GET", "/no-target"),
    ("GET", "/no-target-group"),
    ("GET", "/numbers"),
    ("GET", "/null"),
    ("GET", "/null-group"),
    ("GET", "/null-list"),
    ("GET", "/null-merged"),
    ("GET", "/allow-all"),
    ("GET", "/allow-narrow"),
    ("GET", "/deny-deep"),
    ("GET", "/target-deep"),
    ("GET", "/moved"),
    ("GET", "/moved-raw"),
    ("GET", "/headers"),
    ("GET", "/all-headers?b=2&a=1&a=0"),
    ("GET", "/narrow?a=1&b=2"),
    ("PUT", "/put"),
    ("GET", "/nothing"),
    ("DELETE", "/user"),
];

/// What a client can tell, and what the backend was asked.
#[derive(Debug, PartialEq)]
struct Told {
    status: u16,
    body: String,
    headers: Vec<(&'static str, Option<String>)>,
    asked: Vec<String>,
}

const ANSWER_HEADERS: [&str; 6] = [
    "x-krakend-completed",
    "content-type",
    "cache-control",
    "allow",
    "location",
    "x-backend",
];
const ASKED_HEADERS: [&str; 6] = [
    "x-a",
    "x-b",
    "content-type",
    "x-forwarded-for",
    "x-forwarded-via",
    "cookie",
];

async fn ask(client: &TestClient, backend: &Backend, base: &str, method: &str, path: &str) -> Told {
    let before = backend.asked();
    let request = Request::builder()
        .method(method)
        .uri(format!("{base}{path}"));
    let request = request
        .header("x-a", "1")
        .header("x-b", "2")
        .header("cookie", "c=1");
    let request = request
        .header("user-agent", "tester")
        .header("content-type", "text/x");
    let body = if matches!(method, "POST" | "PUT") {
        "some body"
    } else {
        ""
    };
    let answer = send_body(client, request, body).await;
    let seen = backend.seen.lock().unwrap()[before..].to_vec();
    let mut asked: Vec<String> = seen
        .iter()
        .map(|seen| {
            let line = |name: &&str| {
                let value = seen.headers.get(*name)?.to_str().unwrap();
                // The versions differ, and may.
                Some(format!(
                    "{name}={}",
                    value.split(" Version ").next().unwrap()
                ))
            };
            let headers: Vec<_> = ASKED_HEADERS.iter().filter_map(line).collect();
            let body = String::from_utf8_lossy(&seen.body);
            format!("{} {} {} {body}", seen.method, seen.uri, headers.join(" "))
        })
        .collect();
    asked.sort();
    Told {
        status: answer.status,
        headers: ANSWER_HEADERS
            .iter()
            .map(|name| (*name, answer.header(name).map(str::to_owned)))
            .collect(),
        body: String::from_utf8_lossy(&answer.body).into_owned(),
        asked,
    }
}

#[tokio::test]
async fn the_engine_answers_as_a_real_krakend_does() {
    let Some(program) = krakend() else {
        assert!(
            std::env::var_os("CI").is_none_or(|ci| ci != "true"),
            "no KrakenD to compare with; run `cargo xtask setup`, or set KRAKEND_BIN"
        );
        eprintln!(
            "SKIPPED: no KrakenD to compare with; run `cargo xtask setup`, or set KRAKEND_BIN"
        );
        return;
    };
    let backend = Backend::start().await;
    let gateway = Gateway::start(&backend, ENDPOINTS);
    let peer = Peer::start(&program, &backend).await;
    let client = client();
    let mut differences = Vec::new();
    for (method, path) in REQUESTS {
        let ours = ask(&client, &backend, &gateway.url(""), method, path).await;
        let theirs = ask(&client, &backend, &peer.base, method, path).await;
        if ours != theirs {
            differences.push(format!(
                "{method} {path}\n  ours   {ours:?}\n  theirs {theirs:?}"
            ));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

fn krakend() -> Option<PathBuf> {
    let named = std::env::var_os("KRAKEND_BIN").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|folder| folder.join("krakend"));
    let built = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../deploy/reference-krakend/krakend"
    );
    named
        .into_iter()
        .chain(on_path)
        .chain([PathBuf::from(built)])
        .find(|path| path.is_file())
}

/// A running KrakenD, killed with its directory when dropped.
struct Peer {
    base: String,
    process: Child,
    _directory: tempfile::TempDir,
}

impl Peer {
    async fn start(program: &PathBuf, backend: &Backend) -> Peer {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("krakend.json");
        let document = format!(
            r#"{{"version": 3, "host": ["http://{}"], "endpoints": [{ENDPOINTS}]}}"#,
            backend.address
        );
        std::fs::write(&file, document).unwrap();
        // KrakenD has no port 0; a port that was free a moment ago is the next best.
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let process = Command::new(program)
            .args(["run", "-p", &port.to_string(), "-c"])
            .arg(&file)
            .env("USAGE_DISABLE", "1")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let peer = Peer {
            base: format!("http://127.0.0.1:{port}"),
            process,
            _directory: directory,
        };
        eventually("KrakenD listens", || {
            std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
        })
        .await;
        peer
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
