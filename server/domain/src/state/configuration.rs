//! Configuration versions and what nodes did with them.

use std::sync::Arc;

use imbl::OrdMap;

use super::{ClusterState, Transaction};
use crate::{
    Applied, AppliedVersion, Command, EventKind, FleetName, Publication, RecordKey, Refusal,
    Rejected, VersionRecord,
};

impl ClusterState {
    pub(super) fn add_version(
        &mut self,
        fleet: &FleetName,
        number: u64,
        version: Arc<VersionRecord>,
    ) {
        match self.versions.get_mut(fleet) {
            Some(versions) => versions.insert(number, version),
            None => {
                let versions = OrdMap::unit(number, version);
                self.versions.insert(fleet.clone(), versions);
                None
            }
        };
    }
}

impl Transaction<'_> {
    pub(super) fn apply_publish(&mut self, asked: &Publication) -> Result<Applied, Rejected> {
        let Some(mut fleet) = self.state.fleets.get(&asked.fleet).cloned() else {
            return Err(Rejected::NoSuchFleet(asked.fleet.clone()));
        };
        let current = self.state.newest_version(&asked.fleet);
        let current = current.map(|version| (version.number, version.digest));
        if current.map(|(_, digest)| digest) != asked.parent {
            return Err(Rejected::StaleParent { current });
        }
        let number = fleet.newest + 1;
        self.state.meta.generation += 1;
        let generation = self.state.meta.generation;
        fleet.newest = number;
        fleet.generation = generation;
        let version = VersionRecord {
            fleet: asked.fleet.clone(),
            number,
            digest: asked.digest,
            parent: asked.parent,
            generation,
            author: asked.author.clone(),
            message: asked.message.clone(),
            published_ms: self.now,
            size_bytes: asked.size_bytes,
            body: asked.body.clone(),
        };
        self.state
            .add_version(&asked.fleet, number, Arc::new(version));
        self.state.fleets.insert(asked.fleet.clone(), fleet);
        self.changed(RecordKey::Fleet(asked.fleet.clone()));
        self.changed(RecordKey::Version(asked.fleet.clone(), number));
        self.event(
            EventKind::VersionPublished,
            format!("{} published v{number}", asked.author),
        )
        .fleet(&asked.fleet)
        .version(number);
        Ok(Applied::Published {
            number,
            digest: asked.digest,
            generation,
        })
    }

    pub(super) fn apply_acknowledge_version(
        &mut self,
        command: &Command,
    ) -> Result<Applied, Rejected> {
        let Command::AcknowledgeVersion {
            node_id,
            epoch,
            generation,
            number,
            digest,
            rendered,
            refusal,
        } = command
        else {
            return Ok(Applied::Unchanged);
        };
        let now = self.now;
        let mut node = self.node_mut(*node_id)?;
        let order = (*epoch, *generation);
        let last = node.applied.as_ref();
        if last.is_some_and(|applied| order < (applied.epoch, applied.generation)) {
            return Err(Rejected::StaleAcknowledgement {
                epoch: *epoch,
                generation: *generation,
            });
        }
        if let Some(text) = refusal {
            let known = node.refusal.as_ref();
            if known.is_some_and(|refusal| refusal.number == *number && refusal.text == *text) {
                return Ok(Applied::Unchanged);
            }
            node.refusal = Some(Refusal {
                number: *number,
                text: text.clone(),
                at_ms: now,
            });
            let node = node.done();
            self.event(
                EventKind::VersionRefused,
                format!("{} refused v{number}", node.name),
            )
            .node(&node)
            .version(*number);
            return Ok(Applied::Done);
        }
        let same = last.is_some_and(|applied| {
            (applied.epoch, applied.generation) == order && applied.rendered == *rendered
        });
        if same {
            return Ok(Applied::Unchanged);
        }
        node.refusal = None;
        node.applied = Some(AppliedVersion {
            epoch: *epoch,
            generation: *generation,
            number: *number,
            digest: *digest,
            rendered: *rendered,
            at_ms: now,
        });
        let node = node.done();
        self.event(
            EventKind::VersionApplied,
            format!("{} applied v{number}", node.name),
        )
        .node(&node)
        .version(*number);
        Ok(Applied::Done)
    }
}
