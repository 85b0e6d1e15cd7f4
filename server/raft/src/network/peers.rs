use std::{collections::HashMap, future::Future, sync::Arc, time::Duration};

use krakend_proto::manager::{Envelope, Reply, manager_peer_client::ManagerPeerClient};
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::Mutex;
use tonic::{Response, Status, Streaming};
use uuid::Uuid;

use super::{Dialer, Local, MAX_MESSAGE_BYTES, Run, Transport};
use crate::{
    rt::{self, Instant},
    {codec, types::MemberId},
};

/// Connections that are kept; a group has few members.
const KEEP: usize = 64;

/// Standing connections for what managers ask each other besides Raft.
#[derive(Debug)]
pub(crate) struct Peers {
    dialer: Dialer,
    local: Arc<Local>,
    connected: Mutex<HashMap<String, Transport>>,
}

/// A question that got no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    /// The question never left.
    #[error("{address} cannot be reached: {reason}")]
    NotSent { address: String, reason: String },
    /// The other side says no, before it did anything.
    #[error("{address} refuses: {reason}")]
    Refused { address: String, reason: String },
    /// It may have been acted upon.
    #[error("{address} did not answer: {reason}")]
    Unknown { address: String, reason: String },
}

impl Peers {
    pub(crate) fn new(dialer: Dialer, local: Arc<Local>) -> Self {
        Self {
            dialer,
            local,
            connected: Mutex::default(),
        }
    }

    /// Asks the manager at `address`; `to` says who has to be there, where that is known.
    pub(crate) async fn ask<Q, A, F, Fut>(
        &self,
        address: &str,
        to: Option<(MemberId, Uuid)>,
        question: &Q,
        within: Duration,
        call: F,
    ) -> Result<A, AskError>
    where
        Q: Serialize,
        A: DeserializeOwned,
        F: FnOnce(ManagerPeerClient<Transport>, Envelope) -> Fut,
        Fut: Future<Output = Result<Response<Reply>, Status>>,
    {
        let until = Instant::now() + within;
        let unknown = |reason: String| AskError::Unknown {
            address: address.into(),
            reason,
        };
        let request = Envelope {
            handshake: Some(self.local.handshake(to)),
            payload: codec::encode(question)
                .map_err(|error| AskError::Refused {
                    address: address.into(),
                    reason: error.to_string(),
                })?
                .into(),
        };
        let channel = self.channel(address, within).await?;
        let client = ManagerPeerClient::new(channel)
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        let left = until.saturating_duration_since(Instant::now());
        let asked = self.local.clocks().ask();
        match rt::timeout(left, call(client, request)).await {
            Ok(Ok(reply)) => {
                let reply = reply.get_ref();
                if let Some((id, _)) = to {
                    self.local.answered(asked, id, reply);
                }
                codec::decode(&reply.payload).map_err(|error| unknown(error.to_string()))
            }
            Ok(Err(status)) => {
                let refused = matches!(
                    status.code(),
                    tonic::Code::FailedPrecondition
                        | tonic::Code::PermissionDenied
                        | tonic::Code::Unauthenticated
                        | tonic::Code::InvalidArgument
                );
                if refused {
                    return Err(AskError::Refused {
                        address: address.into(),
                        reason: status.message().into(),
                    });
                }
                self.connected.lock().await.remove(address);
                // A kept connection had broken and was dialled anew in vain: the question has not left.
                if is_connect_error(&status) {
                    return Err(AskError::NotSent {
                        address: address.into(),
                        reason: innermost(&status),
                    });
                }
                Err(unknown(status.message().into()))
            }
            Err(_) => Err(unknown(format!("no answer in {within:?}"))),
        }
    }

    /// A connection of its own to a member, open until its process ends. `None`: it was not opened.
    pub(crate) async fn attend(
        dialer: &Dialer,
        local: &Local,
        address: &str,
        to: (MemberId, Uuid),
    ) -> Option<(Run, Streaming<Reply>)> {
        let request = Envelope {
            handshake: Some(local.handshake(Some(to))),
            payload: codec::encode(&()).ok()?.into(),
        };
        let channel = dialer.connect(address).await.ok()?;
        let mut client = ManagerPeerClient::new(channel);
        let mut stream = client.attend(request).await.ok()?.into_inner();
        let first = stream.message().await.ok()??;
        Some((codec::decode(&first.payload).ok()?, stream))
    }

    pub(crate) fn dialer(&self) -> Dialer {
        self.dialer.clone()
    }

    async fn channel(&self, address: &str, within: Duration) -> Result<Transport, AskError> {
        if let Some(channel) = self.connected.lock().await.get(address) {
            return Ok(channel.clone());
        }
        let not_sent = |reason: String| AskError::NotSent {
            address: address.into(),
            reason,
        };
        // Dialled before the question is sent, so that a peer that is down is no indeterminate answer.
        let channel = rt::timeout(within, self.dialer.connect(address))
            .await
            .map_err(|_| not_sent(format!("no connection in {within:?}")))?
            .map_err(|error| not_sent(innermost(error.as_ref())))?;
        let mut connected = self.connected.lock().await;
        if connected.len() >= KEEP {
            connected.clear();
        }
        connected.insert(address.into(), channel.clone());
        Ok(channel)
    }
}

fn is_connect_error(status: &Status) -> bool {
    let mut cause: Option<&dyn std::error::Error> = Some(status);
    while let Some(error) = cause {
        if error.is::<tonic::ConnectError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// The transport's own text says "transport error"; its cause says which.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
