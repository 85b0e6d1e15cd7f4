//! Clients: they read and publish through any manager, and tell what came of it.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use krakend_domain::{Applied, Command, Digest, FleetName, Publication, Rejected};
use tokio::sync::oneshot;

use super::{
    checks::{Acknowledged, newest},
    machine::Machine,
    world::{World, world},
};
use crate::{
    error::{ProposeError, ReadError},
    group::{Proposed, StateView},
    rt::{self, Instant},
};

const WITHIN: Duration = Duration::from_millis(2_500);

/// Runs until it is told to stop.
pub(super) struct Client {
    pub machines: Arc<Vec<Machine>>,
    pub stop: Arc<std::sync::atomic::AtomicBool>,
    /// Its operations are numbered from here.
    pub first: u64,
}

impl Client {
    pub(super) async fn run(self) {
        let world = world();
        let mut operation = self.first;
        // The newest version that it knows of.
        let mut parent = None;
        while !self.stop.load(std::sync::atomic::Ordering::Relaxed) {
            let pause = world.random(|random| random.millis(5..140));
            world.sleep(pause).await;
            let machine = self.any(&world);
            if world.random(|random| random.percent(40)) {
                if let Some(newest) = read(&world, &machine).await {
                    parent = newest;
                }
                continue;
            }
            operation += 1;
            let keyed = world.random(|random| random.percent(50));
            let asked = Asked {
                operation,
                parent,
                keyed,
            };
            parent = self.publish(&world, asked, machine).await.unwrap_or(parent);
        }
    }

    fn any(&self, world: &World) -> Machine {
        world.random(|random| random.one_of(&self.machines).clone())
    }

    /// Returns the newest version where it has learnt that.
    async fn publish(
        &self,
        world: &World,
        asked: Asked,
        machine: Machine,
    ) -> Option<Option<Digest>> {
        let since = world.checks().known();
        world.checks().will_follow(asked.operation, asked.parent);
        let mut machine = machine;
        for _ in 0..4 {
            match propose(world, &machine, asked.command()).await {
                Told::Done(index, Applied::Published { number, digest, .. }) => {
                    let done = Acknowledged { number, index };
                    world.checks().was_done(asked.operation, since, done);
                    return Some(Some(digest));
                }
                Told::Done(_, other) => {
                    world.fail(format!("writes: {} is answered {other:?}", asked.operation));
                    return None;
                }
                Told::Refused(current) => {
                    world.checks().was_refused(asked.operation);
                    return current;
                }
                Told::Unknown if asked.keyed => {
                    world.sleep(Duration::from_millis(50)).await;
                    machine = self.any(world);
                }
                Told::Unknown => return None,
                Told::NothingDone if asked.keyed => return None,
                Told::NothingDone => {
                    world.checks().was_refused(asked.operation);
                    return None;
                }
            }
        }
        None
    }
}

#[derive(Clone, Copy)]
struct Asked {
    operation: u64,
    parent: Option<Digest>,
    keyed: bool,
}

impl Asked {
    fn digest(&self) -> Digest {
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&self.operation.to_be_bytes());
        Digest(digest)
    }

    fn command(&self) -> Command {
        let publish = Command::Publish(Publication {
            fleet: FleetName::default_fleet(),
            parent: self.parent,
            digest: self.digest(),
            body: Bytes::from_static(b"{}"),
            size_bytes: 2,
            author: self.operation.to_string(),
            message: String::new(),
        });
        match self.keyed {
            false => publish,
            true => Command::Idempotent {
                key: self.operation.to_string(),
                request: self.digest(),
                command: Box::new(publish),
            },
        }
    }
}

/// What a client knows of its write.
enum Told {
    Done(u64, Applied),
    /// Never done; the newest version where the answer says it.
    Refused(Option<Option<Digest>>),
    NothingDone,
    Unknown,
}

async fn propose(world: &World, machine: &Machine, command: Command) -> Told {
    let Some((host, group)) = machine.group() else {
        return Told::NothingDone;
    };
    let (tell, told) = oneshot::channel();
    world.spawn(host, async move {
        let done = group.propose(command, Instant::now() + WITHIN).await;
        drop(tell.send(done));
    });
    // A manager that died, or stands still, leaves its client without an answer.
    let answer: Result<Proposed, ProposeError> = match rt::timeout(2 * WITHIN, told).await {
        Ok(Ok(answer)) => answer,
        _ => return Told::Unknown,
    };
    match answer {
        Ok(done) => match done.applied {
            Applied::Replayed { index, result } => match *result {
                Ok(applied) => Told::Done(index, applied),
                Err(rejected) => Told::Refused(current(&rejected)),
            },
            applied => Told::Done(done.index, applied),
        },
        Err(ProposeError::Rejected { rejected, .. }) => Told::Refused(current(&rejected)),
        Err(error) if error.is_indeterminate() => Told::Unknown,
        Err(_) => Told::NothingDone,
    }
}

fn current(rejected: &Rejected) -> Option<Option<Digest>> {
    match rejected {
        Rejected::StaleParent { current } => Some(current.map(|(_, digest)| digest)),
        _ => None,
    }
}

/// The newest version, where the read was answered.
pub(super) async fn read(world: &World, machine: &Machine) -> Option<Option<Digest>> {
    let (host, group) = machine.group()?;
    let since = world.checks().known();
    let (tell, told) = oneshot::channel();
    world.spawn(host, async move {
        let view = group.linearizable(Instant::now() + WITHIN).await;
        drop(tell.send(view));
    });
    let answer: Result<StateView, ReadError> = rt::timeout(2 * WITHIN, told).await.ok()?.ok()?;
    let view = answer.ok()?;
    world.checks().was_read(since, &view);
    Some(newest(&view.state).map(|(_, digest)| digest))
}
