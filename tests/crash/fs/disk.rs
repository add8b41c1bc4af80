//! Everything on the disk, by number.

use std::{collections::BTreeMap, ffi::OsStr};

use fuser::Errno;
use rand::rngs::StdRng;

use super::{file::File, folder::Folder};

/// The number of the folder that holds all others.
pub const ROOT: u64 = 1;

#[derive(Clone, Debug)]
pub enum Item {
    File(File),
    Folder(Folder),
}

/// Items are never forgotten before the power goes: a file that lost its name may still be open.
#[derive(Clone, Debug)]
pub struct Disk {
    items: BTreeMap<u64, Item>,
    next: u64,
}

impl Default for Disk {
    fn default() -> Self {
        let root = Item::Folder(Folder::default());
        Self { items: BTreeMap::from([(ROOT, root)]), next: ROOT + 1 }
    }
}

impl Disk {
    pub fn item(&self, number: u64) -> Result<&Item, Errno> {
        self.items.get(&number).ok_or(Errno::ENOENT)
    }

    pub fn file(&mut self, number: u64) -> Result<&mut File, Errno> {
        match self.items.get_mut(&number) {
            Some(Item::File(file)) => Ok(file),
            Some(Item::Folder(_)) => Err(Errno::EISDIR),
            None => Err(Errno::ENOENT),
        }
    }

    pub fn folder(&mut self, number: u64) -> Result<&mut Folder, Errno> {
        match self.items.get_mut(&number) {
            Some(Item::Folder(folder)) => Ok(folder),
            Some(Item::File(_)) => Err(Errno::ENOTDIR),
            None => Err(Errno::ENOENT),
        }
    }

    pub fn find(&mut self, folder: u64, name: &OsStr) -> Result<u64, Errno> {
        self.folder(folder)?.live().get(name).copied().ok_or(Errno::ENOENT)
    }

    /// Puts something new into a folder and answers its number.
    pub fn make(&mut self, folder: u64, name: &OsStr, item: Item) -> Result<u64, Errno> {
        let number = self.next;
        self.folder(folder)?.put(name, number);
        self.items.insert(number, item);
        self.next += 1;
        Ok(number)
    }

    pub fn remove(&mut self, folder: u64, name: &OsStr) -> Result<(), Errno> {
        let number = self.find(folder, name)?;
        if matches!(self.item(number)?, Item::Folder(inner) if !inner.live().is_empty()) {
            return Err(Errno::ENOTEMPTY);
        }
        self.folder(folder)?.remove(name);
        Ok(())
    }

    /// What a power cut leaves; all of it lasts.
    pub fn after_power_cut(&self, rng: &mut StdRng) -> Self {
        let mut left = Self { items: BTreeMap::new(), next: self.next };
        let mut reached = vec![ROOT];
        while let Some(number) = reached.pop() {
            let item = match &self.items[&number] {
                Item::File(file) => Item::File(File::of(file.after_power_cut(rng))),
                Item::Folder(folder) => {
                    let names = folder.after_power_cut(rng);
                    reached.extend(names.values());
                    Item::Folder(Folder::of(names))
                }
            };
            left.items.insert(number, item);
        }
        left
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    fn disk() -> (Disk, u64, u64) {
        let mut disk = Disk::default();
        let folder = disk.make(ROOT, "a".as_ref(), Item::Folder(Folder::default())).expect("made");
        let file = disk.make(folder, "b".as_ref(), Item::File(File::default())).expect("made");
        disk.file(file).expect("a file").write(0, b"written");
        (disk, folder, file)
    }

    /// What reads of a/b may show after a power cut.
    fn shown(disk: &Disk) -> Vec<Option<Vec<u8>>> {
        let mut rng = StdRng::seed_from_u64(3);
        let shown = (0..200).map(|_| {
            let mut left = disk.after_power_cut(&mut rng);
            let folder = left.find(ROOT, "a".as_ref()).ok()?;
            let file = left.find(folder, "b".as_ref()).ok()?;
            Some(left.file(file).expect("a file").live().read(0, 100))
        });
        let mut shown: Vec<_> = shown.collect();
        shown.sort();
        shown.dedup();
        shown
    }

    #[test]
    fn a_file_lasts_once_it_and_every_folder_above_it_are_synced() {
        let (mut disk, folder, file) = disk();
        let (gone, empty, whole) = (None, Some(Vec::new()), Some(b"written".to_vec()));
        disk.file(file).expect("a file").sync();
        assert_eq!(shown(&disk), [gone.clone(), whole.clone()]);
        disk.folder(folder).expect("a folder").sync();
        assert_eq!(shown(&disk), [gone, whole.clone()]);
        disk.folder(ROOT).expect("a folder").sync();
        assert_eq!(shown(&disk), [whole]);
        let (mut disk, folder, _) = self::disk();
        disk.folder(folder).expect("a folder").sync();
        disk.folder(ROOT).expect("a folder").sync();
        assert_eq!(shown(&disk), [empty, Some(b"written".to_vec())]);
    }

    #[test]
    fn a_rename_happens_whole_or_not_at_all() {
        let (mut disk, folder, file) = disk();
        disk.file(file).expect("a file").sync();
        disk.folder(folder).expect("a folder").sync();
        disk.folder(ROOT).expect("a folder").sync();
        disk.folder(folder).expect("a folder").rename("b".as_ref(), "c".as_ref());
        let mut rng = StdRng::seed_from_u64(3);
        for _ in 0..100 {
            let mut left = disk.after_power_cut(&mut rng);
            let names = left.folder(folder).expect("it lasts").live().clone();
            assert!(names.len() == 1 && names.values().eq([&file]), "{names:?}");
        }
    }
}
