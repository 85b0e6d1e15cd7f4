//! The network between simulated machines. Each call is a connection of its own: its messages keep their order, as TCP
//! does it, and overtake those of all others. Nothing is lost silently: what meets a cut waits for its end, or the
//! connection breaks, as keep-alive pings would have it.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures::{Stream, stream};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use krakend_proto::manager::manager_peer_server::ManagerPeerServer;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{Status, body::Body, transport::Channel};
use tower::{BoxError, Service};

use super::world::{Host, World, world};
use crate::network::PeerService;

/// Keep-alive gives a connection up that was cut for so long.
const BREAKS_AFTER: Duration = Duration::from_secs(4);
const DIALS_FOR: Duration = Duration::from_secs(1);

/// A machine's place; it stays the same when its manager is restarted.
pub(super) type Place = u64;
type Served = ManagerPeerServer<PeerService>;

pub(super) struct Net {
    state: Mutex<State>,
    changed: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    /// Who listens where.
    listening: BTreeMap<String, (Place, Option<(Host, Served)>)>,
    places: BTreeMap<Host, Place>,
    /// Ways that nothing passes.
    cut: BTreeSet<(Place, Place)>,
    /// Machines without power: they do not even refuse.
    dark: BTreeSet<Place>,
    /// Ways that are slow.
    slow: BTreeSet<(Place, Place)>,
    /// How often the connections of a way were reset.
    resets: BTreeMap<(Place, Place), u64>,
}

impl Default for Net {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            changed: watch::Sender::new(0),
        }
    }
}

impl Net {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.send_modify(|count| *count += 1);
    }

    pub(super) fn belongs(&self, host: Host, place: Place) {
        self.lock().places.insert(host, place);
    }

    pub(super) fn listen(&self, address: &str, place: Place, served: Option<(Host, Served)>) {
        let old = self
            .lock()
            .listening
            .insert(address.into(), (place, served));
        drop(old);
    }

    pub(super) fn set_cut(&self, cut: BTreeSet<(Place, Place)>) {
        self.change(|state| state.cut = cut);
    }

    pub(super) fn set_slow(&self, slow: BTreeSet<(Place, Place)>) {
        self.change(|state| state.slow = slow);
    }

    pub(super) fn set_dark(&self, place: Place, dark: bool) {
        self.change(|state| match dark {
            true => drop(state.dark.insert(place)),
            false => drop(state.dark.remove(&place)),
        });
    }

    pub(super) fn reset(&self, one: Place, other: Place) {
        self.change(|state| {
            *state.resets.entry((one, other)).or_default() += 1;
            *state.resets.entry((other, one)).or_default() += 1;
        });
    }
}

/// The way between two machines.
#[derive(Clone, Copy, Debug)]
struct Way {
    from: Place,
    to: Place,
}

impl Way {
    fn back(self) -> Self {
        Self {
            from: self.to,
            to: self.from,
        }
    }

    fn is_cut(self, state: &State) -> bool {
        state.cut.contains(&(self.from, self.to))
            || state.dark.contains(&self.from)
            || state.dark.contains(&self.to)
    }

    fn takes(self, world: &World) -> Duration {
        let slow = world.net().lock().slow.contains(&(self.from, self.to));
        world.random(|random| match (slow, random.below(0..100)) {
            (true, _) => random.millis(10..400),
            (false, 0) => random.millis(2..60),
            (false, _) => random.micros(60..1_200),
        })
    }

    /// Waits until a message that arrives at `at` is through.
    async fn pass(self, world: &World, at: Duration) {
        world.sleep_until(at).await;
        let mut changed = world.net().changed.subscribe();
        while self.is_cut(&world.net().lock()) {
            if changed.changed().await.is_err() {
                return;
            }
        }
    }

    /// Ends when a connection on this way does not stand any more.
    async fn breaks(self, world: &World) {
        let key = (self.from, self.to);
        let mut changed = world.net().changed.subscribe();
        let resets = |state: &State| state.resets.get(&key).copied().unwrap_or(0);
        let begun = resets(&world.net().lock());
        let mut cut_since = None;
        loop {
            {
                let state = world.net().lock();
                if resets(&state) != begun {
                    return;
                }
                match self.is_cut(&state) || self.back().is_cut(&state) {
                    true => drop(cut_since.get_or_insert(world.elapsed())),
                    false => cut_since = None,
                }
            }
            let over = async {
                match cut_since {
                    Some(since) => world.sleep_until(since + BREAKS_AFTER).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                _ = changed.changed() => {}
                () = over => return,
            }
        }
    }
}

/// Requests to another manager: over a real connection, or through the simulation.
#[derive(Clone, Debug)]
pub(crate) enum Transport {
    Real(Channel),
    Simulated(Address),
}

#[derive(Clone)]
pub(crate) struct Address(Arc<dyn Fn() -> String + Send + Sync>);

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&(self.0)())
    }
}

impl Transport {
    pub(crate) fn simulated(address: impl Fn() -> String + Send + Sync + 'static) -> Self {
        Self::Simulated(Address(Arc::new(address)))
    }

    pub(crate) async fn connected(address: String) -> Result<Self, BoxError> {
        dial(&address).await?;
        Ok(Self::simulated(move || address.clone()))
    }
}

impl Service<http::Request<Body>> for Transport {
    type Response = http::Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        match self {
            Self::Real(channel) => channel.poll_ready(context).map_err(Into::into),
            Self::Simulated(_) => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        match self {
            Self::Real(channel) => {
                let answer = channel.call(request);
                Box::pin(async move { answer.await.map_err(Into::into) })
            }
            Self::Simulated(address) => Box::pin(exchange((address.0)(), request)),
        }
    }
}

/// Who listens there, and the way. As slow in refusing as the network is.
async fn find(world: &World, address: &str, anew: bool) -> io::Result<(Way, Host, Served)> {
    let (way, served) = {
        let state = world.net().lock();
        let from = state.places.get(&world.here()).copied().unwrap_or(0);
        let (to, served) = match state.listening.get(address) {
            Some((to, served)) => (*to, served.clone()),
            None => return Err(io::ErrorKind::NotFound.into()),
        };
        (Way { from, to }, served)
    };
    let is_cut = {
        let state = world.net().lock();
        way.is_cut(&state) || way.back().is_cut(&state)
    };
    if is_cut && anew {
        world.sleep(DIALS_FOR).await;
        return Err(io::ErrorKind::TimedOut.into());
    }
    match served {
        Some((host, served)) => Ok((way, host, served)),
        None => {
            world
                .sleep(way.takes(world) + way.back().takes(world))
                .await;
            Err(io::ErrorKind::ConnectionRefused.into())
        }
    }
}

/// Whether somebody listens there.
pub(crate) async fn dial(address: &str) -> io::Result<()> {
    let world = world();
    let (way, ..) = find(&world, address, true).await?;
    world
        .sleep(way.takes(&world) + way.back().takes(&world))
        .await;
    Ok(())
}

fn broken() -> Status {
    Status::unavailable("the connection broke")
}

type Head = (http::response::Parts, Duration, Receiver);

async fn exchange(
    address: String,
    request: http::Request<Body>,
) -> Result<http::Response<Body>, BoxError> {
    let world = world();
    let here = world.here();
    // A connection that stands already does not notice a cut at once.
    let anew = world.random(|random| random.percent(50));
    let found = find(&world, &address, anew).await;
    let (way, host, served) = found.map_err(|error| tonic::ConnectError(error.into()))?;
    let hung_up = CancellationToken::new();
    let guard = hung_up.clone().drop_guard();
    let (parts, body) = request.into_parts();
    let (sender, receiver) = pipe(way);
    let sending = pump(sender, body);
    let stopped = hung_up.clone();
    world.spawn(here, async move {
        tokio::select! {
            biased;
            () = stopped.cancelled() => {}
            () = sending => {}
        }
    });
    let (answer, answered) = oneshot::channel();
    let request = http::Request::from_parts(parts, receiver.body(None));
    let arrives = world.elapsed() + way.takes(&world);
    world.spawn(host, serve(way, served, request, arrives, hung_up, answer));
    let waited = async {
        match answered.await {
            Ok((parts, arrives, receiver)) => {
                way.back().pass(&world, arrives).await;
                Ok((parts, receiver))
            }
            // The process at the other end is gone; its kernel says so.
            Err(_) => {
                let arrives = world.elapsed() + way.back().takes(&world);
                way.back().pass(&world, arrives).await;
                Err(broken())
            }
        }
    };
    tokio::select! {
        biased;
        done = waited => {
            let (parts, receiver) = done?;
            Ok(http::Response::from_parts(parts, receiver.body(Some(guard))))
        }
        () = way.breaks(&world) => Err(broken().into()),
    }
}

/// On the other machine.
async fn serve(
    way: Way,
    mut served: Served,
    request: http::Request<Body>,
    arrives: Duration,
    hung_up: CancellationToken,
    answer: oneshot::Sender<Head>,
) {
    let world = world();
    let work = async {
        way.pass(&world, arrives).await;
        world.note(
            "call",
            &[way.from, way.to, request.uri().path().len() as u64],
        );
        let Ok(response) = served.call(request).await;
        let (parts, body) = response.into_parts();
        let (sender, receiver) = pipe(way.back());
        let arrives = world.elapsed() + way.back().takes(&world);
        if answer.send((parts, arrives, receiver)).is_ok() {
            pump(sender, body).await;
        }
    };
    let ends = async {
        tokio::select! {
            biased;
            () = hung_up.cancelled() => way.pass(&world, world.elapsed() + way.takes(&world)).await,
            () = way.breaks(&world) => {}
        }
    };
    tokio::select! {
        biased;
        () = work => {}
        () = ends => {}
    }
}

enum Piece {
    Frame(Frame<Bytes>),
    End,
}

struct Sender {
    way: Way,
    last: Duration,
    pieces: mpsc::UnboundedSender<(Duration, Piece)>,
}

struct Receiver {
    way: Way,
    pieces: mpsc::UnboundedReceiver<(Duration, Piece)>,
}

fn pipe(way: Way) -> (Sender, Receiver) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let sender = Sender {
        way,
        last: Duration::ZERO,
        pieces: sender,
    };
    let receiver = Receiver {
        way,
        pieces: receiver,
    };
    (sender, receiver)
}

/// Sends what there is until its end. Ended before, it leaves a broken connection.
async fn pump(mut sender: Sender, mut body: Body) {
    let world = world();
    loop {
        let (piece, ends) = match body.frame().await {
            Some(Ok(frame)) => (Piece::Frame(frame), false),
            Some(Err(_)) => return,
            None => (Piece::End, true),
        };
        let at = world.elapsed() + sender.way.takes(&world);
        sender.last = sender.last.max(at);
        if sender.pieces.send((sender.last, piece)).is_err() || ends {
            return;
        }
    }
}

impl Receiver {
    fn body(self, guard: Option<DropGuard>) -> Body {
        Body::new(StreamBody::new(Box::pin(self.frames(guard))))
    }

    fn frames(
        self,
        guard: Option<DropGuard>,
    ) -> impl Stream<Item = Result<Frame<Bytes>, Status>> + Send {
        stream::unfold(Some((self, guard)), |state| async move {
            let (mut receiver, guard) = state?;
            let world = world();
            let (way, pieces) = (receiver.way, &mut receiver.pieces);
            let next = async {
                let piece = pieces.recv().await;
                let (arrives, piece) = match piece {
                    Some((arrives, piece)) => (arrives, Some(piece)),
                    None => (world.elapsed() + way.takes(&world), None),
                };
                way.pass(&world, arrives).await;
                piece
            };
            let piece = tokio::select! {
                biased;
                piece = next => piece,
                () = way.breaks(&world) => None,
            };
            match piece {
                Some(Piece::Frame(frame)) => {
                    let bytes = frame.data_ref().map_or(0, |it| it.len() as u64);
                    world.note("frame", &[way.from, way.to, bytes]);
                    Some((Ok(frame), Some((receiver, guard))))
                }
                Some(Piece::End) => None,
                None => Some((Err(broken()), None)),
            }
        })
    }
}
