use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex},
};

use krakend_proto::manager::{Envelope, Handshake, Reply, manager_peer_server::ManagerPeer};
use openraft::raft::{AppendEntriesRequest, TransferLeaderRequest, VoteRequest};
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::mpsc;
use tokio_stream::{Stream, StreamExt, wrappers::ReceiverStream};
use tonic::{Request, Response, Status, Streaming};

use super::message::{
    DeathQuestion, FetchRequest, GrantRequest, HashRequest, JoinRequest, MembershipChange,
    ProbeRequest, ProposeRequest, ReadIndexRequest, RelayRequest, Replacement, Run, SnapshotHead,
};
use crate::{
    codec,
    group::Inner,
    rt::{self, Instant},
    types::{MemberId, Snapshot, TypeConfig},
};

/// Decides whether a client certificate (its DER) may speak as a manager. The error says why not.
pub type PeerVerify = Arc<dyn Fn(&[u8]) -> Result<(), String> + Send + Sync>;

/// Answers to append streams that wait to be sent.
const REPLIES: usize = 64;

/// What a manager answers on port 7001.
#[derive(Clone)]
pub struct PeerService {
    inner: Arc<Inner>,
    verify: Option<PeerVerify>,
}

impl fmt::Debug for PeerService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerService").finish_non_exhaustive()
    }
}

impl PeerService {
    pub(crate) fn new(inner: Arc<Inner>, verify: Option<PeerVerify>) -> Self {
        Self { inner, verify }
    }

    /// A certificate of the group is not enough: nodes have one too.
    fn verify_role<T>(&self, request: &Request<T>) -> Result<(), Status> {
        let Some(verify) = &self.verify else {
            return Ok(());
        };
        let certificates = request.peer_certs();
        let leaf = certificates.as_ref().and_then(|chain| chain.first());
        let leaf = leaf.ok_or_else(|| {
            Status::unauthenticated("port 7001 wants a manager's certificate; none was shown")
        })?;
        verify(leaf.as_ref()).map_err(|reason| {
            tracing::warn!(reason, peer = ?request.remote_addr(), "refused a connection to the managers' port");
            Status::permission_denied(reason)
        })
    }

    fn verify(&self, handshake: Option<&Handshake>) -> Result<MemberId, Status> {
        self.inner.local.verify(handshake).inspect_err(|status| {
            tracing::warn!(reason = status.message(), "refused another manager");
        })
    }

    /// Opens an envelope of a member.
    fn open<T: DeserializeOwned>(
        &self,
        request: &Request<Envelope>,
    ) -> Result<(MemberId, T), Status> {
        self.verify_role(request)?;
        let envelope = request.get_ref();
        let from = self.verify(envelope.handshake.as_ref())?;
        Ok((from, payload(envelope)?))
    }

    /// Opens an envelope of somebody who need not be a member.
    fn open_stranger<T: DeserializeOwned>(&self, request: &Request<Envelope>) -> Result<T, Status> {
        self.verify_role(request)?;
        let envelope = request.get_ref();
        self.inner
            .local
            .verify_stranger(envelope.handshake.as_ref())?;
        payload(envelope)
    }

    /// Notes what the leader said with the oldest request that had no result yet.
    fn heard(&self, said: &Said) {
        let oldest = said.lock().ok().and_then(|mut said| said.pop_front());
        if let Some((committed, at)) = oldest {
            self.inner.local.heard_leader(committed, at);
        }
    }

    fn encode<T: Serialize>(&self, message: &T) -> Result<Reply, Status> {
        let payload = codec::encode(message).map_err(internal)?;
        Ok(Reply {
            payload: payload.into(),
            time_ms: self.inner.local.clocks().now_ms(),
            feature_level: krakend_domain::FEATURE_LEVEL,
            secrets: self.inner.local.secrets.own(),
            disk_low: self.inner.local.room.own_low(),
        })
    }

    fn reply<T: Serialize>(&self, message: &T) -> Result<Response<Reply>, Status> {
        self.encode(message).map(Response::new)
    }

    async fn receive_snapshot(
        &self,
        head: SnapshotHead,
        mut pieces: Streaming<Envelope>,
    ) -> Result<Response<Reply>, Status> {
        let files = self.inner.files.clone();
        let mut incoming = files.receive().map_err(internal)?;
        while let Some(piece) = pieces.message().await? {
            incoming.write(&piece.payload).map_err(internal)?;
        }
        let position = head
            .meta
            .last_log_id
            .as_ref()
            .map(codec::position)
            .ok_or_else(|| Status::invalid_argument("the snapshot contains nothing"))?;
        // On disk and verified before Raft hears of it.
        let file = rt::spawn_blocking(move || files.accept(incoming, position))
            .await
            .map_err(internal)?
            .map_err(internal)?;
        let snapshot = Snapshot {
            meta: head.meta,
            snapshot: file,
        };
        let installed = self
            .inner
            .raft
            .install_full_snapshot(head.vote, snapshot)
            .await;
        self.reply(&installed.map_err(internal)?)
    }
}

#[tonic::async_trait]
impl ManagerPeer for PeerService {
    type AppendStreamStream = ReceiverStream<Result<Reply, Status>>;
    type AttendStream = ReceiverStream<Result<Reply, Status>>;
    type FetchSnapshotStream = ReceiverStream<Result<Reply, Status>>;

    async fn append(&self, request: Request<Envelope>) -> Result<Response<Reply>, Status> {
        let (_, rpc): (_, AppendEntriesRequest<TypeConfig>) = self.open(&request)?;
        let heard = heard(&rpc);
        let answer = self
            .inner
            .raft
            .append_entries(rpc)
            .await
            .map_err(internal)?;
        if answer.is_success() {
            self.inner.local.heard_leader(heard.0, heard.1);
        }
        self.reply(&answer)
    }

    async fn append_stream(
        &self,
        request: Request<Streaming<Envelope>>,
    ) -> Result<Response<Self::AppendStreamStream>, Status> {
        self.verify_role(&request)?;
        let (sender, receiver) = mpsc::channel(REPLIES);
        let service = self.clone();
        let mut messages = request.into_inner();
        // Answered before the first message is there: the leader may have nothing to send yet.
        rt::spawn(async move {
            let first = match messages.message().await {
                Ok(Some(first)) => first,
                Ok(None) => return,
                Err(status) => return drop(sender.send(Err(status)).await),
            };
            if let Err(status) = service.verify(first.handshake.as_ref()) {
                return drop(sender.send(Err(status)).await);
            }
            let said = Arc::new(Mutex::new(VecDeque::new()));
            let requests = requests(first, messages, said.clone());
            let results = service.inner.raft.stream_append(requests);
            tokio::pin!(results);
            while let Some(result) = results.next().await {
                if let Ok(Ok(_)) = &result {
                    service.heard(&said);
                }
                let message = result
                    .map_err(internal)
                    .and_then(|result| service.encode(&result));
                if sender.send(message).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn vote(&self, request: Request<Envelope>) -> Result<Response<Reply>, Status> {
        let (_, rpc): (_, VoteRequest<TypeConfig>) = self.open(&request)?;
        self.reply(&self.inner.raft.vote(rpc).await.map_err(internal)?)
    }

    async fn pre_vote(&self, request: Request<Envelope>) -> Result<Response<Reply>, Status> {
        let (_, rpc): (_, VoteRequest<TypeConfig>) = self.open(&request)?;
        self.reply(&self.inner.raft.pre_vote(rpc).await.map_err(internal)?)
    }

    async fn transfer_leader(&self, request: Request<Envelope>) -> Result<Response<Reply>, Status> {
        let (_, rpc): (_, TransferLeaderRequest<TypeConfig>) = self.open(&request)?;
        let answer = self.inner.raft.handle_transfer_leader(rpc).await;
        self.reply(&answer.map_err(internal)?)
    }

    async fn install_snapshot(
        &self,
        request: Request<Streaming<Envelope>>,
    ) -> Result<Response<Reply>, Status> {
        self.verify_role(&request)?;
        let mut messages = request.into_inner();
        let first = messages
            .message()
            .await?
            .ok_or_else(|| Status::invalid_argument("the snapshot has no head"))?;
        self.verify(first.handshake.as_ref())?;
        let head = payload(&first)?;
        self.receive_snapshot(head, messages).await
    }

    async fn propose(&self, request: Request<Envelope>) -> Result<Response<Reply>, Status> {
        let (_, question): (_, ProposeRequest) = self.open(&request)?;
        self.reply(&self.inner.handle_propose(question).await)
    }

    async fn read_index(&self, request: Request<Envelope>) -> Result<Response<Reply>, Status> {
        let (_, question): (_, ReadIndexRequest) = self.open(&request)?;
        self.reply(&self.inner.handle_read_index(question).await)
    }

    async fn change(&self, request: Request<Envelope>) -> Result<Response<Reply>, Status> {
        let (_, change): (_, MembershipChange) = self.open(&request)?;
        self.reply(&self.inner.handle_change(change).await)
    }

    async fn observe(&self, request: Request<Envelope>) -> Result<Response<Reply>, Status> {
        self.open::<()>(&request)?;
        self.reply(&self.inner.handle_observe())
    }

    async fn relay(&self, request: Request<Envelope>) -> Result<Response<Reply>, Status> {
        let (_, question): (_, RelayRequest) = self.open(&request)?;
        self.reply(&self.inner.handle_relay(question).await)
    }

    async fn attend(
        &self,
        request: Request<Envelope>,
    ) -> Result<Response<Self::AttendStream>, Status> {
        self.open::<()>(&request)?;
        let (sender, receiver) = mpsc::channel(1);
        let _ = sender.try_send(self.encode(&Run(self.inner.local.run)));
        // Held until the caller hangs up: what ends it before is the end of this process.
        rt::spawn(async move { sender.closed().await });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn confirm_death(&self, request: Request<Envelope>) -> Result<Response<Reply>, Status> {
        let (_, question): (_, DeathQuestion) = self.open(&request)?;
        self.reply(&self.inner.handle_confirm_death(question).await)
    }

    async fn probe(&self, request: Request<Envelope>) -> Result<Response<Reply>, Status> {
        let question: ProbeRequest = self.open_stranger(&request)?;
        if let Some(here) = question.here {
            let handshake = request.get_ref().handshake.as_ref();
            self.inner.local.note_moved(handshake, here);
        }
        self.reply(&self.inner.probe_reply())
    }

    async fn grant(&self, request: Request<Envelope>) -> Result<Response<Reply>, Status> {
        let question: GrantRequest = self.open_stranger(&request)?;
        self.reply(&self.inner.handle_grant(question).await)
    }

    async fn join(&self, request: Request<Envelope>) -> Result<Response<Reply>, Status> {
        let question: JoinRequest = self.open_stranger(&request)?;
        self.reply(&self.inner.handle_join(question).await)
    }

    async fn replace(&self, request: Request<Envelope>) -> Result<Response<Reply>, Status> {
        let question: Replacement = self.open_stranger(&request)?;
        self.reply(&self.inner.handle_replace(question).await)
    }

    async fn state_hash(&self, request: Request<Envelope>) -> Result<Response<Reply>, Status> {
        let (_, question): (_, HashRequest) = self.open(&request)?;
        self.reply(&self.inner.handle_hash(question).await)
    }

    async fn fetch_snapshot(
        &self,
        request: Request<Envelope>,
    ) -> Result<Response<Self::FetchSnapshotStream>, Status> {
        let (_, question): (_, FetchRequest) = self.open(&request)?;
        self.inner.handle_fetch(question).await.map(Response::new)
    }
}

/// What the leader had committed with each request that waits for its result, and when the request came.
type Said = Mutex<VecDeque<(u64, Instant)>>;

/// Requests whose marks are kept; beyond, the oldest are forgotten and the state counts as older than it is.
const MAX_SAID: usize = 4096;

fn heard(rpc: &AppendEntriesRequest<TypeConfig>) -> (u64, Instant) {
    let committed = rpc.leader_commit.map_or(0, |it| it.index);
    (committed, Instant::now())
}

/// The entries of an append stream. Ends with the first message that cannot be read; the leader begins anew.
fn requests(
    first: Envelope,
    rest: Streaming<Envelope>,
    said: Arc<Said>,
) -> impl Stream<Item = AppendEntriesRequest<TypeConfig>> + Send + 'static {
    tokio_stream::once(Ok(first))
        .chain(rest)
        .map_while(move |message| {
            let request = message.and_then(|message| payload(&message));
            let request = request
                .inspect_err(|status| {
                    tracing::debug!(reason = status.message(), "an append stream ended");
                })
                .ok()?;
            if let Ok(mut said) = said.lock() {
                said.push_back(heard(&request));
                if said.len() > MAX_SAID {
                    said.pop_front();
                }
            }
            Some(request)
        })
}

fn payload<T: DeserializeOwned>(envelope: &Envelope) -> Result<T, Status> {
    codec::decode(&envelope.payload).map_err(|error| Status::invalid_argument(error.to_string()))
}

fn internal(error: impl fmt::Display) -> Status {
    Status::internal(error.to_string())
}
