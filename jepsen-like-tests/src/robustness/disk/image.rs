use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::ops::Range;

use rand::Rng;

/// The root directory's number, as the kernel wants it.
pub const ROOT: u64 = 1;
/// A disk is full after this.
const MAX_BYTES: usize = 1 << 30;

/// What can go wrong on a disk; the adapter makes error numbers of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskError {
    NoSuchEntry,
    Exists,
    NotADirectory,
    IsADirectory,
    NotEmpty,
    Full,
    NoPower,
}

type Entries = BTreeMap<OsString, u64>;

#[derive(Clone, Debug)]
enum Body {
    File {
        now: Vec<u8>,
        /// What a power loss leaves.
        durable: Vec<u8>,
        /// Bytes that differ, at most.
        dirty: Option<Range<usize>>,
    },
    Directory {
        now: Entries,
        durable: Entries,
    },
}

#[derive(Clone, Debug)]
struct Node {
    body: Body,
    mode: u32,
    parent: u64,
    name: OsString,
    /// Whether a power loss leaves a name for it.
    anchored: bool,
}

/// What a file is, for `stat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    pub number: u64,
    pub directory: bool,
    pub size: u64,
    pub mode: u32,
}

/// An fsync on its way to the platter.
#[derive(Debug)]
pub struct Sync {
    number: u64,
    epoch: u64,
    length: usize,
    from: usize,
    bytes: Vec<u8>,
}

/// A disk in memory that knows what has been fsynced. What has not is gone after [`Image::lose_power`].
///
/// Names follow the usual journaling file systems: an fsync of a file that was made since also makes its name last, and those of
/// the directories above it; a rename or a removal lasts only after an fsync of the directory.
#[derive(Debug)]
pub struct Image {
    nodes: HashMap<u64, Node>,
    next: u64,
    epoch: u64,
    powered: bool,
    bytes: usize,
}

impl Default for Image {
    fn default() -> Self {
        let root = Node {
            body: Body::Directory {
                now: Entries::new(),
                durable: Entries::new(),
            },
            mode: 0o755,
            parent: ROOT,
            name: OsString::new(),
            anchored: true,
        };
        Self {
            nodes: HashMap::from([(ROOT, root)]),
            next: ROOT + 1,
            epoch: 0,
            powered: true,
            bytes: 0,
        }
    }
}

impl Image {
    fn node(&self, number: u64) -> Result<&Node, DiskError> {
        self.nodes.get(&number).ok_or(DiskError::NoSuchEntry)
    }

    fn entries(&self, directory: u64) -> Result<&Entries, DiskError> {
        match &self.node(directory)?.body {
            Body::Directory { now, .. } => Ok(now),
            Body::File { .. } => Err(DiskError::NotADirectory),
        }
    }

    fn entries_mut(&mut self, directory: u64) -> Result<&mut Entries, DiskError> {
        let node = self
            .nodes
            .get_mut(&directory)
            .ok_or(DiskError::NoSuchEntry)?;
        match &mut node.body {
            Body::Directory { now, .. } => Ok(now),
            Body::File { .. } => Err(DiskError::NotADirectory),
        }
    }

    /// What `stat` shows.
    pub fn facts(&self, number: u64) -> Result<Facts, DiskError> {
        let node = self.node(number)?;
        let (directory, size) = match &node.body {
            Body::File { now, .. } => (false, now.len() as u64),
            Body::Directory { .. } => (true, 0),
        };
        Ok(Facts {
            number,
            directory,
            size,
            mode: node.mode,
        })
    }

    pub fn lookup(&self, directory: u64, name: &OsStr) -> Result<Facts, DiskError> {
        let number = self.entries(directory)?.get(name);
        self.facts(*number.ok_or(DiskError::NoSuchEntry)?)
    }

    /// Names and facts of everything in a directory.
    pub fn list(&self, directory: u64) -> Result<Vec<(OsString, Facts)>, DiskError> {
        let entries = self.entries(directory)?.iter();
        entries
            .map(|(name, number)| Ok((name.clone(), self.facts(*number)?)))
            .collect()
    }

    /// Makes a file or a directory.
    pub fn make(
        &mut self,
        directory: u64,
        name: &OsStr,
        mode: u32,
        is_directory: bool,
    ) -> Result<Facts, DiskError> {
        if self.entries(directory)?.contains_key(name) {
            return Err(DiskError::Exists);
        }
        let number = self.next;
        self.next += 1;
        let body = if is_directory {
            Body::Directory {
                now: Entries::new(),
                durable: Entries::new(),
            }
        } else {
            Body::File {
                now: Vec::new(),
                durable: Vec::new(),
                dirty: None,
            }
        };
        let node = Node {
            body,
            mode: mode & 0o7777,
            parent: directory,
            name: name.to_owned(),
            anchored: false,
        };
        self.nodes.insert(number, node);
        self.entries_mut(directory)?.insert(name.to_owned(), number);
        self.facts(number)
    }

    /// Removes a name. What it named stays until nothing names it after a power loss either.
    pub fn remove(
        &mut self,
        directory: u64,
        name: &OsStr,
        is_directory: bool,
    ) -> Result<(), DiskError> {
        let facts = self.lookup(directory, name)?;
        match (is_directory, facts.directory) {
            (false, true) => return Err(DiskError::IsADirectory),
            (true, false) => return Err(DiskError::NotADirectory),
            (true, true) if !self.entries(facts.number)?.is_empty() => {
                return Err(DiskError::NotEmpty);
            }
            _ => {}
        }
        self.entries_mut(directory)?.remove(name);
        Ok(())
    }

    /// Moves a name, over another if there is one.
    pub fn rename(&mut self, from: (u64, &OsStr), to: (u64, &OsStr)) -> Result<(), DiskError> {
        let facts = self.lookup(from.0, from.1)?;
        if let Ok(old) = self.lookup(to.0, to.1)
            && old.directory
            && !self.entries(old.number)?.is_empty()
        {
            return Err(DiskError::NotEmpty);
        }
        self.entries_mut(from.0)?.remove(from.1);
        self.entries_mut(to.0)?
            .insert(to.1.to_owned(), facts.number);
        if let Some(node) = self.nodes.get_mut(&facts.number) {
            node.parent = to.0;
            node.name = to.1.to_owned();
        }
        Ok(())
    }

    pub fn read(&self, number: u64, offset: u64, size: u32) -> Result<&[u8], DiskError> {
        let Body::File { now, .. } = &self.node(number)?.body else {
            return Err(DiskError::IsADirectory);
        };
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(now.len());
        let to = from.saturating_add(size as usize).min(now.len());
        Ok(&now[from..to])
    }

    pub fn write(&mut self, number: u64, offset: u64, data: &[u8]) -> Result<(), DiskError> {
        let from = usize::try_from(offset).map_err(|_| DiskError::Full)?;
        let to = from.checked_add(data.len()).ok_or(DiskError::Full)?;
        self.change(
            number,
            |now| {
                if now.len() < to {
                    now.resize(to, 0);
                }
                now[from..to].copy_from_slice(data);
                from..to
            },
            to,
        )
    }

    /// Cuts or lengthens a file.
    pub fn set_size(&mut self, number: u64, size: u64) -> Result<(), DiskError> {
        let size = usize::try_from(size).map_err(|_| DiskError::Full)?;
        self.change(
            number,
            |now| {
                let before = now.len();
                now.resize(size, 0);
                before.min(size)..before.max(size)
            },
            size,
        )
    }

    pub fn set_mode(&mut self, number: u64, mode: u32) -> Result<(), DiskError> {
        let node = self.nodes.get_mut(&number).ok_or(DiskError::NoSuchEntry)?;
        node.mode = mode & 0o7777;
        Ok(())
    }

    fn change(
        &mut self,
        number: u64,
        action: impl FnOnce(&mut Vec<u8>) -> Range<usize>,
        length: usize,
    ) -> Result<(), DiskError> {
        let left = MAX_BYTES.saturating_sub(self.bytes);
        let node = self.nodes.get_mut(&number).ok_or(DiskError::NoSuchEntry)?;
        let Body::File { now, dirty, .. } = &mut node.body else {
            return Err(DiskError::IsADirectory);
        };
        let before = now.len();
        if length.saturating_sub(before) > left {
            return Err(DiskError::Full);
        }
        let touched = action(now);
        *dirty = Some(match dirty.take() {
            Some(range) => range.start.min(touched.start)..range.end.max(touched.end),
            None => touched,
        });
        self.bytes = self.bytes + now.len() - before;
        Ok(())
    }

    /// Takes what an fsync has to write. It counts only after [`Image::finish_sync`].
    pub fn begin_sync(&mut self, number: u64) -> Result<Option<Sync>, DiskError> {
        let node = self.nodes.get_mut(&number).ok_or(DiskError::NoSuchEntry)?;
        let Body::File { now, dirty, .. } = &mut node.body else {
            return Ok(None);
        };
        let dirty = dirty.take().unwrap_or(0..0);
        let (from, to) = (dirty.start.min(now.len()), dirty.end.min(now.len()));
        Ok(Some(Sync {
            number,
            epoch: self.epoch,
            length: now.len(),
            from,
            bytes: now[from..to].to_vec(),
        }))
    }

    /// The platter has it, unless the power went in between.
    pub fn finish_sync(&mut self, sync: &Sync) -> Result<(), DiskError> {
        if sync.epoch != self.epoch || !self.powered {
            return Err(DiskError::NoPower);
        }
        let Some(node) = self.nodes.get_mut(&sync.number) else {
            return Ok(());
        };
        if let Body::File { durable, .. } = &mut node.body {
            durable.resize(sync.length, 0);
            let to = sync.from + sync.bytes.len();
            durable[sync.from..to].copy_from_slice(&sync.bytes);
        }
        self.anchor(sync.number);
        Ok(())
    }

    /// Makes the name of something new last, and those above it.
    fn anchor(&mut self, number: u64) {
        let mut number = number;
        while let Some(node) = self.nodes.get_mut(&number) {
            if node.anchored {
                return;
            }
            node.anchored = true;
            let (parent, name) = (node.parent, node.name.clone());
            let Some(above) = self.nodes.get_mut(&parent) else {
                return;
            };
            if let Body::Directory { now, durable } = &mut above.body
                && now.get(&name) == Some(&number)
            {
                durable.insert(name, number);
            }
            number = parent;
        }
    }

    /// fsync of a directory: its names last.
    pub fn sync_directory(&mut self, directory: u64) -> Result<(), DiskError> {
        if !self.powered {
            return Err(DiskError::NoPower);
        }
        let names: Vec<u64> = self.entries(directory)?.values().copied().collect();
        if let Some(Body::Directory { now, durable }) =
            self.nodes.get_mut(&directory).map(|node| &mut node.body)
        {
            durable.clone_from(now);
        }
        for number in names {
            if let Some(node) = self.nodes.get_mut(&number) {
                node.anchored = true;
            }
        }
        self.anchor(directory);
        Ok(())
    }

    /// From now on no fsync succeeds. Programs that still run must not be able to acknowledge what is about to be lost.
    pub fn cut_power(&mut self) {
        self.powered = false;
    }

    /// Everything that was not fsynced is gone, and the power is back. Of what was appended since, a beginning may have reached the platter by chance.
    pub fn lose_power(&mut self, rng: &mut impl Rng) {
        self.epoch += 1;
        self.powered = true;
        // In order, so that the same chance meets the same file.
        let mut numbers: Vec<u64> = self.nodes.keys().copied().collect();
        numbers.sort_unstable();
        for number in numbers {
            let Some(node) = self.nodes.get_mut(&number) else {
                continue;
            };
            match &mut node.body {
                Body::File {
                    now,
                    durable,
                    dirty,
                } => {
                    let appended = now.len() > durable.len() && now.starts_with(durable);
                    if appended && rng.random_bool(0.3) {
                        now.truncate(rng.random_range(durable.len()..=now.len()));
                        durable.clone_from(now);
                    } else {
                        now.clone_from(durable);
                    }
                    *dirty = None;
                }
                Body::Directory { now, durable } => now.clone_from(durable),
            }
        }
        self.forget_unnamed();
    }

    fn forget_unnamed(&mut self) {
        let mut named = HashSet::from([ROOT]);
        let mut left = vec![ROOT];
        while let Some(number) = left.pop() {
            if let Some(Body::Directory { now, .. }) = self.nodes.get(&number).map(|it| &it.body) {
                left.extend(now.values().filter(|child| named.insert(**child)));
            }
        }
        self.nodes.retain(|number, _| named.contains(number));
        let size = |node: &Node| match &node.body {
            Body::File { now, .. } => now.len(),
            Body::Directory { .. } => 0,
        };
        self.bytes = self.nodes.values().map(size).sum();
    }
}
