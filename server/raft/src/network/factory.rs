use std::sync::Arc;

use openraft::RaftNetworkFactory;

use super::{Dialer, Local, client::PeerConnection};
use crate::types::{Member, MemberId, TypeConfig};

/// Gives Raft its connections: entries, heartbeats and snapshots each get their own, so none waits behind another.
#[derive(Clone, Debug)]
pub(crate) struct NetworkFactory {
    dialer: Dialer,
    local: Arc<Local>,
}

impl NetworkFactory {
    pub(crate) fn new(dialer: Dialer, local: Arc<Local>) -> Self {
        Self { dialer, local }
    }
}

impl RaftNetworkFactory<TypeConfig> for NetworkFactory {
    type Network = PeerConnection;

    async fn new_client(&mut self, target: MemberId, node: &Member) -> PeerConnection {
        let (book, member) = (self.local.book.clone(), node.clone());
        let channel = self
            .dialer
            .lazy(move || book.raft_address(target, &member))
            .map_err(|error| format!("address {:?}: {error}", node.node.raft_address));
        PeerConnection::new(target, node.clone(), self.local.clone(), channel)
    }
}
