use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::net::UdpSocket;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use uuid::Uuid;

use crate::config::Config;
use crate::counters::Counters;
use crate::engine::{Engine, Start};
use crate::error::GossipError;
use crate::hint::Hint;
use crate::identity::{Identity, Role};
use crate::keys::KeyRing;
use crate::member::{Duplicate, Member, MemberEvent};
use crate::seal::MAX_PACKET_BYTES;

/// Events kept for a slow receiver; beyond, it sees a lag.
const EVENT_CAPACITY: usize = 4_096;
/// Packets that are taken in a row before the timers have their turn: what lies
/// unread in the socket must not count as missing.
const PACKETS_IN_A_ROW: usize = 512;
/// The task looks at the clock at least this often.
const LONGEST_SLEEP: Duration = Duration::from_millis(100);

/// Handle to a running member. Cheap to clone; when the last clone is dropped
/// the member falls silent, as in a crash. [`Gossip::leave`] says goodbye.
#[derive(Debug, Clone)]
pub struct Gossip {
    inner: Arc<Running>,
}

#[derive(Debug)]
struct Running {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Debug)]
struct Shared {
    socket: UdpSocket,
    /// Locked for one step at a time, never across an await.
    engine: Mutex<Engine>,
    origin: Instant,
    events: broadcast::Sender<MemberEvent>,
    hint: watch::Sender<Hint>,
}

impl Gossip {
    /// Starts a member on a bound socket.
    ///
    /// `advertise` is the address that others send to; the socket itself may be
    /// bound to all addresses. Fails when settings do not fit, when nobody
    /// could reach `advertise`, or when the socket fails.
    pub async fn start(
        socket: UdpSocket,
        advertise: SocketAddr,
        id: Uuid,
        role: Role,
        keys: KeyRing,
        config: Config,
    ) -> Result<Gossip, GossipError> {
        let identity = Identity {
            id,
            role,
            addr: advertise,
            bump: unix_ms(),
        };
        let engine = Engine::new(Start {
            identity,
            keys,
            config,
            seed: rand::random(),
            instance: rand::random(),
            now_ms: 0,
        })?;
        // Sending later never waits, so the socket must be known as ready.
        socket.writable().await?;
        let shared = Arc::new(Shared {
            socket,
            engine: Mutex::new(engine),
            origin: Instant::now(),
            events: broadcast::Sender::new(EVENT_CAPACITY),
            hint: watch::Sender::new(Hint::default()),
        });
        let task = tokio::spawn(run(shared.clone()));
        let inner = Arc::new(Running { shared, task });
        Ok(Gossip { inner })
    }

    /// Contacts the seeds now, and again by itself as long as they are not
    /// living members. At most 64 seeds are kept.
    pub fn join(&self, seeds: &[SocketAddr]) {
        self.shared().step(|engine, now| engine.join(now, seeds));
    }

    /// Offers a hint: each newer part (leader and managers by term, generation)
    /// is kept and spread. Leader and managers are for the leader to set; a
    /// change within its term counts as newer. Managers that do not fit into
    /// 512 bytes are cut off.
    pub fn set_hint(&self, hint: Hint) {
        self.shared().step(|engine, now| engine.set_hint(now, hint));
    }

    /// The newest hint, now and as it changes.
    pub fn hint(&self) -> watch::Receiver<Hint> {
        self.shared().hint.subscribe()
    }

    /// Everybody ever seen (at most 20,000) but ourselves, in no order.
    pub fn members(&self) -> Vec<Member> {
        self.shared().lock().members()
    }

    /// Changes from now on. A receiver that lags calls [`Gossip::members`].
    pub fn events(&self) -> broadcast::Receiver<MemberEvent> {
        self.shared().events.subscribe()
    }

    /// Spreads that this member ended on purpose, for one who knows it from
    /// elsewhere. Does nothing for an id never seen. If it lives after all, it
    /// is alive again within a second or two.
    pub fn leave_notice(&self, id: Uuid) {
        self.shared()
            .step(|engine, now| engine.leave_notice(now, id));
    }

    /// Says goodbye and stops, also for clones of this handle. Repeats itself
    /// until three members (or all, when fewer) have confirmed or `timeout` is
    /// over; true when somebody has confirmed or nobody was there.
    pub async fn leave(self, timeout: Duration) -> bool {
        let shared = self.shared();
        let deadline = Instant::now() + timeout;
        shared.step(|engine, now| engine.begin_leave(now));
        while !shared.lock().has_left() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.inner.task.abort();
        let engine = shared.lock();
        engine.has_left() || engine.leave_acks().is_some_and(|acks| acks > 0)
    }

    /// Ids that two living processes use, seen in the last half minute.
    pub fn duplicates(&self) -> Vec<Duplicate> {
        self.shared().lock().duplicates()
    }

    /// Replaces the key ring, from the next packet on.
    pub fn set_keys(&self, keys: KeyRing) {
        self.shared().lock().set_keys(keys);
    }

    /// What was sent, received and refused since the start.
    pub fn counters(&self) -> Counters {
        self.shared().lock().counters()
    }

    /// Our own identity in its present life.
    pub fn identity(&self) -> Identity {
        self.shared().lock().identity()
    }

    fn shared(&self) -> &Shared {
        &self.inner.shared
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Engine> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// One step of the engine and what follows from it. Events are sent under
    /// the lock so that they come in order.
    fn step(&self, act: impl FnOnce(&mut Engine, u64)) {
        let mut engine = self.lock();
        act(&mut engine, self.now_ms());
        let output = engine.take_output();
        for (to, packet) in output.packets {
            if let Err(error) = self.socket.try_send_to(&packet, to) {
                engine.count_send_failure();
                tracing::trace!(%error, %to, "gossip packet not sent");
            }
        }
        if let Some(hint) = output.hint {
            self.hint.send_replace(hint);
        }
        for event in output.events {
            // No receiver is fine: members() tells the same.
            let _ = self.events.send(event);
        }
    }

    fn take(&self, buffer: &[u8], received: Option<(usize, SocketAddr)>) {
        if let Some(packet) = received.and_then(|(length, _)| buffer.get(..length)) {
            self.step(|engine, now| engine.handle_packet(now, packet));
        }
    }

    fn next_deadline(&self) -> Instant {
        let at = self.origin + Duration::from_millis(self.lock().next_deadline_ms());
        at.min(Instant::now() + LONGEST_SLEEP)
    }
}

async fn run(shared: Arc<Shared>) {
    // One byte more than allowed shows that a datagram was too long.
    let mut buffer = vec![0; MAX_PACKET_BYTES + 1];
    loop {
        let deadline = shared.next_deadline();
        tokio::select! {
            biased;
            received = shared.socket.recv_from(&mut buffer) => {
                if let Err(error) = &received {
                    tracing::debug!(%error, "gossip socket");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                shared.take(&buffer, received.ok());
                for _ in 0..PACKETS_IN_A_ROW {
                    let Ok(more) = shared.socket.try_recv_from(&mut buffer) else {
                        break;
                    };
                    shared.take(&buffer, Some(more));
                }
            }
            () = tokio::time::sleep_until(deadline) => {}
        }
        shared.step(|engine, now| engine.poll(now));
    }
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(1, |age| u64::try_from(age.as_millis()).unwrap_or(1))
}
