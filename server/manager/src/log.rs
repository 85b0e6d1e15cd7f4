//! This program's log lines: `CM  2017/02/13 - 18:18:23.290 ▶ INFO message`.

pub use krakend_log::LogFormat;
use krakend_log::Program;

const MANAGER: Program = Program {
    prefix: "CM ",
    name: "krakend-cluster-manager",
    directives: own,
};

/// Libraries speak of their inner life at `info`; a plain level means this program's own.
fn own(level: &str) -> String {
    format!(
        "warn,openraft=error,raft_log=warn,krakend={level},krakend_cluster_manager={level},krakend_raft={level},krakend_storage={level},krakend_gossip={level}"
    )
}

/// Sends logs to standard error. `level` is a level or a list of `target=level`.
pub fn init(format: LogFormat, level: &str) {
    krakend_log::init(MANAGER, format, level);
}
