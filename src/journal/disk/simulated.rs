//! A folder in memory that knows live from durable: what a power cut leaves can be had and read.

mod file;
mod names;

use std::{
    collections::{BTreeMap, HashSet},
    io,
    sync::Arc,
};

use parking_lot::Mutex;
use rand::RngCore;

use super::{Disk, DiskCall, DiskFaults, DiskFile};
use file::SimulatedFile;
use names::Names;

/// Files by name, as a power cut without luck would leave them.
pub type Image = BTreeMap<String, Vec<u8>>;

/// A folder in memory; clones are the same folder.
///
/// Writes are durable once their file is synced, names once the folder is. A power cut keeps what
/// is durable and of the rest what chance keeps: 512-byte pieces of writes, single changes of
/// names. A sync that fails forgets the file's unsynced writes as the kernel does: they are still
/// read, but no later sync makes them durable.
#[derive(Clone)]
pub struct SimulatedDisk {
    inner: Arc<Mutex<Inner>>,
    faults: DiskFaults,
    locks: Arc<Mutex<HashSet<String>>>,
}

#[derive(Default)]
struct Inner {
    files: Vec<SimulatedFile>,
    names: Names,
    free_bytes: u64,
}

impl Default for SimulatedDisk {
    fn default() -> Self {
        Self::restore(Image::new())
    }
}

impl SimulatedDisk {
    /// A disk with these files, all durable.
    pub fn restore(image: Image) -> Self {
        let mut inner = Inner { free_bytes: u64::MAX, ..Inner::default() };
        for (name, bytes) in image {
            inner.names.put_durable(name, inner.files.len());
            inner.files.push(SimulatedFile::durable(bytes));
        }
        Self {
            inner: Arc::new(Mutex::new(inner)),
            faults: DiskFaults::default(),
            locks: Arc::default(),
        }
    }

    /// What is durable.
    pub fn image(&self) -> Image {
        let inner = self.inner.lock();
        let durable = inner.names.durable();
        durable.map(|(name, file)| (name.to_owned(), inner.files[file].kept().to_vec())).collect()
    }

    /// The disk as a power cut at this moment could leave it. This disk goes on as it was.
    pub fn power_cut(&self, chance: &mut dyn RngCore) -> Self {
        let inner = self.inner.lock();
        let names = inner.names.after_power_cut(chance);
        let files = names.into_iter();
        let image = files.map(|(name, file)| (name, inner.files[file].after_power_cut(chance)));
        Self::restore(image.collect())
    }

    /// Changes the bytes of a file as nothing but damage does.
    ///
    /// # Panics
    /// Where there is no such file.
    pub fn damage(&self, name: &str, change: impl Fn(&mut Vec<u8>)) {
        let mut inner = self.inner.lock();
        let file = inner.names.find(name).expect("a file to be damaged is there");
        inner.files[file].damage(change);
    }

    /// What breaks.
    pub fn faults(&self) -> &DiskFaults {
        &self.faults
    }

    /// Says how much is free from now on; what is written takes nothing of it.
    pub fn set_free_bytes(&self, bytes: u64) {
        self.inner.lock().free_bytes = bytes;
    }

    fn meet(&self, call: DiskCall, name: Option<&str>) -> io::Result<()> {
        self.faults.meet(call, name).map_err(|fault| fault.error)
    }

    fn handle(&self, file: usize) -> Box<dyn DiskFile> {
        Box::new(Handle { disk: self.clone(), file })
    }
}

impl Disk for SimulatedDisk {
    fn names(&self) -> io::Result<Vec<String>> {
        self.meet(DiskCall::Names, None)?;
        Ok(self.inner.lock().names.live().map(str::to_owned).collect())
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        self.meet(DiskCall::Create, Some(name))?;
        let mut inner = self.inner.lock();
        // Emptying an old file would be one more thing that a power cut can undo; a new file in
        // its place leaves either all of the old one or some of the new.
        let file = inner.files.len();
        inner.files.push(SimulatedFile::default());
        inner.names.put(name, file);
        drop(inner);
        Ok(self.handle(file))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        self.meet(DiskCall::Open, Some(name))?;
        let file = self.inner.lock().names.find(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(self.handle(file))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.meet(DiskCall::Rename, Some(from))?;
        self.inner.lock().names.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.meet(DiskCall::Remove, Some(name))?;
        self.inner.lock().names.remove(name)
    }

    fn sync(&self) -> io::Result<()> {
        self.meet(DiskCall::SyncFolder, None)?;
        self.inner.lock().names.sync();
        Ok(())
    }

    fn lock(&self, name: &str) -> io::Result<Box<dyn Send + Sync>> {
        self.meet(DiskCall::Lock, Some(name))?;
        if !self.locks.lock().insert(name.to_owned()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let mut inner = self.inner.lock();
        if inner.names.find(name).is_none() {
            let file = inner.files.len();
            inner.files.push(SimulatedFile::default());
            inner.names.put(name, file);
        }
        Ok(Box::new(Held { locks: Arc::clone(&self.locks), name: name.to_owned() }))
    }

    fn free_bytes(&self) -> io::Result<u64> {
        self.meet(DiskCall::FreeBytes, None)?;
        Ok(self.inner.lock().free_bytes)
    }

    fn path(&self) -> String {
        format!("simulated/{}", super::FOLDER)
    }
}

/// A lock, until it is dropped.
struct Held {
    locks: Arc<Mutex<HashSet<String>>>,
    name: String,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.locks.lock().remove(&self.name);
    }
}

/// An open file: it stays the same file when its name changes.
struct Handle {
    disk: SimulatedDisk,
    file: usize,
}

impl Handle {
    fn meet(&self, call: DiskCall) -> Result<(), super::faults::Fault> {
        let name = self.disk.inner.lock().names.name_of(self.file);
        self.disk.faults.meet(call, name.as_deref())
    }

    fn sync(&self, call: DiskCall) -> io::Result<()> {
        let met = self.meet(call);
        let file = &mut self.disk.inner.lock().files[self.file];
        match &met {
            Ok(()) => file.sync(),
            Err(fault) if fault.stopped => {}
            Err(_) => file.fail_sync(),
        }
        met.map_err(|fault| fault.error)
    }
}

impl DiskFile for Handle {
    fn len(&self) -> io::Result<u64> {
        self.meet(DiskCall::Len).map_err(|fault| fault.error)?;
        Ok(self.disk.inner.lock().files[self.file].live().len() as u64)
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.meet(DiskCall::Read).map_err(|fault| fault.error)?;
        let inner = self.disk.inner.lock();
        let bytes = inner.files[self.file].live();
        let start = usize::try_from(offset).map_err(|_| io::ErrorKind::UnexpectedEof)?;
        let end = start.checked_add(into.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        into.copy_from_slice(bytes.get(start..end).ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let (done, answer) = match self.meet(DiskCall::Write) {
            Ok(()) => (bytes, Ok(())),
            Err(fault) => (&bytes[..fault.written.min(bytes.len())], Err(fault.error)),
        };
        let start = usize::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput)?;
        self.disk.inner.lock().files[self.file].write(start, done);
        answer
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync(DiskCall::SyncData)
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync(DiskCall::SyncAll)
    }
}

#[cfg(test)]
mod tests;
