//! Windows of statistics: each sample is added to the node's and the fleet's minute at once; a tick folds closed minutes
//! into hours, drops what is too old, and makes room. All of it in steps that are bounded.

use super::{ClusterState, Transaction};
use crate::series::{
    AHEAD_MS, FOLD_AFTER_MS, HOUR_MS, MAX_LATE, MIN_STATISTICS_BYTES, MINUTE_MS, Packed, SeriesKey,
    SeriesMeta, Tier, WINDOW_OVERHEAD_BYTES, floor,
};
use crate::{Applied, FleetName, Millis, NodeId, RecordKey, Rejected, WindowKey};

/// From this level on samples go into these windows.
pub(super) const LEVEL: u32 = 5;
/// Minutes that one tick folds; an idle group ticks once a minute, so it catches up.
const FOLD_AT_ONCE: usize = 16;
/// Windows that one tick drops.
const DROP_AT_ONCE: usize = 5_000;
/// Windows of a group that comes from a level below 5, taken over by each entry that concerns statistics.
const TAKE_OVER_AT_ONCE: usize = 32;

impl Transaction<'_> {
    pub(super) fn add_packed(
        &mut self,
        fleet: &FleetName,
        node_id: NodeId,
        start_ms: Millis,
        sample: &Packed,
    ) {
        let minute = match start_ms > self.now + AHEAD_MS {
            true => floor(self.now, MINUTE_MS),
            false => floor(start_ms, MINUTE_MS),
        };
        if self.state.series_meta.folded_until_ms == 0 {
            let until = floor(self.now.saturating_sub(FOLD_AFTER_MS), MINUTE_MS);
            self.state.series_meta.folded_until_ms = until.max(1);
            self.changed(RecordKey::SeriesMeta);
        }
        let total = sample.total_only();
        if self.is_kept(Tier::NodeDetail, minute) {
            let key = SeriesKey::of_node(Tier::NodeDetail, minute, fleet, node_id);
            self.merge_series(key, sample);
        }
        if self.is_kept(Tier::FleetMinute, minute) {
            let key = SeriesKey::of_node(Tier::NodeMinute, minute, fleet, node_id);
            self.merge_series(key, &total);
            let key = SeriesKey::of_fleet(Tier::FleetMinute, minute, fleet);
            self.merge_series(key, sample);
        }
        if minute < self.state.series_meta.folded_until_ms {
            let hour = floor(minute, HOUR_MS);
            if self.is_kept(Tier::FleetHour, hour) {
                let key = SeriesKey::of_node(Tier::NodeHour, hour, fleet, node_id);
                self.merge_series(key, &total);
                let key = SeriesKey::of_fleet(Tier::FleetHour, hour, fleet);
                self.merge_series(key, sample);
            }
            self.merge_series(SeriesKey::of_fleet(Tier::FleetTotal, 0, fleet), sample);
            self.remember_late(minute);
        }
    }

    fn is_kept(&self, tier: Tier, start_ms: Millis) -> bool {
        let keep = tier.keep_ms();
        keep.is_none_or(|keep| start_ms >= self.now.saturating_sub(keep))
    }

    fn merge_series(&mut self, key: SeriesKey, more: &Packed) {
        let before = self.state.series.get(&key);
        let merged = match before {
            Some(before) => before.merge(more),
            None => more.clone(),
        };
        let was = before.map_or(0, |before| before.len() + WINDOW_OVERHEAD_BYTES);
        self.state.series_bytes += merged.len() + WINDOW_OVERHEAD_BYTES;
        self.state.series_bytes -= was;
        self.state.series.insert(key.clone(), merged);
        self.changed(RecordKey::Series(key));
    }

    fn drop_series(&mut self, key: SeriesKey) {
        if let Some(gone) = self.state.series.remove(&key) {
            self.state.series_bytes -= gone.len() + WINDOW_OVERHEAD_BYTES;
            // Every key is dropped once: nothing to look for among thousands.
            self.changed_once(RecordKey::Series(key));
        }
    }

    /// Whoever passes windows on has to do this one again.
    fn remember_late(&mut self, minute: Millis) {
        let (index, meta) = (self.index, &mut self.state.series_meta);
        if meta.exported_until_ms == 0 {
            return;
        }
        match meta
            .late
            .binary_search_by_key(&minute, |(minute, _)| *minute)
        {
            Ok(at) => meta.late[at].1 = index,
            Err(at) => meta.late.insert(at, (minute, index)),
        }
        if meta.late.len() > MAX_LATE {
            meta.late.remove(0);
        }
        self.changed(RecordKey::SeriesMeta);
    }

    pub(super) fn tick_series(&mut self) {
        self.take_over_windows();
        self.fold_minutes();
        self.forget_series();
        self.make_room();
    }

    fn fold_minutes(&mut self) {
        let until = floor(self.now.saturating_sub(FOLD_AFTER_MS), MINUTE_MS);
        for _ in 0..FOLD_AT_ONCE {
            let from = self.state.series_meta.folded_until_ms;
            if from == 0 || from >= until {
                return;
            }
            // Straight to the next minute that has data: a group may have been off for days.
            let first = SeriesKey::of_fleet(Tier::FleetMinute, from, &FleetName::lowest());
            let next = self.state.series.range(first..).next();
            let next = next.filter(|(key, _)| key.tier == Tier::FleetMinute);
            let minute = next.map_or(until, |(key, _)| key.start_ms);
            if minute >= until {
                self.state.series_meta.folded_until_ms = until;
                self.changed(RecordKey::SeriesMeta);
                return;
            }
            self.fold_minute(minute);
            self.state.series_meta.folded_until_ms = minute + MINUTE_MS;
            self.changed(RecordKey::SeriesMeta);
        }
    }

    fn fold_minute(&mut self, minute: Millis) {
        let hour = floor(minute, HOUR_MS);
        for (tier, into) in [
            (Tier::FleetMinute, Tier::FleetHour),
            (Tier::NodeMinute, Tier::NodeHour),
        ] {
            let windows: Vec<_> = self.state.windows_at(tier, minute).collect();
            for (key, window) in windows {
                if tier == Tier::FleetMinute {
                    let total = SeriesKey::of_fleet(Tier::FleetTotal, 0, &key.fleet);
                    self.merge_series(total, &window);
                }
                if self.is_kept(into, hour) {
                    let key = SeriesKey::of_node(into, hour, &key.fleet, key.node_id);
                    self.merge_series(key, &window);
                }
            }
        }
    }

    fn forget_series(&mut self) {
        let mut over = Vec::new();
        for tier in Tier::ALL {
            let Some(keep) = tier.keep_ms() else { continue };
            let first = SeriesKey::of_fleet(tier, 0, &FleetName::lowest());
            let oldest = self.now.saturating_sub(keep);
            let old = self.state.series.range(first..).map(|(key, _)| key);
            let old = old.take_while(|key| key.tier == tier && key.start_ms < oldest);
            over.extend(old.take(DROP_AT_ONCE - over.len()).cloned());
        }
        for key in over {
            self.drop_series(key);
        }
    }

    /// The oldest go first; of one age those that tell the most.
    fn make_room(&mut self) {
        let mut gone = 0;
        while self.state.series_bytes > self.state.series_meta.max_bytes && gone < DROP_AT_ONCE {
            let oldest = Tier::ALL.into_iter().filter(|it| it.keep_ms().is_some());
            let oldest = oldest.filter_map(|tier| self.state.oldest_of(tier));
            let Some(key) = oldest.min_by_key(|key| (key.start_ms, key.tier)) else {
                break;
            };
            self.drop_series(key);
            gone += 1;
        }
        if gone > 0 {
            self.state.series_meta.evicted += gone as u64;
            self.changed(RecordKey::SeriesMeta);
        }
    }

    /// Minutes that were stored at a lower level, some at a time; until then they are read where they are.
    pub(super) fn take_over_windows(&mut self) {
        if self.state.meta.feature_level < LEVEL || self.state.windows.is_empty() {
            return;
        }
        let some = self.state.windows.iter().rev().take(TAKE_OVER_AT_ONCE);
        let some: Vec<_> = some.map(|(key, it)| (key.clone(), it.clone())).collect();
        for (key, window) in some {
            let packed = Packed::of_window(&window);
            self.add_packed(&key.fleet, key.node_id, key.start_ms, &packed);
            self.state.windows.remove(&key);
            self.changed(RecordKey::Window(key));
        }
    }

    pub(super) fn apply_set_statistics_limit(
        &mut self,
        max_bytes: u64,
    ) -> Result<Applied, Rejected> {
        let max_bytes = max_bytes.max(MIN_STATISTICS_BYTES);
        if self.state.series_meta.max_bytes == max_bytes {
            return Ok(Applied::Unchanged);
        }
        self.state.series_meta.max_bytes = max_bytes;
        self.changed(RecordKey::SeriesMeta);
        Ok(Applied::Done)
    }

    /// What changed after the index that was looked at is to be passed on once more.
    pub(super) fn apply_report_export(
        &mut self,
        until_ms: Millis,
        late: &[Millis],
        seen: u64,
    ) -> Result<Applied, Rejected> {
        let meta = &mut self.state.series_meta;
        let before = meta.exported_until_ms;
        meta.exported_until_ms = before.max(until_ms);
        meta.late.retain(|(minute, index)| {
            let passed = late.contains(minute) || (before..until_ms).contains(minute);
            *index > seen || !passed
        });
        self.changed_quietly(RecordKey::SeriesMeta);
        Ok(Applied::Done)
    }

    /// Where a node's own figures can be read.
    pub(super) fn apply_set_metrics_address(
        &mut self,
        node_id: NodeId,
        address: &str,
    ) -> Result<Applied, Rejected> {
        if !self.state.nodes.contains_key(&node_id) {
            return Err(Rejected::NoSuchNode(node_id));
        }
        let before = self.state.metrics_addresses.insert(node_id, address.into());
        if before.as_deref() == Some(address) {
            return Ok(Applied::Unchanged);
        }
        self.changed(RecordKey::MetricsAddress(node_id));
        Ok(Applied::Done)
    }
}

impl ClusterState {
    /// How far windows have been folded, and how much room they have.
    pub fn series_meta(&self) -> &SeriesMeta {
        &self.series_meta
    }

    /// Where a node's own figures can be read, `host:port`.
    pub fn metrics_address(&self, node_id: NodeId) -> Option<&str> {
        let address = self.metrics_addresses.get(&node_id);
        address.map(String::as_str)
    }

    /// What the windows take, keys and maps included.
    pub fn series_bytes(&self) -> u64 {
        self.series_bytes
    }

    /// Number of windows.
    pub fn series_count(&self) -> usize {
        self.series.len()
    }

    /// One window.
    pub fn series(&self, key: &SeriesKey) -> Option<&Packed> {
        self.series.get(key)
    }

    /// All windows of a tier that start then.
    pub fn windows_at(
        &self,
        tier: Tier,
        start_ms: Millis,
    ) -> impl Iterator<Item = (SeriesKey, Packed)> {
        self.windows_from(tier, start_ms)
            .take_while(move |(key, _)| key.start_ms == start_ms)
            .map(|(key, window)| (key.clone(), window.clone()))
    }

    /// A tier's windows from then on, oldest first.
    pub fn windows_from(
        &self,
        tier: Tier,
        start_ms: Millis,
    ) -> impl Iterator<Item = (&SeriesKey, &Packed)> {
        let first = SeriesKey::of_fleet(tier, start_ms, &FleetName::lowest());
        let range = self.series.range(first..);
        range.take_while(move |(key, _)| key.tier == tier)
    }

    fn oldest_of(&self, tier: Tier) -> Option<SeriesKey> {
        let oldest = self.windows_from(tier, 0).next();
        oldest.map(|(key, _)| key.clone())
    }

    /// Minutes that a group below feature level 5 has stored.
    pub(crate) fn old_windows(
        &self,
        fleet: &FleetName,
        from: Millis,
        to: Millis,
    ) -> impl Iterator<Item = (&WindowKey, Packed)> {
        let all = self.windows(fleet, from, to);
        all.map(|(key, window)| (key, Packed::of_window(window)))
    }
}
