//! Which nodes take traffic, by DNS: balancers follow it without an edit (`listen_dns`; off by default).
//!
//! Answers come from this manager's own state, also while there is no leader: a balancer that hears nothing would be worse
//! off than one that hears of yesterday's nodes, which it checks by itself.

mod message;
mod zone;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::Context;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
    sync::Semaphore,
};

use crate::app::{App, WrongSettings};
use message::{Question, malformed};

/// TCP connections at a time.
const MAX_CONNECTIONS: usize = 64;
/// A connection without a question for so long is closed.
const IDLE: Duration = Duration::from_secs(30);
const MAX_QUESTION: usize = 512;
/// An answer over TCP; over UDP the asker says less.
const MAX_ANSWER: usize = 65_535;
/// Beyond this, packets would be cut on the way.
const MAX_UDP: usize = 8_192;
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The open ports.
pub struct Listeners {
    udp: UdpSocket,
    tcp: TcpListener,
}

/// Opens the same port for UDP and TCP.
pub async fn bind(listen: &str) -> anyhow::Result<Listeners> {
    let wrong = |error: std::io::Error| {
        WrongSettings(format!(
            "listen_dns {listen} cannot be listened on: {error}"
        ))
    };
    let udp = UdpSocket::bind(listen).await.map_err(wrong)?;
    let address: SocketAddr = udp.local_addr()?;
    let tcp = TcpListener::bind(address).await.map_err(wrong)?;
    Ok(Listeners { udp, tcp })
}

/// Answers until the manager stops.
pub async fn serve(app: App, listeners: Listeners) -> anyhow::Result<()> {
    let stop = app.stop.clone();
    let turns = Arc::new(AtomicUsize::new(0));
    let serving = async {
        tokio::select! {
            ended = serve_udp(&app, &listeners.udp, &turns) => ended,
            ended = serve_tcp(&app, &listeners.tcp, &turns) => ended,
        }
    };
    tokio::select! {
        ended = serving => ended,
        () = stop.cancelled() => Ok(()),
    }
}

async fn serve_udp(app: &App, socket: &UdpSocket, turns: &AtomicUsize) -> anyhow::Result<()> {
    let mut buffer = [0; MAX_QUESTION];
    loop {
        match socket.recv_from(&mut buffer).await {
            Ok((length, from)) => {
                if let Some(answer) = answer(app, &buffer[..length], turns, MAX_UDP) {
                    // One that is lost is asked for again.
                    let _ = socket.send_to(&answer, from).await;
                }
            }
            // Such as: an earlier answer met a closed port.
            Err(error) => {
                tracing::debug!("a question by DNS was not read: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve_tcp(
    app: &App,
    listener: &TcpListener,
    turns: &Arc<AtomicUsize>,
) -> anyhow::Result<()> {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let place = places
            .clone()
            .acquire_owned()
            .await
            .context("DNS over TCP")?;
        match listener.accept().await {
            Ok((stream, _)) => {
                let (app, turns) = (app.clone(), turns.clone());
                tokio::spawn(async move {
                    if let Err(error) = converse(&app, stream, &turns).await {
                        tracing::debug!("a connection for DNS ended: {error}");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::debug!("a connection for DNS was not accepted: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Questions one after the other, each with its length before it (RFC 7766).
async fn converse(app: &App, mut stream: TcpStream, turns: &AtomicUsize) -> std::io::Result<()> {
    let mut buffer = [0; MAX_QUESTION];
    loop {
        let reading = async {
            let length = usize::from(stream.read_u16().await?);
            let place = buffer.get_mut(..length);
            let place = place.ok_or_else(|| std::io::Error::other("the question is too long"))?;
            stream.read_exact(place).await.map(|_| length)
        };
        let length = tokio::select! {
            length = tokio::time::timeout(IDLE, reading) => length??,
            () = app.stop.cancelled() => return Ok(()),
        };
        let Some(answer) = answer(app, &buffer[..length], turns, MAX_ANSWER) else {
            return Ok(());
        };
        let mut out = (answer.len() as u16).to_be_bytes().to_vec();
        out.extend(answer);
        tokio::time::timeout(IDLE, stream.write_all(&out)).await??;
    }
}

fn answer(app: &App, bytes: &[u8], turns: &AtomicUsize, most: usize) -> Option<Vec<u8>> {
    let Ok(question) = Question::read(bytes) else {
        return malformed(bytes);
    };
    let turn = turns.fetch_add(1, Ordering::Relaxed);
    let answer = zone::answer(&app.group.stale().state, &question, turn);
    let limit = match most {
        MAX_ANSWER => MAX_ANSWER,
        udp => question.max_bytes.min(udp),
    };
    Some(answer.write(&question, limit))
}
