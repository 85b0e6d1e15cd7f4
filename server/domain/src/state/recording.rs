//! Statistics: each sample once, by stream and sequence.

use std::sync::Arc;

use super::Transaction;
use crate::{
    Applied, FleetName, NodeId, NodeRecord, Packed, RecentSample, RecordKey, Rejected, Sample,
    SampleStream, WindowKey,
};

/// Samples in short that are kept for the sparkline: five minutes.
const MAX_RECENT: usize = 30;

impl Transaction<'_> {
    pub(super) fn apply_record_statistics(
        &mut self,
        node_id: NodeId,
        stream: SampleStream,
        samples: &[Sample],
    ) -> Result<Applied, Rejected> {
        let node = self.state.nodes.get(&node_id);
        let node = node.ok_or(Rejected::NoSuchNode(node_id))?;
        let fleet = node.fleet.clone();
        let known = node.streams.iter().find(|(id, _)| *id == stream);
        let known_seq = known.map_or(0, |(_, seq)| *seq);
        let mut through_seq = known_seq;
        let mut reported = node.reported_until_ms;
        for sample in samples {
            if sample.seq <= through_seq {
                continue;
            }
            through_seq = sample.seq;
            reported = reported.max(Some(sample.end_ms));
            if self.state.meta.feature_level >= super::series::LEVEL {
                let packed = Packed::of_sample(sample);
                self.add_packed(&fleet, node_id, sample.start_ms, &packed);
            } else {
                self.add_to_window(&fleet, node_id, sample);
            }
            self.remember_recent(node_id, sample.summary());
        }
        if through_seq > known_seq {
            if let Some(mut node) = self.state.nodes.get_mut(&node_id) {
                node.reported_until_ms = reported;
                remember_stream(&mut node, stream, through_seq);
            }
            // Whoever waits for nodes is not woken by each batch.
            self.changed_quietly(RecordKey::Node(node_id));
        }
        self.take_over_windows();
        Ok(Applied::StatisticsRecorded {
            stream,
            through_seq,
        })
    }

    /// As managers below feature level 5 do it.
    fn add_to_window(&mut self, fleet: &FleetName, node_id: NodeId, sample: &Sample) {
        let key = WindowKey {
            fleet: fleet.clone(),
            start_ms: sample.window_start_ms(),
            node_id,
        };
        let window = self.state.windows.entry(key.clone()).or_default();
        Arc::make_mut(window).add(sample);
        self.changed(RecordKey::Window(key));
    }

    fn remember_recent(&mut self, node_id: NodeId, sample: RecentSample) {
        let recent = self.state.recent.entry(node_id).or_default();
        // A resent older run must not push the newest figures out.
        if recent
            .back()
            .is_some_and(|last| last.end_ms > sample.start_ms)
        {
            return;
        }
        recent.push_back(sample);
        while recent.len() > MAX_RECENT {
            recent.pop_front();
        }
        self.changed(RecordKey::Recent(node_id));
    }
}

fn remember_stream(node: &mut NodeRecord, stream: SampleStream, through_seq: u64) {
    match node.streams.iter().position(|(id, _)| *id == stream) {
        Some(at) => node.streams[at].1 = through_seq,
        None => node.streams.push_back((stream, through_seq)),
    }
    while node.streams.len() > NodeRecord::MAX_STREAMS {
        node.streams.pop_front();
    }
}
