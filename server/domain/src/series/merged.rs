use super::bins::{Bins, key_above, value};
use super::packed::{Cells, read_body};
use crate::EndpointSample;

/// Sums of one series over many windows, laid out for adding.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Merged {
    /// In order of the first: status codes and bytes, or what a backend's calls are counted by.
    pub counters: Vec<(u64, u64)>,
    /// Of all latencies, in microseconds.
    pub sum_us: u64,
    pub(super) zeros: u64,
    /// Key of the first bin.
    base: i64,
    dense: Vec<u64>,
}

/// Room that is made beside a new bin.
const SPARE: i64 = 32;

impl Merged {
    /// Adds to a counter.
    pub fn count(&mut self, id: u64, count: u64) {
        match self.counters.binary_search_by_key(&id, |(id, _)| *id) {
            Ok(at) => self.counters[at].1 += count,
            Err(at) => self.counters.insert(at, (id, count)),
        }
    }

    /// Value of a counter.
    pub fn counter(&self, id: u64) -> u64 {
        let found = self.counters.binary_search_by_key(&id, |(id, _)| *id);
        found.map_or(0, |at| self.counters[at].1)
    }

    /// Requests of all status codes.
    pub fn requests(&self) -> u64 {
        self.statuses().map(|(_, count)| count).sum()
    }

    /// Requests by status code.
    pub fn statuses(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let bytes = u64::from(EndpointSample::BYTES_SENT);
        let all = self.counters.iter().copied();
        all.take_while(move |(code, _)| *code < bytes)
    }

    /// Bytes of answers' bodies.
    pub fn bytes_sent(&self) -> u64 {
        self.counter(u64::from(EndpointSample::BYTES_SENT))
    }

    /// Requests whose status is of this class (2 for 200 to 299).
    pub fn class(&self, class: u64) -> u64 {
        let of_class = self.statuses().filter(|(code, _)| code / 100 == class);
        of_class.map(|(_, count)| count).sum()
    }

    /// Adds a window's series.
    pub fn add(&mut self, cells: &Cells<'_>) {
        let body = read_body(cells.body);
        for (id, count) in body.counters {
            self.count(id, count);
        }
        self.sum_us = self.sum_us.saturating_add(body.sum_us);
        self.zeros += body.zeros;
        for (key, count) in body.bins {
            self.bin(key, count);
        }
    }

    pub fn merge(&mut self, other: &Self) {
        for (id, count) in &other.counters {
            self.count(*id, *count);
        }
        self.sum_us = self.sum_us.saturating_add(other.sum_us);
        self.zeros += other.zeros;
        for (at, count) in other.dense.iter().enumerate() {
            if *count > 0 {
                self.bin(other.base + at as i64, *count);
            }
        }
    }

    pub(super) fn add_bins(&mut self, bins: &Bins) {
        self.sum_us = self.sum_us.saturating_add(bins.sum_us);
        self.zeros += bins.zeros;
        for (key, count) in &bins.bins {
            self.bin(i64::from(*key), *count);
        }
    }

    fn bin(&mut self, key: i64, count: u64) {
        if self.dense.is_empty() {
            self.base = key;
        }
        if key < self.base {
            let more = (self.base - key + SPARE) as usize;
            self.dense.splice(0..0, std::iter::repeat_n(0, more));
            self.base -= more as i64;
        }
        let at = (key - self.base) as usize;
        if at >= self.dense.len() {
            self.dense.resize(at + SPARE as usize, 0);
        }
        self.dense[at] += count;
    }

    /// Bins that are not empty, in order.
    pub(super) fn bins(&self) -> Vec<(i64, u64)> {
        let all = self.dense.iter().enumerate();
        all.filter(|(_, count)| **count > 0)
            .map(|(at, count)| (self.base + at as i64, *count))
            .collect()
    }

    /// Latencies that were measured.
    pub fn measured(&self) -> u64 {
        self.zeros + self.dense.iter().sum::<u64>()
    }

    /// The `q`-quantile (0 to 1) in milliseconds, within 1 %; `None` when nothing was measured.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let measured = self.measured();
        let rank = (q * (measured.checked_sub(1)? as f64)) as u64;
        let mut below = self.zeros;
        if rank < below {
            return Some(0.0);
        }
        for (at, count) in self.dense.iter().enumerate() {
            below += count;
            if rank < below {
                return Some(value((self.base + at as i64) as i32));
            }
        }
        None
    }

    /// How many latencies are at most each of these bounds in milliseconds (ascending), as exact as a bin is wide.
    pub fn cumulative(&self, bounds_ms: &[f64]) -> Vec<u64> {
        let mut out = Vec::with_capacity(bounds_ms.len());
        let (mut at, mut sum) = (0, self.zeros);
        for bound in bounds_ms {
            let end = (i64::from(key_above(*bound)) - self.base).clamp(0, self.dense.len() as i64);
            sum += self.dense[at..(end as usize).max(at)].iter().sum::<u64>();
            at = at.max(end as usize);
            out.push(sum);
        }
        out
    }
}
