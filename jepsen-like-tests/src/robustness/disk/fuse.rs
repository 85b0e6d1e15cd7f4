//! The kernel's side of a disk. Nothing is cached there: what a program reads after a power loss is what the image has.

use std::ffi::OsStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use fuser::{
    AccessFlags, BsdFileFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags,
    Generation, INodeNo, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData,
    ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow,
    WriteFlags,
};

use super::image::{DiskError, Facts, Image};

const NO_CACHE: Duration = Duration::ZERO;
/// As long as a common disk takes for an fsync. What is acknowledged before it ended is what a power loss takes.
const SYNC_TAKES: Duration = Duration::from_millis(12);

/// What waits for a disk without power is dead before it hears of it. The kernel wants an answer all the same.
const ANSWER_THE_DEAD_AFTER: Duration = Duration::from_millis(500);

/// Answers the kernel from an image.
#[derive(Debug)]
pub struct Adapter {
    image: Arc<Mutex<Image>>,
}

impl Adapter {
    pub fn new(image: Arc<Mutex<Image>>) -> Self {
        Self { image }
    }

    fn image(&self) -> MutexGuard<'_, Image> {
        lock(&self.image)
    }
}

fn lock(image: &Mutex<Image>) -> MutexGuard<'_, Image> {
    image.lock().unwrap_or_else(PoisonError::into_inner)
}

fn number(error: DiskError) -> Errno {
    match error {
        DiskError::NoSuchEntry => Errno::ENOENT,
        DiskError::Exists => Errno::EEXIST,
        DiskError::NotADirectory => Errno::ENOTDIR,
        DiskError::IsADirectory => Errno::EISDIR,
        DiskError::NotEmpty => Errno::ENOTEMPTY,
        DiskError::Full => Errno::ENOSPC,
        DiskError::NoPower => Errno::EIO,
    }
}

fn attributes(facts: Facts) -> FileAttr {
    FileAttr {
        ino: INodeNo(facts.number),
        size: facts.size,
        blocks: facts.size.div_ceil(512),
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind: kind(facts),
        perm: u16::try_from(facts.mode & 0o7777).unwrap_or(0o600),
        nlink: 1,
        uid: 0,
        gid: 0,
        rdev: 0,
        flags: 0,
        blksize: 4096,
    }
}

fn kind(facts: Facts) -> FileType {
    if facts.directory {
        FileType::Directory
    } else {
        FileType::RegularFile
    }
}

fn entry(found: Result<Facts, DiskError>, reply: ReplyEntry) {
    match found {
        Ok(facts) => reply.entry(&NO_CACHE, &attributes(facts), Generation(0)),
        Err(error) => reply.error(number(error)),
    }
}

fn empty(done: Result<(), DiskError>, reply: ReplyEmpty) {
    match done {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(number(error)),
    }
}

impl Filesystem for Adapter {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        entry(self.image().lookup(parent.0, name), reply);
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.image().facts(ino.0) {
            Ok(facts) => reply.attr(&NO_CACHE, &attributes(facts)),
            Err(error) => reply.error(number(error)),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<std::time::SystemTime>,
        _fh: Option<FileHandle>,
        _crtime: Option<std::time::SystemTime>,
        _chgtime: Option<std::time::SystemTime>,
        _bkuptime: Option<std::time::SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let mut image = self.image();
        let sized = size.map_or(Ok(()), |size| image.set_size(ino.0, size));
        let done = sized.and_then(|()| mode.map_or(Ok(()), |mode| image.set_mode(ino.0, mode)));
        match done.and_then(|()| image.facts(ino.0)) {
            Ok(facts) => reply.attr(&NO_CACHE, &attributes(facts)),
            Err(error) => reply.error(number(error)),
        }
    }

    fn mkdir(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        reply: ReplyEntry,
    ) {
        entry(
            self.image().make(parent.0, name, mode & !umask, true),
            reply,
        );
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        empty(self.image().remove(parent.0, name, false), reply);
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        empty(self.image().remove(parent.0, name, true), reply);
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        if !flags.is_empty() {
            // Exchanging and the like: nobody here needs it.
            return reply.error(Errno::EINVAL);
        }
        let done = self
            .image()
            .rename((parent.0, name), (newparent.0, newname));
        empty(done, reply);
    }

    fn open(&self, _: &Request, ino: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match self.image().facts(ino.0) {
            Ok(_) => reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO),
            Err(error) => reply.error(number(error)),
        }
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        match self.image().make(parent.0, name, mode & !umask, false) {
            Ok(facts) => reply.created(
                &NO_CACHE,
                &attributes(facts),
                Generation(0),
                FileHandle(0),
                FopenFlags::FOPEN_DIRECT_IO,
            ),
            Err(error) => reply.error(number(error)),
        }
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.image().read(ino.0, offset, size) {
            Ok(data) => reply.data(data),
            Err(error) => reply.error(number(error)),
        }
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.image().write(ino.0, offset, data) {
            // The kernel never asks for more than a few megabytes.
            Ok(()) => reply.written(u32::try_from(data.len()).unwrap_or(0)),
            Err(error) => reply.error(number(error)),
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&self, _: &Request, ino: INodeNo, _: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        match self.image().begin_sync(ino.0) {
            Ok(Some(sync)) => {
                let image = self.image.clone();
                // Beside the others: a slow fsync does not keep the disk from answering.
                std::thread::spawn(move || {
                    std::thread::sleep(SYNC_TAKES);
                    let done = lock(&image).finish_sync(&sync);
                    if done.is_err() {
                        std::thread::sleep(ANSWER_THE_DEAD_AFTER);
                    }
                    empty(done, reply);
                });
            }
            Ok(None) => reply.ok(),
            Err(error) => reply.error(number(error)),
        }
    }

    fn fsyncdir(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        _datasync: bool,
        reply: ReplyEmpty,
    ) {
        let done = self.image().sync_directory(ino.0);
        if done.is_ok() {
            return reply.ok();
        }
        std::thread::spawn(move || {
            std::thread::sleep(ANSWER_THE_DEAD_AFTER);
            empty(done, reply);
        });
    }

    fn readdir(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let listed = match self.image().list(ino.0) {
            Ok(listed) => listed,
            Err(error) => return reply.error(number(error)),
        };
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        for (at, (name, facts)) in listed.into_iter().enumerate().skip(from) {
            if reply.add(INodeNo(facts.number), at as u64 + 1, kind(facts), name) {
                break;
            }
        }
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        reply.statfs(1 << 18, 1 << 18, 1 << 18, 1 << 20, 1 << 20, 4096, 255, 4096);
    }

    fn access(&self, _: &Request, _: INodeNo, _: AccessFlags, reply: ReplyEmpty) {
        reply.ok();
    }
}
