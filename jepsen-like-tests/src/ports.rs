//! Free ports on loopback.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

use anyhow::{Result, bail};
use rand::Rng;

/// Below the range from which the kernel takes ports for outgoing connections: a port of a stopped program must still be free
/// when the program comes back, though thousands of connections were opened meanwhile.
const RANGE: std::ops::Range<u16> = 15_000..32_000;

/// Finds ports that are free for TCP and UDP, all different, and gives them up only when all are found.
///
/// # Errors
/// After too many taken ports in a row.
pub fn free(count: usize) -> Result<Vec<u16>> {
    let mut held: Vec<(u16, TcpListener, UdpSocket)> = Vec::with_capacity(count);
    for _ in 0..count * 200 {
        if held.len() == count {
            break;
        }
        let port = rand::rng().random_range(RANGE);
        let address = loopback(port);
        if let (Ok(tcp), Ok(udp)) = (TcpListener::bind(address), UdpSocket::bind(address)) {
            held.push((port, tcp, udp));
        }
    }
    if held.len() < count {
        bail!(
            "only {} of {count} free ports found in {RANGE:?} on 127.0.0.1",
            held.len()
        );
    }
    Ok(held.iter().map(|(port, _, _)| *port).collect())
}

/// `port` when it is free, otherwise `otherwise`.
pub fn prefer(port: u16, otherwise: u16) -> u16 {
    TcpListener::bind(loopback(port)).map_or(otherwise, |_| port)
}

/// `127.0.0.1:port`.
pub fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}
