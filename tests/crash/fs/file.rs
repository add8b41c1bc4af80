//! A file: what it shows, what of that lasts, and what lies between.

use rand::{Rng as _, rngs::StdRng};

use super::content::Content;

/// A disk writes its sectors whole ...
const SECTOR_BYTES: u64 = 512;
/// ... and at times whole pages.
const PAGE_BYTES: u64 = 4096;

#[derive(Clone, Debug)]
enum Change {
    Write {
        offset: u64,
        bytes: Vec<u8>,
    },
    /// As many zeros; told apart because files are filled with them in advance.
    Zeros {
        offset: u64,
        length: usize,
    },
    Size(u64),
}

impl Change {
    fn of_bytes(offset: u64, bytes: &[u8]) -> Self {
        if bytes.iter().all(|byte| *byte == 0) {
            return Self::Zeros { offset, length: bytes.len() };
        }
        Self::Write { offset, bytes: bytes.to_vec() }
    }

    fn on(&self, content: &mut Content) {
        match self {
            Self::Write { offset, bytes } => content.write(*offset, bytes),
            Self::Zeros { offset, length } => content.write(*offset, &vec![0; *length]),
            Self::Size(size) => content.set_size(*size),
        }
    }

    /// Those pieces of it that a disk has written by chance.
    fn partly_on(&self, content: &mut Content, chance: f64, rng: &mut StdRng) {
        let (offset, bytes) = match self {
            Self::Size(_) => return self.on(content),
            Self::Write { offset, bytes } => (*offset, bytes.clone()),
            Self::Zeros { offset, length } => (*offset, vec![0; *length]),
        };
        let piece_bytes = if rng.random_bool(0.5) { SECTOR_BYTES } else { PAGE_BYTES };
        let end = offset + bytes.len() as u64;
        let mut at = offset;
        while at < end {
            let next = end.min((at / piece_bytes + 1) * piece_bytes);
            if rng.random_bool(chance) {
                content.write(at, &bytes[(at - offset) as usize..(next - offset) as usize]);
            }
            at = next;
        }
    }
}

#[derive(Clone, Debug, Default)]
pub struct File {
    live: Content,
    durable: Content,
    unsynced: Vec<Change>,
}

impl File {
    /// One that shows and keeps this.
    pub fn of(content: Content) -> Self {
        Self { live: content.clone(), durable: content, unsynced: Vec::new() }
    }

    pub fn live(&self) -> &Content {
        &self.live
    }

    pub fn write(&mut self, offset: u64, bytes: &[u8]) {
        self.change(Change::of_bytes(offset, bytes));
    }

    pub fn set_size(&mut self, size: u64) {
        self.change(Change::Size(size));
    }

    fn change(&mut self, change: Change) {
        change.on(&mut self.live);
        self.unsynced.push(change);
    }

    /// From now on everything shown lasts.
    pub fn sync(&mut self) {
        for change in self.unsynced.drain(..) {
            change.on(&mut self.durable);
        }
    }

    /// A sync has failed, and the system takes for clean what it could not write: it shows until
    /// the power goes, and no later sync makes it last.
    pub fn fail_sync(&mut self) {
        self.unsynced.clear();
    }

    /// What a power cut leaves.
    pub fn after_power_cut(&self, rng: &mut StdRng) -> Content {
        let mut left = self.durable.clone();
        let reached = match rng.random_range(0..3) {
            0 => self.unsynced.len(),
            _ => rng.random_range(0..=self.unsynced.len()),
        };
        let chance = *[0.0, 0.5, 0.9, 1.0].get(rng.random_range(0..4)).unwrap_or(&0.5);
        for change in &self.unsynced[..reached] {
            change.partly_on(&mut left, chance, rng);
        }
        left
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    fn cuts(file: &File) -> Vec<Vec<u8>> {
        let mut rng = StdRng::seed_from_u64(5);
        let mut cuts: Vec<_> =
            (0..200).map(|_| file.after_power_cut(&mut rng).read(0, 1 << 20)).collect();
        cuts.sort();
        cuts.dedup();
        cuts
    }

    #[test]
    fn what_was_synced_lasts_and_the_rest_may() {
        let mut file = File::default();
        file.write(0, &[1; 512]);
        file.sync();
        assert_eq!(cuts(&file), [vec![1; 512]]);
        file.write(512, &[2; 1024]);
        let cuts = cuts(&file);
        for left in [
            vec![1; 512],
            [vec![1; 512], vec![2; 1024]].concat(),
            [vec![1; 512], vec![2; 512]].concat(),
            [vec![1; 512], vec![0; 512], vec![2; 512]].concat(),
        ] {
            assert!(cuts.contains(&left), "{left:?}");
        }
        assert_eq!(cuts.len(), 4);
        assert!(cuts.iter().all(|left| left[..512] == [1; 512]));
    }

    #[test]
    fn what_a_failed_sync_took_for_clean_shows_and_never_lasts() {
        let mut file = File::default();
        file.write(0, &[1; 8]);
        file.fail_sync();
        file.write(8, &[2; 8]);
        file.sync();
        assert_eq!(file.live().read(0, 16), [[1; 8], [2; 8]].concat());
        assert_eq!(cuts(&file), [[[0; 8], [2; 8]].concat()]);
    }
}
