//! A folder of a real disk.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use crate::{journal::recovery::LOCK, store::lasting::make_folder};

use super::{Disk, DiskFile};

/// A folder of the file system.
#[derive(Clone, Debug)]
pub struct FolderDisk {
    path: PathBuf,
}

impl FolderDisk {
    /// The folder of the journal in the directory `data_dir`, made where it is not there.
    pub fn of_journal(data_dir: &Path) -> io::Result<Self> {
        Self::new(&data_dir.join(super::FOLDER))
    }

    /// The folder at `path`, which is made, for good, where it is not there.
    pub fn new(path: &Path) -> io::Result<Self> {
        make_folder(path)?;
        Ok(Self { path: path.to_owned() })
    }

    /// The folder of the journal in the directory `data_dir`; `None` where there is none.
    pub fn existing_of_journal(data_dir: &Path) -> io::Result<Option<Self>> {
        let path = data_dir.join(super::FOLDER);
        Ok(path.try_exists()?.then_some(Self { path }))
    }

    /// Removes the folder of the journal in the directory `data_dir`, where nothing but the lock
    /// is in it. Whether it is gone: files that a repair had set aside stay, and so does it.
    pub fn remove_of_journal(data_dir: &Path) -> io::Result<bool> {
        let path = data_dir.join(super::FOLDER);
        for entry in fs::read_dir(&path)? {
            if entry?.file_name() != LOCK {
                return Ok(false);
            }
        }
        fs::remove_file(path.join(LOCK))?;
        fs::remove_dir(&path)?;
        File::open(data_dir)?.sync_all()?;
        Ok(true)
    }
}

impl Disk for FolderDisk {
    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true);
        Ok(Box::new(FolderFile(options.open(self.path.join(name))?)))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).open(self.path.join(name))?;
        Ok(Box::new(FolderFile(file)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }

    fn lock(&self, name: &str) -> io::Result<Box<dyn Send + Sync>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.open(self.path.join(name))?;
        match file.try_lock() {
            Ok(()) => Ok(Box::new(file)),
            Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let space = rustix::fs::statvfs(&self.path)?;
        Ok(space.f_bavail.saturating_mul(space.f_frsize))
    }

    fn path(&self) -> String {
        self.path.display().to_string()
    }
}

struct FolderFile(File);

impl DiskFile for FolderFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(into, offset)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.0.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk() -> (tempfile::TempDir, FolderDisk) {
        let parent = tempfile::tempdir().expect("a directory");
        let disk = FolderDisk::of_journal(parent.path()).expect("it is made");
        (parent, disk)
    }

    #[test]
    fn files_are_written_read_named_and_removed() {
        let (_parent, disk) = disk();
        let file = disk.create("b").expect("it is made");
        file.write_at(3, b"abc").expect("it is written");
        file.sync_data().and_then(|()| file.sync_all()).expect("it is synced");
        disk.rename("b", "a").and_then(|()| disk.sync()).expect("it is renamed");
        let file = disk.open("a").expect("it is there");
        let mut read = [0; 4];
        file.read_at(2, &mut read).expect("it is read");
        assert_eq!((&read, file.len().expect("it has one")), (b"\0abc", 6));
        let beyond = file.read_at(4, &mut read).expect_err("it ends before");
        assert_eq!(beyond.kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(disk.create("a").and_then(|file| file.len()).expect("it is emptied"), 0);
        disk.remove("a").expect("it is removed");
        assert_eq!(disk.open("a").err().expect("it is gone").kind(), io::ErrorKind::NotFound);
        assert_eq!(disk.names().expect("it lists"), [""; 0]);
    }

    #[test]
    fn a_lock_is_of_one_until_it_is_dropped() {
        let (parent, disk) = disk();
        let held = disk.lock("lock").expect("it is free");
        let other = FolderDisk::of_journal(parent.path()).expect("it is there");
        let refused = other.lock("lock").err().expect("it is taken");
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
        drop(held);
        other.lock("lock").expect("it is free again");
    }

    #[test]
    fn a_folder_goes_with_its_lock_and_not_with_anything_else() {
        let (parent, disk) = disk();
        drop(disk.lock(LOCK).expect("it is free"));
        disk.create("x.damaged").expect("it is made");
        assert!(!FolderDisk::remove_of_journal(parent.path()).expect("it looks"));
        assert_eq!(disk.names().expect("it lists"), [LOCK, "x.damaged"]);
        disk.remove("x.damaged").expect("it goes");
        assert!(FolderDisk::remove_of_journal(parent.path()).expect("it goes"));
        assert!(FolderDisk::existing_of_journal(parent.path()).expect("it looks").is_none());
    }

    #[test]
    fn it_says_what_is_free_and_where_it_is() {
        let (parent, disk) = disk();
        assert!(disk.free_bytes().expect("it knows") > 0);
        assert_eq!(disk.path(), parent.path().join("journal").display().to_string());
        let nowhere = FolderDisk::existing_of_journal(&parent.path().join("no"));
        assert!(nowhere.expect("it looks").is_none());
        assert!(FolderDisk::existing_of_journal(parent.path()).expect("it looks").is_some());
    }
}
