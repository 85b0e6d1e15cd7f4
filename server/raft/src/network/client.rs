use std::{future::Future, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{FutureExt, Stream, StreamExt, stream::BoxStream};
use krakend_proto::manager::{Envelope, Handshake, Reply, manager_peer_client::ManagerPeerClient};
use krakend_storage::SnapshotFile;
use openraft::{
    OptionalSend, RaftNetworkV2,
    base::BoxFuture,
    errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable},
    network::RPCOption,
    raft::{
        AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult,
        TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
    },
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::{io::AsyncReadExt, sync::Semaphore};
use tonic::{Code, Response, Status};

use super::{Local, MAX_MESSAGE_BYTES, Transport, message::SnapshotHead};
use crate::{
    codec, rt,
    types::{Member, MemberId, Snapshot, TypeConfig, Vote},
};

/// Bytes of a snapshot in one message.
pub(crate) const PIECE_BYTES: usize = 256 * 1024;

/// Messages of an append stream that wait for their answers. Raft makes each when it is asked for, with everything that
/// has come meanwhile: few of them carry much, and a commit travels with the next entries.
const WINDOW: usize = 2;

type RpcError = RPCError<TypeConfig>;

/// One of Raft's connections to another manager. Making it does not dial.
pub(crate) struct PeerConnection {
    target: MemberId,
    member: Member,
    local: Arc<Local>,
    /// Absent when the address or the TLS material cannot be used.
    client: Result<ManagerPeerClient<Transport>, String>,
}

impl PeerConnection {
    pub(super) fn new(
        target: MemberId,
        member: Member,
        local: Arc<Local>,
        channel: Result<Transport, String>,
    ) -> Self {
        let client = channel.map(|channel| {
            ManagerPeerClient::new(channel)
                .max_decoding_message_size(MAX_MESSAGE_BYTES)
                .max_encoding_message_size(MAX_MESSAGE_BYTES)
        });
        Self {
            target,
            member,
            local,
            client,
        }
    }

    fn client(&self) -> Result<ManagerPeerClient<Transport>, RpcError> {
        self.client
            .clone()
            .map_err(|reason| unreachable(&self.target, &reason))
    }

    fn envelope<T: Serialize>(&self, message: &T) -> Result<Envelope, RpcError> {
        let to = Some((self.target, self.member.store_id));
        envelope(self.local.handshake(to), message).map_err(|error| network(&error))
    }

    async fn call<T, F, Fut>(
        &self,
        request: Envelope,
        within: Duration,
        call: F,
    ) -> Result<T, RpcError>
    where
        T: DeserializeOwned,
        F: FnOnce(ManagerPeerClient<Transport>, Envelope) -> Fut,
        Fut: Future<Output = Result<Response<Reply>, Status>>,
    {
        let asked = self.local.clocks().ask();
        let reply = rt::timeout(within, call(self.client()?, request))
            .await
            .map_err(|_| network_text(format!("manager {}: no answer in {within:?}", self.target)))?
            .map_err(|status| failed(&self.target, &status))?;
        let reply = reply.get_ref();
        self.local.answered(asked, self.target, reply);
        codec::decode(&reply.payload).map_err(|error| network(&error))
    }

    async fn send_snapshot(
        &self,
        vote: Vote,
        snapshot: Snapshot,
    ) -> Result<SnapshotResponse<TypeConfig>, RpcError> {
        let head = self.envelope(&SnapshotHead {
            vote,
            meta: snapshot.meta,
        })?;
        let pieces = pieces(&snapshot.snapshot)
            .await
            .map_err(|error| network(&error))?;
        let messages = futures::stream::iter([head]).chain(pieces);
        let reply = self
            .client()?
            .install_snapshot(messages)
            .await
            .map_err(|status| failed(&self.target, &status))?;
        codec::decode(&reply.get_ref().payload).map_err(|error| network(&error))
    }
}

impl RaftNetworkV2<TypeConfig> for PeerConnection {
    type SnapshotData = SnapshotFile;

    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, RpcError> {
        let request = self.envelope(&rpc)?;
        self.call(
            request,
            option.hard_ttl(),
            |mut client, request| async move { client.append(request).await },
        )
        .await
    }

    fn stream_append<'s, S>(
        &'s mut self,
        mut input: S,
        option: RPCOption,
    ) -> BoxFuture<
        's,
        Result<BoxStream<'s, Result<StreamAppendResult<TypeConfig>, RpcError>>, RpcError>,
    >
    where
        S: Stream<Item = AppendEntriesRequest<TypeConfig>> + OptionalSend + Unpin + 'static,
    {
        Box::pin(async move {
            let Some(first) = input.next().await else {
                return Ok(futures::stream::empty().boxed());
            };
            let second = input.next().now_or_never();
            if matches!(second, Some(None)) {
                // A heartbeat, alone: a call is less work on both sides than a stream.
                let (prev, last) = (first.prev_log_id, first.entries.last());
                let last = last.map(|entry| entry.log_id).or(prev);
                let answer = self.append_entries(first, option).await?;
                let result = Ok(answer.into_stream_result(prev, last));
                return Ok(futures::stream::iter([result]).boxed());
            }
            let ahead = futures::stream::iter([first].into_iter().chain(second.flatten()));
            let places = Arc::new(Semaphore::new(WINDOW));
            let input = futures::stream::unfold(
                (ahead.chain(input), places.clone()),
                async |(mut input, places)| {
                    // Given back with the answer. It is never closed.
                    places.acquire().await.ok()?.forget();
                    let next = input.next().await?;
                    Some((next, (input, places)))
                },
            );
            let mut handshake = Some(
                self.local
                    .handshake(Some((self.target, self.member.store_id))),
            );
            // A message that does not encode ends the stream; Raft then sends its batch again.
            let messages = input
                .map(move |rpc| {
                    codec::encode(&rpc).map(|payload| Envelope {
                        handshake: handshake.take(),
                        payload: payload.into(),
                    })
                })
                .take_while(|message| futures::future::ready(message.is_ok()))
                .filter_map(|message| futures::future::ready(message.ok()));
            let target = self.target;
            // The first answer shows the other's clock. Later ones belong to later messages, so they show nothing.
            let (local, mut asked) = (self.local.clone(), Some(self.local.clocks().ask()));
            let replies = self
                .client()?
                .append_stream(messages)
                .await
                .map_err(|status| failed(&target, &status))?
                .into_inner();
            let results = replies.map(move |reply| match reply {
                Ok(reply) => {
                    places.add_permits(1);
                    if let Some(asked) = asked.take() {
                        local.answered(asked, target, &reply);
                    }
                    codec::decode::<StreamAppendResult<TypeConfig>>(&reply.payload)
                        .map_err(|error| network(&error))
                }
                Err(status) => Err(failed(&target, &status)),
            });
            Ok(results.boxed())
        })
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RpcError> {
        let request = self.envelope(&rpc)?;
        self.call(
            request,
            option.hard_ttl(),
            |mut client, request| async move { client.vote(request).await },
        )
        .await
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RpcError> {
        let request = self.envelope(&rpc)?;
        self.call(
            request,
            option.hard_ttl(),
            |mut client, request| async move { client.pre_vote(request).await },
        )
        .await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let within = option.hard_ttl();
        let send = rt::timeout(within, self.send_snapshot(vote, snapshot));
        tokio::select! {
            biased;
            sent = send => match sent {
                Ok(sent) => Ok(sent?),
                Err(_) => Err(network_text(format!("manager {}: the snapshot took more than {within:?}", self.target)).into()),
            },
            closed = cancel => Err(StreamingError::Closed(closed)),
        }
    }

    async fn transfer_leader(
        &mut self,
        req: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, RpcError> {
        let request = self.envelope(&req)?;
        self.call(
            request,
            option.hard_ttl(),
            |mut client, request| async move { client.transfer_leader(request).await },
        )
        .await
    }
}

/// One message with who speaks to whom.
pub(crate) fn envelope<T: Serialize>(
    handshake: Handshake,
    message: &T,
) -> std::io::Result<Envelope> {
    Ok(Envelope {
        handshake: Some(handshake),
        payload: codec::encode(message)?.into(),
    })
}

/// The file, piece by piece. A read error ends it early, which the receiver's checksum notices.
async fn pieces(file: &SnapshotFile) -> std::io::Result<impl Stream<Item = Envelope> + use<>> {
    let file = rt::File::open(&file.path).await?;
    Ok(futures::stream::unfold(file, |mut file| async move {
        let mut piece = Vec::with_capacity(PIECE_BYTES);
        let read = (&mut file)
            .take(PIECE_BYTES as u64)
            .read_to_end(&mut piece)
            .await;
        match read {
            Ok(bytes) if bytes > 0 => Some((
                Envelope {
                    handshake: None,
                    payload: Bytes::from(piece),
                },
                file,
            )),
            _ => None,
        }
    }))
}

fn network(error: &std::io::Error) -> RpcError {
    network_text(error.to_string())
}

fn network_text(reason: String) -> RpcError {
    RPCError::Network(NetworkError::from_string(reason))
}

fn unreachable(target: &MemberId, reason: &str) -> RpcError {
    RPCError::Unreachable(Unreachable::from_string(format!(
        "manager {target}: {reason}"
    )))
}

/// A peer that refuses us, or is not there, is tried less often.
fn failed(target: &MemberId, status: &Status) -> RpcError {
    let reason = format!("manager {target}: {}", status.message());
    match status.code() {
        Code::Unavailable => unreachable(target, status.message()),
        Code::FailedPrecondition | Code::PermissionDenied | Code::Unauthenticated => {
            tracing::warn!(reason, "another manager refuses us");
            unreachable(target, status.message())
        }
        _ => network_text(reason),
    }
}
