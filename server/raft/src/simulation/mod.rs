//! Managers in one process, in a world where a seed decides everything: when what runs, how long a message takes, who
//! loses power and what was on its disk then. The same seed gives the same run, event by event.
//!
//! Real are Raft, our stores' and our network's code, the state and all that [`crate::group`] does. Simulated are time,
//! tasks, chance ([`world`]), the way between two managers below gRPC ([`network`]) and the disk below the log
//! ([`disk`]). Nothing here knows tokio's runtime: what would escape into it panics.

mod checks;
mod disk;
mod keeper;
mod log;
mod machine;
mod nemesis;
mod network;
mod random;
mod run;
#[cfg(test)]
mod tests;
mod trace;
mod workload;
mod world;

use std::future::Future;

use tokio::sync::oneshot;

pub(crate) use checks::{applied, applying};
pub(crate) use log::LogStore;
pub(crate) use network::{Transport, dial};
pub(crate) use random::Random;
pub(crate) use trace::Trace;
pub(crate) use world::{Sleep, is_running, world};

/// Begins a task of the manager that is running.
pub(crate) fn spawn<F>(future: F) -> oneshot::Receiver<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let (tell, told) = oneshot::channel();
    let world = world();
    world.spawn(world.here(), async move {
        drop(tell.send(future.await));
    });
    told
}
