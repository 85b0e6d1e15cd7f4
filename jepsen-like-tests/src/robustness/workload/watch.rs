use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper_util::rt::TokioIo;
use rand::Rng;
use rand::rngs::StdRng;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::client::Clients;
use crate::http::Ask;
use crate::robustness::checker::Stream;
use crate::robustness::history::Event;

/// The managers send live figures every other second; a stream that is silent for longer is a dead one.
const SILENCE: Duration = Duration::from_secs(6);
/// A message is some kilobytes.
const MAX_BUFFER: usize = 4 << 20;

/// A reader of the event stream that goes on, on any manager, from the last event that it has.
#[derive(Clone, Debug)]
pub struct Reader {
    stream: Arc<Mutex<Stream>>,
}

/// Where a stream stands.
struct Place {
    /// `Last-Event-ID`, once there was an event.
    last: Option<String>,
    after: u64,
}

impl Reader {
    /// Starts reading after index `after`.
    pub fn start(
        number: usize,
        clients: Clients,
        after: u64,
        rng: StdRng,
        stop: CancellationToken,
    ) -> Self {
        let reader = Self {
            stream: Arc::new(Mutex::new(Stream {
                reader: number,
                ..Stream::default()
            })),
        };
        let task = reader.clone().run(number, clients, after, rng);
        tokio::spawn(async move {
            tokio::select! {
                () = task => {}
                () = stop.cancelled() => {}
            }
        });
        reader
    }

    /// What it has so far.
    pub fn so_far(&self) -> Stream {
        self.lock().clone()
    }

    /// Index of the last event.
    pub fn last_index(&self) -> u64 {
        self.lock().events.last().map_or(0, |event| event.index)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Stream> {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run(self, number: usize, clients: Clients, after: u64, mut rng: StdRng) {
        let members = clients.members();
        let mut manager = members[number % members.len()];
        let mut place = Place { last: None, after };
        loop {
            // An end is what this is about: only a refusal for good is worth keeping.
            if let Err(error) = self.follow(&clients, manager, &mut place).await {
                let text = format!("{error:#}");
                if text.contains("answered 4") {
                    self.lock().broken = Some(text);
                    return;
                }
            }
            if rng.random_bool(0.5) {
                manager = next(&clients, manager);
            }
            tokio::time::sleep(Duration::from_millis(rng.random_range(50..400))).await;
        }
    }

    async fn follow(&self, clients: &Clients, manager: usize, place: &mut Place) -> Result<()> {
        let server = clients.servers[manager].http;
        let stream = tokio::time::timeout(SILENCE, TcpStream::connect(server)).await??;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let driver = tokio::spawn(connection);
        let ended = self.messages(clients, &mut sender, place, server).await;
        driver.abort();
        ended
    }

    async fn messages(
        &self,
        clients: &Clients,
        sender: &mut hyper::client::conn::http1::SendRequest<Empty<bytes::Bytes>>,
        place: &mut Place,
        server: std::net::SocketAddr,
    ) -> Result<()> {
        let mut ask = clients.authorised(Ask::get(format!("/v1/events?after={}", place.after)));
        if let Some(last) = &place.last {
            ask = ask.header("last-event-id", last);
        }
        let mut request = Request::get(&ask.path).header("host", server.to_string());
        for (name, value) in &ask.headers {
            request = request.header(*name, value);
        }
        let request = request.body(Empty::new())?;
        let answer = tokio::time::timeout(SILENCE, sender.send_request(request)).await??;
        if answer.status() != 200 {
            bail!("the event stream was answered {}", answer.status());
        }
        self.lock().connections += 1;
        let mut body = answer.into_body();
        let mut buffer = Vec::new();
        loop {
            let frame = tokio::time::timeout(SILENCE, body.frame()).await?;
            let frame = frame.context("the stream ended")??;
            buffer.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
            while let Some(end) = buffer.windows(2).position(|pair| pair == b"\n\n") {
                let message: Vec<u8> = buffer.drain(..end + 2).collect();
                self.take(&String::from_utf8_lossy(&message), place);
            }
            if buffer.len() > MAX_BUFFER {
                bail!("a message of more than {MAX_BUFFER} bytes");
            }
        }
    }

    fn take(&self, message: &str, place: &mut Place) {
        if let Some((id, event)) = parse(message) {
            self.lock().events.push(event);
            place.last = Some(id);
        }
    }
}

/// The member after this manager, around the ring.
fn next(clients: &Clients, manager: usize) -> usize {
    let members = clients.members();
    let after = members.iter().find(|number| **number > manager);
    after.or(members.first()).copied().unwrap_or(manager)
}

/// Id and event of one message; live figures have no id.
fn parse(message: &str) -> Option<(String, Event)> {
    let field = |name: &str| {
        let mut found = message.lines().filter_map(|line| line.strip_prefix(name));
        found.next().map(str::trim)
    };
    let id = field("id:")?.to_owned();
    let data: serde_json::Value = serde_json::from_str(field("data:")?).ok()?;
    let event = Event {
        index: data["index"].as_u64()?,
        position: u32::try_from(data["position"].as_u64()?).ok()?,
        kind: data["kind"].as_str()?.to_owned(),
        fleet: data["fleet"].as_str().map(str::to_owned),
        version: data["version"].as_u64(),
        message: data["message"].as_str()?.to_owned(),
    };
    Some((id, event))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_with_an_id_is_an_event_and_a_heartbeat_is_none() {
        let message = "id: 7.1\nevent: token_created\ndata: {\"index\":7,\"position\":1,\"kind\":\"token_created\",\"version\":null,\"message\":\"m\"}\n\n";
        let (id, event) = parse(message).expect("an event");
        assert_eq!((id.as_str(), event.index, event.position), ("7.1", 7, 1));
        assert!(parse("event: heartbeat\ndata: {}\n\n").is_none());
    }
}
