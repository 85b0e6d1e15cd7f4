//! Free ports on loopback.

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    sync::{Mutex, PoisonError},
};

use anyhow::{Result, bail};
use rand::Rng;

/// Below the range from which the kernel takes ports for outgoing connections: a port of a stopped program must still be free
/// when the program comes back, though thousands of connections were opened meanwhile.
const RANGE: std::ops::Range<u16> = 15_000..32_000;

/// Ports that this process gave out: they stay free until somebody's programs start, and tests run side by side.
static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// Finds ports that are free for TCP and UDP, all different, and gives them up only when all are found. None is given out twice
/// by one process.
///
/// # Errors
/// After too many taken ports in a row.
pub fn free(count: usize) -> Result<Vec<u16>> {
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut held: Vec<(u16, TcpListener, UdpSocket)> = Vec::with_capacity(count);
    for _ in 0..count * 200 {
        if held.len() == count {
            break;
        }
        let port = rand::rng().random_range(RANGE);
        if given.contains(&port) {
            continue;
        }
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
    let ports: Vec<_> = held.iter().map(|(port, _, _)| *port).collect();
    given.extend(&ports);
    Ok(ports)
}

/// `port` when it is free, otherwise `otherwise`.
pub fn prefer(port: u16, otherwise: u16) -> u16 {
    TcpListener::bind(loopback(port)).map_or(otherwise, |_| port)
}

/// `127.0.0.1:port`.
pub fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_port_is_given_out_twice_although_nobody_has_taken_it_yet() {
        let mut seen = BTreeSet::new();
        // So many that the same one would come again by chance.
        for _ in 0..40 {
            for port in free(50).expect("free ports") {
                assert!(seen.insert(port), "{port} was given out twice");
            }
        }
    }
}
