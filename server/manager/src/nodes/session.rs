//! One node's life with the leader.

use std::time::{Duration, Instant};

use futures::Stream;
use krakend_domain::{
    Applied, Command, Digest, FleetName, GatewayKind, NodeCertificate, NodeId, NodeRegistration,
    NodeState, Rejected, SampleStream, Topic,
};
use krakend_proto::{
    decode_sample, digest_from,
    node::{self as wire, manager_message::Message as Out, node_message::Message as In},
    uuid_from,
};
use krakend_raft::ProposeError;
use sha2::Digest as _;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use super::{
    certified::{Certified, is_due, record as record_certificate, trust},
    enroll::{gossip_keys, managers},
    lease::Leases,
    operate,
    questions::Questions,
    sessions::SessionGuard,
    waiting::{self, Kept},
};
use crate::{app::App, clock, control::propose};

pub(super) const HEARTBEAT: Duration = Duration::from_secs(1);
const HELLO_WITHIN: Duration = Duration::from_secs(5);
const MAX_TEXT: usize = 4_000;
const MAX_SAMPLES: usize = 256;

fn message(message: Out) -> wire::ManagerMessage {
    wire::ManagerMessage {
        message: Some(message),
    }
}

/// Messages to one node that wait to be sent.
const OUTGOING: usize = 64;

pub(super) type Outgoing = mpsc::Sender<Result<wire::ManagerMessage, Status>>;

/// The manager's side of a session, as the stream of what it says. It ends when the node hangs up.
pub fn run(
    app: App,
    certified: Certified,
    messages: Streaming<wire::NodeMessage>,
) -> impl Stream<Item = Result<wire::ManagerMessage, Status>> {
    let (out, answers) = mpsc::channel(OUTGOING);
    tokio::spawn(async move {
        let node_id = certified.node_id;
        if let Err(status) = drive(&app, certified, messages, &out).await {
            tracing::debug!("the session of {} ended: {status}", node_id.krakend());
            let _ = out.send(Err(status)).await;
        }
    });
    ReceiverStream::new(answers)
}

pub(super) async fn say(out: &Outgoing, text: Out) -> Result<(), Status> {
    out.send(Ok(message(text)))
        .await
        .map_err(|_| Status::cancelled("the node hung up"))
}

async fn drive(
    app: &App,
    certified: Certified,
    mut messages: Streaming<wire::NodeMessage>,
    out: &Outgoing,
) -> Result<(), Status> {
    let leadership = *app.group.leadership().borrow();
    if !leadership.is_me {
        return say(out, redirect(app)).await;
    }
    let (node_id, fleet) = (certified.node_id, certified.fleet);
    let hello = first_message(&mut messages).await?;
    if let Kept::AskAnew = waiting::for_seat(app, node_id, &mut messages, out).await? {
        return say(out, waiting::ask_anew(app)).await;
    }
    let epoch = match register(app, node_id, fleet, &hello).await? {
        Registration::Admitted { epoch } => epoch,
        Registration::Refused(refused) => return say(out, Out::Refused(refused)).await,
    };
    crate::epoch::compare(app, node_id, hello.applied.as_ref());
    watch_for_twins(app, node_id, &hello);
    let cancel = CancellationToken::new();
    let (guard, questions) = app.sessions.begin(node_id, hello.ready, cancel.clone());
    guard.said(hello.sent_ms);
    let welcome = wire::Welcome {
        manager_id: app.group.identity().manager_id.to_string(),
        term: leadership.term,
        epoch,
        managers: managers(app),
    };
    say(out, Out::Welcome(welcome)).await?;
    record_certificate(app, node_id, certified.certificate).await?;
    super::certified::metrics_address(app, node_id, &hello.metrics_address).await;
    if let Some(applied) = hello.applied {
        acknowledge(app, node_id, applied).await?;
    }
    let node = (node_id, certified.certificate);
    let talk = talk(app, node, messages, out, (&guard, questions));
    tokio::select! {
        over = talk => over,
        () = cancel.cancelled() => Err(Status::aborted("the node opened a newer session")),
        () = app.stop.cancelled() => Err(Status::unavailable("this manager is stopping")),
    }
}

/// A cloned machine has the same id, store and certificate; its process is another.
fn watch_for_twins(app: &App, node_id: NodeId, hello: &wire::Hello) {
    let Ok(run) = uuid_from("run_id", &hello.run_id) else {
        return;
    };
    let address = short(&hello.gateway_address, 255);
    if app.sessions.note_run(node_id, run, &address) {
        tracing::warn!(
            "two processes hold sessions as {} in turn, the newest at {address}: was a machine cloned?",
            node_id.krakend()
        );
    }
}

/// Everything after the welcome: orders as they come to stand, answers to what the node says.
async fn talk(
    app: &App,
    (node_id, mut certificate): (NodeId, NodeCertificate),
    mut messages: Streaming<wire::NodeMessage>,
    out: &Outgoing,
    (guard, mut questions): (&SessionGuard<'_>, Questions),
) -> Result<(), Status> {
    // With thousands of nodes not every entry may wake every session. What else an order depends on, its fleet above
    // all, is looked at with the next heartbeat.
    let mut fleets = app.http.watch.receiver(Topic::Fleets);
    let mut versions = app.http.watch.receiver(Topic::Versions);
    let mut license = app.http.watch.receiver(Topic::License);
    let mut leader = app.group.leadership();
    let mut heartbeat = tokio::time::interval(HEARTBEAT);
    let mut sent = None;
    let mut ring = app.trust.changes();
    let mut told: Option<Instant> = None;
    let mut leases = Leases::new(node_id);
    let mut keys_told = 0;
    let mut drain_told = None;
    loop {
        if !leader.borrow_and_update().is_me {
            return say(out, redirect(app)).await;
        }
        let changed = ring.has_changed().unwrap_or(false);
        let repeat = told.is_some_and(|at| at.elapsed() > repeat_after(app));
        if told.is_none() || changed || (repeat && is_due(app, &certificate)) {
            ring.mark_unchanged();
            told = Some(Instant::now());
            say(out, Out::Trust(trust(app, &certificate))).await?;
            keys_told = u64::MAX;
            leases.key_changed();
        }
        // After the keys that it is verified with.
        if let Some(lease) = leases.next(app, guard.last_said()).await? {
            say(out, Out::Lease(lease)).await?;
        }
        if keys_told != app.group.stale().state.keyring().revision {
            let keys = gossip_keys(app);
            keys_told = keys.revision;
            say(out, Out::GossipKeys(keys)).await?;
        }
        let drain = operate::drain(app, node_id);
        if drain_told != Some(drain) {
            drain_told = Some(drain);
            say(out, Out::Drain(drain)).await?;
        }
        let order = standing_order(app, node_id);
        if order != sent {
            sent = order;
            if let Some(order) = desired(app, node_id) {
                say(out, Out::Desired(order)).await?;
            }
        }
        tokio::select! {
            _ = leader.changed() => {}
            _ = fleets.changed() => {}
            _ = versions.changed() => {}
            _ = license.changed() => {}
            _ = ring.changed() => ring.mark_changed(),
            question = questions.next() => say(out, Out::Question(question)).await?,
            _ = heartbeat.tick() => {
                expect_registered(app, node_id)?;
                let beat = super::heartbeat(app);
                say(out, Out::Heartbeat(beat)).await?;
            }
            incoming = messages.message() => {
                let Some(incoming) = incoming? else { return Ok(()) };
                let Some(incoming) = incoming.message else { continue };
                if let In::CertificateKept(kept) = &incoming {
                    if let Some(newer) = super::certified::kept(app, node_id, &kept.certificate_pem) {
                        certificate = newer;
                        record_certificate(app, node_id, newer).await?;
                    }
                    continue;
                }
                if let In::Answer(answer) = incoming {
                    guard.heard(None);
                    questions.answered(answer);
                    continue;
                }
                let (answer, over) = handle(app, node_id, guard, incoming).await?;
                if let Some(answer) = answer {
                    say(out, answer).await?;
                }
                if over {
                    return Ok(());
                }
            }
        }
    }
}

/// Whom the group has taken out, by an operator or because its goodbye was late, must register again for a seat.
fn expect_registered(app: &App, node_id: NodeId) -> Result<(), Status> {
    let state = app.group.stale().state;
    let node = state.node(node_id).map(|node| node.state);
    match node {
        Some(NodeState::Active | NodeState::Unreachable) => Ok(()),
        _ => Err(Status::aborted(
            "the group has taken this node out: it has to register again",
        )),
    }
}

/// A node that has not fetched a certificate which is due is told again.
fn repeat_after(app: &App) -> Duration {
    Duration::from_millis(app.trust.life.life_ms / 12).min(Duration::from_secs(600))
}

fn redirect(app: &App) -> Out {
    let leader = app.group.leadership().borrow().leader;
    let members = app.group.status().members;
    let leader = members
        .into_iter()
        .find(|member| Some(member.id) == leader && leader != Some(app.group.identity().manager_id))
        .map(|member| member.node.node_address);
    Out::Redirect(wire::Redirect {
        leader: leader.unwrap_or_default(),
        managers: managers(app),
    })
}

async fn first_message(messages: &mut Streaming<wire::NodeMessage>) -> Result<wire::Hello, Status> {
    let first = tokio::time::timeout(HELLO_WITHIN, messages.message())
        .await
        .map_err(|_| Status::deadline_exceeded("no Hello came"))??;
    match first.and_then(|first| first.message) {
        Some(In::Hello(hello)) => Ok(hello),
        _ => Err(Status::invalid_argument("a session begins with Hello")),
    }
}

enum Registration {
    Admitted { epoch: u64 },
    Refused(wire::Refused),
}

async fn register(
    app: &App,
    node_id: NodeId,
    fleet: FleetName,
    hello: &wire::Hello,
) -> Result<Registration, Status> {
    let registration = registration(app, node_id, fleet, hello)?;
    let state = app.group.stale().state;
    let now_ms = clock::decide_ms(&state);
    // What `apply` would refuse for certain is not written to the log: refused nodes ask every few seconds.
    if !state.has_seat_for(node_id, now_ms) {
        let rejected = Rejected::NoSeat {
            max_nodes: state.license_status(now_ms).limits.max_nodes,
            seats_used: state.seats_used(now_ms),
        };
        return Ok(refused(app, node_id, &registration.name, &rejected));
    }
    let name = registration.name.clone();
    match propose(app, Command::RegisterNode(registration)).await {
        Ok(proposed) => {
            let Applied::Registered { fresh, epoch, .. } = proposed.applied else {
                return Err(Status::internal("unexpected answer to a registration"));
            };
            if fresh {
                tracing::info!("Sending the limits to the krakend: {}", node_id.krakend());
            }
            Ok(Registration::Admitted { epoch })
        }
        Err(ProposeError::Rejected { rejected, .. }) => Ok(refused(app, node_id, &name, &rejected)),
        Err(error) => Err(Status::unavailable(error.to_string())),
    }
}

fn refused(app: &App, node_id: NodeId, name: &str, rejected: &Rejected) -> Registration {
    let seat = matches!(rejected, Rejected::NoSeat { .. });
    if !seat || app.sessions.refuse(node_id, name) {
        tracing::warn!("{rejected}");
    }
    if seat {
        tracing::debug!("{name} ({}) got no seat", node_id.krakend());
    }
    Registration::Refused(wire::Refused {
        code: refusal_code(rejected).into(),
        message: rejected.to_string(),
    })
}

fn refusal_code(rejected: &Rejected) -> &'static str {
    match rejected {
        Rejected::NoSeat { .. } => "no-seat",
        Rejected::NodeIdInUse(_) => "id-in-use",
        Rejected::NoSuchFleet(_) => "no-fleet",
        _ => "rejected",
    }
}

fn registration(
    app: &App,
    node_id: NodeId,
    certified: FleetName,
    hello: &wire::Hello,
) -> Result<NodeRegistration, Status> {
    let store_id = uuid_from("store_id", &hello.store_id)
        .map_err(|error| Status::invalid_argument(error.to_string()))?;
    let state = app.group.stale().state;
    // What the state says goes before what the certificate once said.
    let fleet = state.node(node_id).map(|node| node.fleet.clone());
    Ok(NodeRegistration {
        node_id,
        store_id,
        fleet: fleet.unwrap_or(certified),
        name: short(&hello.name, 255),
        gateway_address: short(&hello.gateway_address, 255),
        gossip_address: short(&hello.gossip_address, 255),
        gateway: match hello.gateway_kind.as_str() {
            "krakend" => GatewayKind::Krakend,
            _ => GatewayKind::Embedded,
        },
        gateway_version: short(&hello.gateway_version, 100),
        version: short(&hello.version, 100),
        lease_until_ms: clock::decide_ms(&state) + app.settings.lease_ms,
    })
}

pub(super) fn short(text: &str, limit: usize) -> String {
    text.chars()
        .filter(|c| !c.is_control())
        .take(limit)
        .collect()
}

/// Epoch and generation of the order that stands for the node.
fn standing_order(app: &App, node_id: NodeId) -> Option<(u64, u64)> {
    let state = app.group.stale().state;
    let fleet = state.fleet(&state.node(node_id)?.fleet)?;
    Some((state.meta().epoch, fleet.generation))
}

fn desired(app: &App, node_id: NodeId) -> Option<wire::Desired> {
    let state = app.group.stale().state;
    let node = state.node(node_id)?;
    let fleet = state.fleet(&node.fleet)?;
    let mut order = wire::Desired {
        epoch: state.meta().epoch,
        generation: fleet.generation,
        ..wire::Desired::default()
    };
    if let Some(version) = state.newest_version(&node.fleet) {
        order.number = version.number;
        order.digest = version.digest.0.to_vec().into();
        let body = zstd::bulk::decompress(&version.body, 64 << 20).ok()?;
        order.body_sha256 = sha2::Sha256::digest(&body).to_vec().into();
        order.size_bytes = version.size_bytes;
    }
    Some(order)
}

async fn handle(
    app: &App,
    node_id: NodeId,
    guard: &SessionGuard<'_>,
    incoming: In,
) -> Result<(Option<Out>, bool), Status> {
    match incoming {
        In::Hello(_) | In::CertificateKept(_) | In::Answer(_) => {
            Err(Status::invalid_argument("a session has one Hello"))
        }
        In::Heartbeat(heartbeat) => {
            guard.heard(Some(heartbeat.ready));
            guard.said(heartbeat.sent_ms);
            Ok((None, false))
        }
        In::Acknowledgement(acknowledgement) => {
            guard.heard(None);
            acknowledge(app, node_id, acknowledgement).await?;
            Ok((None, false))
        }
        In::Statistics(batch) => {
            guard.heard(None);
            let answer = record(app, node_id, batch).await?;
            Ok((Some(answer), false))
        }
        In::FileState(file) => {
            guard.heard(None);
            operate::file_state(app, node_id, &file).await?;
            Ok((None, false))
        }
        In::KeyringHeld(held) => {
            guard.heard(None);
            operate::keyring_held(app, node_id, held.revision).await?;
            Ok((None, false))
        }
        In::Goodbye(goodbye) => {
            let command = Command::LeaveNode {
                node_id,
                hold_seat: !goodbye.for_good,
            };
            propose(app, command)
                .await
                .map_err(|error| Status::unavailable(error.to_string()))?;
            tracing::info!("{} left", node_id.krakend());
            Ok((Some(Out::Farewell(wire::Farewell {})), true))
        }
    }
}

async fn acknowledge(
    app: &App,
    node_id: NodeId,
    said: wire::Acknowledgement,
) -> Result<(), Status> {
    let digest = |field, bytes: &[u8]| -> Result<Digest, Status> {
        digest_from(field, bytes).map_err(|error| Status::invalid_argument(error.to_string()))
    };
    if said.number == 0 {
        return Ok(());
    }
    let refused = !said.refusal.is_empty();
    let command = Command::AcknowledgeVersion {
        node_id,
        epoch: said.epoch,
        generation: said.generation,
        number: said.number,
        digest: digest("digest", &said.digest)?,
        rendered: match refused {
            true => Digest([0; 32]),
            false => digest("rendered_digest", &said.rendered_digest)?,
        },
        refusal: refused.then(|| said.refusal.chars().take(MAX_TEXT).collect()),
    };
    match propose(app, command).await {
        Ok(_) => Ok(()),
        // An older order's acknowledgement tells nothing new.
        Err(ProposeError::Rejected { .. }) => Ok(()),
        Err(error) => Err(Status::unavailable(error.to_string())),
    }
}

async fn record(app: &App, node_id: NodeId, batch: wire::StatisticsBatch) -> Result<Out, Status> {
    let stream = uuid_from("stream", &batch.stream)
        .map_err(|error| Status::invalid_argument(error.to_string()))?;
    let mut samples = Vec::new();
    for bytes in batch.samples.iter().take(MAX_SAMPLES) {
        let sample =
            decode_sample(bytes).map_err(|error| Status::invalid_argument(error.to_string()))?;
        samples.push(sample);
    }
    let command = Command::RecordStatistics {
        node_id,
        stream: SampleStream(stream),
        samples,
    };
    let proposed = propose(app, command)
        .await
        .map_err(|error| Status::unavailable(error.to_string()))?;
    let through_seq = match proposed.applied {
        Applied::StatisticsRecorded { through_seq, .. } => through_seq,
        _ => 0,
    };
    Ok(Out::StatisticsAcknowledged(wire::StatisticsAcknowledged {
        stream: batch.stream,
        through_seq,
    }))
}
