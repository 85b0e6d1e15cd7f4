use serde::{Deserialize, Serialize};

/// What a manager does in the Raft group right now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ManagerRole {
    /// Leads the group.
    Leader,
    /// Votes and follows.
    Follower,
    /// Receives the log, has no vote yet.
    Learner,
    /// Has not answered the leader within the election time-out.
    Unreachable,
}

/// One manager as the answering manager knows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manager {
    /// UUID, given at the first start, not derived from the address.
    pub id: String,
    /// Name for people; the host's name unless set.
    pub name: String,
    pub role: ManagerRole,
    pub voter: bool,
    /// `host:port` of the manager service (7001/tcp).
    pub raft_address: String,
    /// `host:port` of the node service (7000/tcp).
    pub node_address: String,
    /// `host:port` of the HTTP API (9897/tcp).
    pub http_address: String,
    /// Version of the program.
    pub version: String,
    /// Highest log index known to be on this manager's disk; absent where the answering manager does not lead and asks of another.
    pub matched_index: Option<u64>,
    /// Entries between the leader's last index and `matched_index`.
    pub behind: Option<u64>,
}

/// Answer of `POST /v1/managers`: what one new manager needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManagerInvitation {
    pub id: String,
    /// For the new manager's `join_token_file`; good for one manager.
    pub token: String,
    /// For its setting `join`: `host:port` of the managers' node ports.
    pub join: Vec<String>,
    pub expires_at: String,
}

/// Answer of `POST /v1/leadership`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeadershipTransfer {
    pub leader_id: String,
    pub leader_name: String,
}

/// Answer of `GET /v1/managers`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ManagerList {
    pub managers: Vec<Manager>,
}

/// Something that wants an operator. Stays until its cause is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// Stable, kebab-case.
    pub kind: String,
    pub message: String,
    pub since: String,
}

/// Answer of `GET /v1/status`: the group in one screen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupStatus {
    /// UUID of the Raft group.
    pub group_id: String,
    /// The manager that answers.
    pub answered_by: String,
    pub answered_by_name: String,
    /// Id of the leader; absent while there is none.
    pub leader_id: Option<String>,
    pub leader_name: Option<String>,
    pub term: u64,
    /// Index of the newest entry that the answering manager has applied.
    pub applied_index: u64,
    pub committed_index: u64,
    pub voters: u32,
    pub reachable_voters: u32,
    /// How many more managers may be lost while writes go on.
    pub can_lose: u32,
    pub epoch: u64,
    /// Newest generation of any fleet.
    pub generation: u64,
    pub nodes_active: u32,
    pub nodes_unreachable: u32,
    pub nodes_down: u32,
    pub nodes_total: u32,
    pub alarms: Vec<Alarm>,
    /// The manager's clock when it answered.
    pub now: String,
    pub version: String,
}
