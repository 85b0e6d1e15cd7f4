//! A window as bytes. Series in order of kind and names, each with counters and a sketch's bins; numbers as LEB128. Two windows
//! merge in one pass over both, and whoever wants one series skips the others by their lengths.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::OTHER_SERIES;

/// First byte.
const FORMAT: u8 = 1;
/// Series of each kind in a window.
const MAX_SERIES: usize = 2_000;

/// What a series is of; the position is the stored format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// All endpoints together; its names are empty.
    Total,
    /// Endpoint and method; counters are requests by status code, and bytes.
    Endpoint,
    /// Host and URL pattern; counters are [`Cells::CALLS`], [`Cells::ERRORS`] and [`Cells::TIMEOUTS`].
    Backend,
}

/// A window's own figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Time that samples cover, summed over nodes.
    pub covered_ms: u64,
    pub cpu_ms: u64,
    /// Highest seen.
    pub memory_bytes: u64,
    /// Highest seen.
    pub connections: u64,
    pub restarts: u64,
}

/// One window.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Packed(pub(crate) Bytes);

/// One series of a window.
#[derive(Clone, Copy, Debug)]
pub struct Cells<'a> {
    pub kind: Kind,
    /// Endpoint, or host.
    pub first: &'a str,
    /// Method, or URL pattern.
    pub second: &'a str,
    pub(super) body: &'a [u8],
}

impl<'a> Cells<'a> {
    pub const CALLS: u64 = 1;
    pub const ERRORS: u64 = 2;
    pub const TIMEOUTS: u64 = 3;

    fn key(&self) -> (Kind, &'a str, &'a str) {
        (self.kind, self.first, self.second)
    }
}

/// Reads; what does not parse ends it, because a record's checksum has been verified before.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    pub fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    pub fn number(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    pub fn take(&mut self, length: u64) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(usize::try_from(length).ok()?)?;
        self.0 = rest;
        Some(taken)
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = self.number()?;
        std::str::from_utf8(self.take(length)?).ok()
    }

    fn header(&mut self) -> Option<(Header, u64)> {
        if self.byte()? != FORMAT {
            return None;
        }
        let header = Header {
            covered_ms: self.number()?,
            cpu_ms: self.number()?,
            memory_bytes: self.number()?,
            connections: self.number()?,
            restarts: self.number()?,
        };
        Some((header, self.number()?))
    }

    fn cells(&mut self) -> Option<Cells<'a>> {
        let kind = match self.byte()? {
            0 => Kind::Total,
            1 => Kind::Endpoint,
            _ => Kind::Backend,
        };
        let (first, second) = (self.text()?, self.text()?);
        let length = self.number()?;
        Some(Cells {
            kind,
            first,
            second,
            body: self.take(length)?,
        })
    }
}

pub(super) fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(super) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

pub(super) fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// Writes a window series by series, in order.
pub(super) struct Writer {
    header: Header,
    count: u64,
    series: Vec<u8>,
}

impl Writer {
    pub fn new(header: Header) -> Self {
        Self {
            header,
            count: 0,
            series: Vec::new(),
        }
    }

    pub fn series(&mut self, key: (Kind, &str, &str), body: &[u8]) {
        self.count += 1;
        self.series.push(key.0 as u8);
        for text in [key.1, key.2] {
            put(&mut self.series, text.len() as u64);
            self.series.extend(text.as_bytes());
        }
        put(&mut self.series, body.len() as u64);
        self.series.extend(body);
    }

    pub fn finish(self) -> Packed {
        let mut out = Vec::with_capacity(self.series.len() + 32);
        out.push(FORMAT);
        let it = self.header;
        for value in [it.covered_ms, it.cpu_ms, it.memory_bytes, it.connections] {
            put(&mut out, value);
        }
        put(&mut out, it.restarts);
        put(&mut out, self.count);
        out.extend(self.series);
        Packed(out.into())
    }
}

impl Packed {
    pub fn header(&self) -> Header {
        Reader(&self.0).header().unwrap_or_default().0
    }

    /// All series, the total first.
    pub fn series(&self) -> impl Iterator<Item = Cells<'_>> {
        let mut reader = Reader(&self.0);
        let count = reader.header().map_or(0, |(_, count)| count);
        (0..count).map_while(move |_| reader.cells())
    }

    /// The one with these names.
    pub fn find(&self, kind: Kind, first: &str, second: &str) -> Option<Cells<'_>> {
        self.series()
            .find(|cells| cells.key() == (kind, first, second))
    }

    /// Those of these endpoints that are here; `wanted` are endpoint, method and what to call it, in order. A window is in that
    /// order too, so one pass over both finds them, and what stands behind the last of them is not looked at.
    pub(super) fn endpoints<'a, T: Copy>(
        &'a self,
        mut wanted: &'a [(&'a str, &'a str, T)],
    ) -> impl Iterator<Item = (T, Cells<'a>)> {
        let mut series = self.series();
        std::iter::from_fn(move || {
            let (mut next, mut rest) = wanted.split_first()?;
            loop {
                let cells = series.find(|it| it.kind >= Kind::Endpoint)?;
                if cells.kind > Kind::Endpoint {
                    return None;
                }
                while (next.0, next.1) < (cells.first, cells.second) {
                    (next, rest) = rest.split_first()?;
                }
                if (next.0, next.1) == (cells.first, cells.second) {
                    wanted = rest;
                    return Some((next.2, cells));
                }
            }
        })
    }

    pub fn len(&self) -> u64 {
        self.0.len() as u64
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Without endpoints and backends.
    pub fn total_only(&self) -> Self {
        let mut writer = Writer::new(self.header());
        for cells in self.series().take_while(|it| it.kind == Kind::Total) {
            writer.series(cells.key(), cells.body);
        }
        writer.finish()
    }

    /// Both together. New series beyond the bound are summed as `(other)`, so that the totals stay true.
    pub fn merge(&self, other: &Self) -> Self {
        let (a, b) = (self.header(), other.header());
        let mut writer = Writer::new(Header {
            covered_ms: a.covered_ms + b.covered_ms,
            cpu_ms: a.cpu_ms + b.cpu_ms,
            memory_bytes: a.memory_bytes.max(b.memory_bytes),
            connections: a.connections.max(b.connections),
            restarts: a.restarts + b.restarts,
        });
        if self.is_over(other) {
            self.merge_bounded(other, &mut writer);
            return writer.finish();
        }
        let (mut left, mut right) = (self.series().peekable(), other.series().peekable());
        let mut body = Vec::new();
        loop {
            let order = match (left.peek(), right.peek()) {
                (None, None) => return writer.finish(),
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (Some(a), Some(b)) => a.key().cmp(&b.key()),
            };
            let a = left.next_if(|_| order.is_le());
            let b = right.next_if(|_| order.is_ge());
            match (a, b) {
                (Some(a), Some(b)) => {
                    body.clear();
                    merge_bodies(a.body, b.body, &mut body);
                    writer.series(a.key(), &body);
                }
                (Some(one), None) | (None, Some(one)) => writer.series(one.key(), one.body),
                (None, None) => return writer.finish(),
            }
        }
    }

    fn is_over(&self, other: &Self) -> bool {
        let counts = |it: &Self| Reader(&it.0).header().map_or(0, |(_, count)| count) as usize;
        // The usual case is told by two numbers.
        if counts(self) + counts(other) <= MAX_SERIES {
            return false;
        }
        let mut names: BTreeMap<Kind, std::collections::BTreeSet<_>> = BTreeMap::new();
        for cells in self.series().chain(other.series()) {
            let of_kind = names.entry(cells.kind).or_default();
            of_kind.insert((cells.first, cells.second));
        }
        names.values().any(|names| names.len() > MAX_SERIES)
    }

    fn merge_bounded(&self, other: &Self, writer: &mut Writer) {
        let mut all: BTreeMap<(Kind, &str, &str), Vec<u8>> = BTreeMap::new();
        let mut counts: BTreeMap<Kind, usize> = BTreeMap::new();
        for cells in self.series().chain(other.series()) {
            let mut key = cells.key();
            let count = counts.entry(cells.kind).or_default();
            // The last place is kept for the rest.
            if !all.contains_key(&key) && *count + 1 >= MAX_SERIES {
                key = (cells.kind, OTHER_SERIES, OTHER_SERIES);
            }
            match all.get_mut(&key) {
                Some(body) => {
                    let mut both = Vec::new();
                    merge_bodies(body, cells.body, &mut both);
                    *body = both;
                }
                None => {
                    *count += usize::from(key.1 != OTHER_SERIES);
                    all.insert(key, cells.body.to_vec());
                }
            }
        }
        for (key, body) in all {
            writer.series(key, &body);
        }
    }
}

fn pairs<'a>(reader: &mut Reader<'a>) -> impl Iterator<Item = (u64, u64)> + use<'a> {
    let count = reader.number().unwrap_or(0);
    let mut at = *reader;
    // The reader goes on behind the pairs.
    for _ in 0..count * 2 {
        reader.number();
    }
    (0..count).map_while(move |_| Some((at.number()?, at.number()?)))
}

/// Counters; sum of latencies in µs; zeros; bins.
pub(super) struct Body<C, B> {
    pub counters: C,
    pub sum_us: u64,
    pub zeros: u64,
    pub bins: B,
}

/// Takes a body apart; keys of bins are absolute.
pub(super) fn read_body(
    body: &[u8],
) -> Body<impl Iterator<Item = (u64, u64)>, impl Iterator<Item = (i64, u64)>> {
    let mut reader = Reader(body);
    let counters = pairs(&mut reader);
    let sum_us = reader.number().unwrap_or(0);
    let zeros = reader.number().unwrap_or(0);
    let count = reader.number().unwrap_or(0);
    let mut key = reader.number().map_or(0, unzigzag);
    let bins = (0..count).map_while(move |at| {
        if at > 0 {
            key += reader.number()? as i64;
        }
        Some((key, reader.number()?))
    });
    Body {
        counters,
        sum_us,
        zeros,
        bins,
    }
}

/// Writes one; pairs in order of their first.
pub(super) fn write_body(
    counters: &[(u64, u64)],
    (sum_us, zeros): (u64, u64),
    bins: &[(i64, u64)],
    out: &mut Vec<u8>,
) {
    put(out, counters.len() as u64);
    for (id, count) in counters {
        put(out, *id);
        put(out, *count);
    }
    for value in [sum_us, zeros, bins.len() as u64] {
        put(out, value);
    }
    let mut last = bins.first().map_or(0, |(key, _)| *key);
    put(out, zigzag(last));
    for (at, (key, count)) in bins.iter().enumerate() {
        if at > 0 {
            put(out, (key - last) as u64);
        }
        put(out, *count);
        last = *key;
    }
}

pub(super) fn merge_bodies(a: &[u8], b: &[u8], out: &mut Vec<u8>) {
    let (a, b) = (read_body(a), read_body(b));
    let counters = merge_pairs(a.counters, b.counters);
    let bins = merge_pairs(a.bins, b.bins);
    let sums = (a.sum_us.saturating_add(b.sum_us), a.zeros + b.zeros);
    write_body(&counters, sums, &bins, out);
}

fn merge_pairs<K: Ord>(
    a: impl Iterator<Item = (K, u64)>,
    b: impl Iterator<Item = (K, u64)>,
) -> Vec<(K, u64)> {
    let (mut a, mut b) = (a.peekable(), b.peekable());
    let mut out = Vec::with_capacity(64);
    loop {
        let order = match (a.peek(), b.peek()) {
            (None, None) => return out,
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some(a), Some(b)) => a.0.cmp(&b.0),
        };
        let left = a.next_if(|_| order.is_le());
        let right = b.next_if(|_| order.is_ge());
        match (left, right) {
            (Some((key, x)), Some((_, y))) => out.push((key, x + y)),
            (Some(one), None) | (None, Some(one)) => out.push(one),
            (None, None) => return out,
        }
    }
}
