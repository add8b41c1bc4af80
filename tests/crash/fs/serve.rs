//! The calls that the kernel makes on the disk.

use std::{
    ffi::OsStr,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use fuser::{
    BsdFileFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation,
    INodeNo, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory,
    ReplyEmpty, ReplyEntry, ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};
use parking_lot::{Mutex, MutexGuard};

use super::{
    disk::{Disk, Item},
    fault::{Call, Failure},
    file::File,
    folder::Folder,
    mount::State,
};

/// Nothing changes but through the kernel, so it may remember what it likes.
const TTL: Duration = Duration::from_secs(3_600);
const BLOCK_BYTES: u32 = 4096;
/// 16 GiB, all of them free.
const BLOCKS: u64 = 4 << 20;

pub struct Served {
    state: Arc<Mutex<State>>,
}

impl Served {
    pub fn new(state: Arc<Mutex<State>>) -> Self {
        Self { state }
    }

    fn read<T>(&self, read: impl FnOnce(&mut Disk) -> Result<T, Errno>) -> Result<T, Errno> {
        let mut state = self.state.lock();
        if state.dark { Err(Errno::EIO) } else { read(&mut state.disk) }
    }

    /// A change or sync; it may be the one at which the power goes.
    fn lit(&self) -> Result<MutexGuard<'_, State>, Errno> {
        let mut state = self.state.lock();
        match state.cut.take() {
            Some((1, killer)) => {
                // First the kill, then the answer: nobody lives to see it.
                killer.kill();
                state.dark = true;
            }
            Some((left, killer)) => state.cut = Some((left - 1, killer)),
            None => {}
        }
        if state.dark { Err(Errno::EIO) } else { Ok(state) }
    }

    /// As [`Self::lit`], with how this call is to fail, if it is.
    fn begin(&self, call: Call) -> Result<(MutexGuard<'_, State>, Option<Failure>), Errno> {
        let mut state = self.lit()?;
        let hit = state.fault.as_mut().is_some_and(|fault| fault.hits(call));
        let fault = if hit { state.fault.take() } else { None };
        Ok((state, fault.map(|fault| fault.failure)))
    }

    fn change<T>(
        &self,
        call: Call,
        change: impl FnOnce(&mut Disk) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        match self.begin(call)? {
            (_, Some(Failure::Error(error))) => Err(error),
            (mut state, _) => change(&mut state.disk),
        }
    }

    /// Answers how many bytes were written.
    fn write(&self, number: u64, offset: u64, bytes: &[u8]) -> Result<usize, Errno> {
        let (mut state, failure) = self.begin(Call::Write)?;
        let length = match failure {
            Some(Failure::Error(error)) => return Err(error),
            Some(Failure::Short) => bytes.len() / 2,
            None => bytes.len(),
        };
        state.disk.file(number)?.write(offset, &bytes[..length]);
        Ok(length)
    }

    fn sync_file(&self, number: u64) -> Result<(), Errno> {
        let (mut state, failure) = self.begin(Call::SyncFile)?;
        if let Some(Failure::Error(error)) = failure {
            state.disk.file(number)?.fail_sync();
            return Err(error);
        }
        if !state.lying {
            state.disk.file(number)?.sync();
        }
        Ok(())
    }

    fn sync_folder(&self, number: u64) -> Result<(), Errno> {
        let (mut state, failure) = self.begin(Call::SyncFolder)?;
        if let Some(Failure::Error(error)) = failure {
            return Err(error);
        }
        if !state.lying {
            state.disk.folder(number)?.sync();
        }
        Ok(())
    }

    fn make(&self, folder: INodeNo, name: &OsStr, item: Item) -> Result<FileAttr, Errno> {
        self.change(Call::Make, |disk| {
            let number = disk.make(folder.0, name, item)?;
            attributes(disk, number)
        })
    }

    fn list(&self, number: u64) -> Result<Vec<(u64, FileType, std::ffi::OsString)>, Errno> {
        self.read(|disk| {
            let names = disk.folder(number)?.live().clone();
            let entry = |(name, number)| Ok((number, kind(disk.item(number)?), name));
            names.into_iter().map(entry).collect()
        })
    }
}

fn kind(item: &Item) -> FileType {
    match item {
        Item::File(_) => FileType::RegularFile,
        Item::Folder(_) => FileType::Directory,
    }
}

fn attributes(disk: &Disk, number: u64) -> Result<FileAttr, Errno> {
    let item = disk.item(number)?;
    let size = match item {
        Item::File(file) => file.live().size(),
        Item::Folder(_) => 0,
    };
    Ok(FileAttr {
        ino: INodeNo(number),
        size,
        blocks: size.div_ceil(512),
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind: kind(item),
        perm: 0o755,
        nlink: 1,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: BLOCK_BYTES,
        flags: 0,
    })
}

/// Answers a call that has no more to say than that it was done.
fn end(reply: ReplyEmpty, done: Result<(), Errno>) {
    match done {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error),
    }
}

fn entry(reply: ReplyEntry, found: Result<FileAttr, Errno>) {
    match found {
        Ok(attributes) => reply.entry(&TTL, &attributes, Generation(0)),
        Err(error) => reply.error(error),
    }
}

fn attr(reply: ReplyAttr, found: Result<FileAttr, Errno>) {
    match found {
        Ok(attributes) => reply.attr(&TTL, &attributes),
        Err(error) => reply.error(error),
    }
}

impl Filesystem for Served {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        entry(
            reply,
            self.read(|disk| {
                let number = disk.find(parent.0, name)?;
                attributes(disk, number)
            }),
        );
    }

    fn getattr(&self, _: &Request, number: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        attr(reply, self.read(|disk| attributes(disk, number.0)));
    }

    fn setattr(
        &self,
        _: &Request,
        number: INodeNo,
        _mode: Option<u32>,
        _user: Option<u32>,
        _group: Option<u32>,
        size: Option<u64>,
        _read_at: Option<TimeOrNow>,
        _written_at: Option<TimeOrNow>,
        _changed_at: Option<SystemTime>,
        _: Option<FileHandle>,
        _made_at: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let resized = size.map_or(Ok(()), |size| {
            self.change(Call::Resize, |disk| disk.file(number.0).map(|file| file.set_size(size)))
        });
        attr(reply, resized.and_then(|()| self.read(|disk| attributes(disk, number.0))));
    }

    fn mkdir(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        _mode: u32,
        _mask: u32,
        reply: ReplyEntry,
    ) {
        entry(reply, self.make(parent, name, Item::Folder(Folder::default())));
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        _mode: u32,
        _mask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        match self.make(parent, name, Item::File(File::default())) {
            Ok(attributes) => {
                let handle = FileHandle(0);
                reply.created(&TTL, &attributes, Generation(0), handle, FopenFlags::empty());
            }
            Err(error) => reply.error(error),
        }
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        end(reply, self.change(Call::Remove, |disk| disk.remove(parent.0, name)));
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        end(reply, self.change(Call::Remove, |disk| disk.remove(parent.0, name)));
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        _: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let rename = |disk: &mut Disk| {
            if parent != new_parent {
                return Err(Errno::EXDEV);
            }
            disk.folder(parent.0)?.rename(name, new_name);
            Ok(())
        };
        end(reply, self.change(Call::Rename, rename));
    }

    fn read(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.read(|disk| Ok(disk.file(number.0)?.live().read(offset, size as usize))) {
            Ok(bytes) => reply.data(&bytes),
            Err(error) => reply.error(error),
        }
    }

    fn write(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        bytes: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.write(number.0, offset, bytes) {
            Ok(written) => reply.written(written as u32),
            Err(error) => reply.error(error),
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&self, _: &Request, number: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        end(reply, self.sync_file(number.0));
    }

    fn fsyncdir(&self, _: &Request, number: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        end(reply, self.sync_folder(number.0));
    }

    fn readdir(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let names = match self.list(number.0) {
            Ok(names) => names,
            Err(error) => return reply.error(error),
        };
        for (next, (number, kind, name)) in (1..).zip(names).skip(offset as usize) {
            if reply.add(INodeNo(number), next, kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        reply.statfs(BLOCKS, BLOCKS, BLOCKS, BLOCKS, BLOCKS, BLOCK_BYTES, 255, BLOCK_BYTES);
    }
}
