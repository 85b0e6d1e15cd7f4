//! Real UDP on loopback.

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use common::{id_of, ring};
use krakend_gossip::{
    Config, Counters, Gossip, GossipError, Hint, KeyRing, LeaderHint, MAX_PACKET_BYTES,
    MemberState, Role,
};
use tokio::net::UdpSocket;
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(30);

fn quick() -> Config {
    Config {
        probe_period_ms: 200,
        probe_timeout_ms: 80,
        suspect_min_ms: 400,
        suspect_max_ms: 1_600,
        gossip_period_ms: 100,
        contact_period_ms: 500,
        exchange_period_ms: 1_000,
        ..Config::lan()
    }
}

async fn bind(addr: SocketAddr) -> UdpSocket {
    UdpSocket::bind(addr).await.expect("loopback can be bound")
}

async fn start_on(addr: SocketAddr, index: usize, keys: KeyRing) -> (Gossip, SocketAddr) {
    let socket = bind(addr).await;
    let addr = socket.local_addr().expect("a bound socket has an address");
    let role = if index < 3 { Role::Manager } else { Role::Node };
    let gossip = Gossip::start(socket, addr, id_of(index), role, keys, quick()).await;
    (gossip.expect("starts"), addr)
}

async fn start(index: usize, keys: &[u8]) -> (Gossip, SocketAddr) {
    start_on(([127, 0, 0, 1], 0).into(), index, ring(keys)).await
}

async fn pool(members: usize) -> Vec<(Gossip, SocketAddr)> {
    let mut pool = Vec::new();
    for index in 0..members {
        let (gossip, addr) = start(index, &[1]).await;
        if let Some((_, seed)) = pool.first() {
            gossip.join(&[*seed]);
        }
        pool.push((gossip, addr));
    }
    until("all see all", || all_see_all(&pool)).await;
    pool
}

fn view(gossip: &Gossip, index: usize) -> Option<MemberState> {
    let members = gossip.members();
    members
        .iter()
        .find(|m| m.id == id_of(index))
        .map(|m| m.state)
}

fn all_see(pool: &[(Gossip, SocketAddr)], index: usize, state: MemberState) -> bool {
    let mut others = pool.iter().filter(|(g, _)| g.identity().id != id_of(index));
    others.all(|(gossip, _)| view(gossip, index) == Some(state))
}

fn all_see_all(pool: &[(Gossip, SocketAddr)]) -> bool {
    (0..pool.len()).all(|index| all_see(pool, index, MemberState::Alive))
}

async fn until(what: &str, done: impl Fn() -> bool) {
    let poll = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let begin = std::time::Instant::now();
    assert!(timeout(LIMIT, poll).await.is_ok(), "never: {what}");
    println!("{what}: {:?}", begin.elapsed());
}

fn refused(counters: Counters) -> [u64; 4] {
    [
        counters.bad_mac,
        counters.replayed,
        counters.malformed,
        counters.oversized,
    ]
}

#[tokio::test]
async fn all_members_see_all_with_role_and_address() {
    let pool = pool(8).await;
    for member in pool[4].0.members() {
        let index = (member.id.as_u128() - 1) as usize;
        assert_eq!(member.addr, pool[index].1);
        assert_eq!(member.role == Role::Manager, index < 3);
    }
    for (gossip, _) in &pool {
        assert_eq!(refused(gossip.counters()), [0; 4]);
    }
}

#[tokio::test]
async fn a_killed_member_is_down_everywhere_and_the_events_say_so() {
    let mut pool = pool(7).await;
    let mut events = pool[1].0.events();
    pool.truncate(6);
    until("down everywhere", || all_see(&pool, 6, MemberState::Down)).await;
    let down = async {
        loop {
            let event = events.recv().await.expect("events go on");
            if event.id == id_of(6) && event.state == MemberState::Down {
                return event;
            }
        }
    };
    assert_eq!(timeout(LIMIT, down).await.expect("event").role, Role::Node);
}

#[tokio::test]
async fn a_leaving_member_is_left_everywhere_at_once() {
    let mut pool = pool(6).await;
    let (leaver, _) = pool.pop().expect("six members");
    assert!(leaver.leave(Duration::from_secs(5)).await);
    until("left everywhere", || all_see(&pool, 5, MemberState::Left)).await;
}

#[tokio::test]
async fn leaving_alone_does_not_wait() {
    let (gossip, _) = start(0, &[1]).await;
    let left = timeout(Duration::from_secs(5), gossip.leave(LIMIT)).await;
    assert_eq!(left, Ok(true));
}

#[tokio::test]
async fn a_restarted_member_is_alive_again_under_its_id_and_address() {
    let mut pool = pool(5).await;
    let (killed, addr) = pool.pop().expect("five members");
    drop(killed);
    until("down everywhere", || all_see(&pool, 4, MemberState::Down)).await;
    // The aborted task lets go of its socket a moment later.
    let rebound = async {
        loop {
            match UdpSocket::bind(addr).await {
                Ok(socket) => return drop(socket),
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    };
    timeout(LIMIT, rebound).await.expect("the address is free");
    let again = start_on(addr, 4, ring(&[1])).await;
    again.0.join(&[pool[2].1]);
    pool.push(again);
    until("all see all again", || all_see_all(&pool)).await;
}

#[tokio::test]
async fn forged_truncated_oversized_and_replayed_packets_change_nothing() {
    let (target, target_addr) = start(0, &[1]).await;
    let (sender, _) = start(1, &[1]).await;
    let wire = bind(([127, 0, 0, 1], 0).into()).await;
    sender.join(&[wire.local_addr().expect("bound")]);
    let mut buffer = [0; 2_000];
    let (length, _) = timeout(LIMIT, wire.recv_from(&mut buffer))
        .await
        .expect("a hello is sent")
        .expect("received");
    let genuine = &buffer[..length];
    let mut forged = genuine.to_vec();
    forged[length / 2] ^= 1;
    for packet in [&forged[..], &genuine[..length - 1], &genuine[..20], b""] {
        wire.send_to(packet, target_addr).await.expect("sent");
    }
    let oversized = vec![b'K'; MAX_PACKET_BYTES + 100];
    wire.send_to(&oversized, target_addr).await.expect("sent");
    until("counted", || refused(target.counters()) == [2, 0, 2, 1]).await;
    assert_eq!(target.counters().packets_out, 0);
    wire.send_to(genuine, target_addr).await.expect("sent");
    // The answer lets the sender announce itself: the genuine packet counts.
    until("joined", || view(&target, 1) == Some(MemberState::Alive)).await;
    for _ in 0..3 {
        wire.send_to(genuine, target_addr).await.expect("sent");
    }
    until("replays counted", || target.counters().replayed == 3).await;
    assert_eq!(refused(target.counters()), [2, 3, 2, 1]);
    assert_eq!(target.members().len(), 1);
    assert_eq!(view(&target, 1), Some(MemberState::Alive));
}

#[tokio::test]
async fn a_member_with_another_key_stays_outside() {
    let pool = pool(3).await;
    let (stranger, stranger_addr) = start(9, &[7]).await;
    stranger.join(&[pool[0].1, pool[1].1]);
    pool[2].0.join(&[stranger_addr]);
    until("counted", || pool[0].0.counters().bad_mac >= 3).await;
    until("counted by the stranger", || {
        stranger.counters().bad_mac >= 1
    })
    .await;
    assert!(stranger.members().is_empty());
    assert!(pool.iter().all(|(gossip, _)| view(gossip, 9).is_none()));
    assert!(all_see_all(&pool));
}

#[tokio::test]
async fn keys_rotate_while_everybody_stays_alive() {
    let pool = pool(5).await;
    let mut events = pool[0].0.events();
    for keys in [[1, 2], [2, 1], [2, 2]] {
        let before: Vec<u64> = traffic(&pool);
        for (gossip, _) in &pool {
            gossip.set_keys(ring(&keys));
        }
        until("traffic goes on", || {
            let now = traffic(&pool);
            now.iter().zip(&before).all(|(now, then)| now - then > 15)
        })
        .await;
    }
    assert!(all_see_all(&pool));
    for (gossip, _) in &pool {
        assert_eq!(gossip.counters().bad_mac, 0);
    }
    while let Ok(event) = events.try_recv() {
        assert!(event.state.is_active(), "{event:?}");
    }
    let (late, _) = start(5, &[1]).await;
    late.join(&[pool[0].1]);
    until("the old key is refused", || {
        pool[0].0.counters().bad_mac > 0
    })
    .await;
}

fn traffic(pool: &[(Gossip, SocketAddr)]) -> Vec<u64> {
    pool.iter().map(|(g, _)| g.counters().packets_in).collect()
}

#[tokio::test]
async fn a_hint_reaches_everyone_and_a_late_joiner() {
    let mut pool = pool(6).await;
    let hint = Hint {
        leader: Some(LeaderHint {
            id: id_of(0),
            term: 4,
            node_addr: "127.0.0.1:7000".into(),
        }),
        managers: vec!["127.0.0.1:7000".into()],
        generation: (1, 12),
    };
    pool[0].0.set_hint(hint.clone());
    let late = start(6, &[1]).await;
    late.0.join(&[pool[5].1]);
    pool.push(late);
    for (gossip, _) in &pool {
        let mut receiver = gossip.hint();
        let heard = timeout(LIMIT, receiver.wait_for(|known| *known == hint)).await;
        assert!(heard.is_ok_and(|result| result.is_ok()));
    }
}

#[tokio::test]
async fn an_address_that_nobody_could_reach_is_refused() {
    let socket = bind(([127, 0, 0, 1], 0).into()).await;
    let nowhere: SocketAddr = ([0, 0, 0, 0], 7000).into();
    let refused = Gossip::start(
        socket,
        nowhere,
        id_of(0),
        Role::Node,
        ring(&[1]),
        Config::lan(),
    );
    assert!(matches!(refused.await, Err(GossipError::Advertise(_))));
}
