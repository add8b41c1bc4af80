//! The bytes of a simulated file: as read now, as kept by a power cut, and what is between.

use rand::{Rng as _, RngCore};

/// What a disk writes as a whole.
const PIECE_BYTES: usize = 512;

/// A file with its unsynced writes.
#[derive(Default)]
pub(super) struct SimulatedFile {
    live: Vec<u8>,
    kept: Vec<u8>,
    /// Writes since the last sync, in order.
    pending: Vec<(usize, Vec<u8>)>,
}

impl SimulatedFile {
    pub(super) fn durable(bytes: Vec<u8>) -> Self {
        Self { live: bytes.clone(), kept: bytes, pending: Vec::new() }
    }

    pub(super) fn live(&self) -> &[u8] {
        &self.live
    }

    pub(super) fn kept(&self) -> &[u8] {
        &self.kept
    }

    pub(super) fn write(&mut self, at: usize, bytes: &[u8]) {
        put(&mut self.live, at, bytes);
        self.pending.push((at, bytes.to_vec()));
    }

    pub(super) fn sync(&mut self) {
        for (at, bytes) in self.pending.drain(..) {
            put(&mut self.kept, at, &bytes);
        }
    }

    /// The kernel tells of the failure once and takes the pages for clean from then on.
    pub(super) fn fail_sync(&mut self) {
        self.pending.clear();
    }

    /// What is kept, and of what is not yet the pieces that chance keeps.
    pub(super) fn after_power_cut(&self, chance: &mut dyn RngCore) -> Vec<u8> {
        let mut bytes = self.kept.clone();
        for (at, written) in &self.pending {
            let mut start = 0;
            while start < written.len() {
                let to_border = PIECE_BYTES - (at + start) % PIECE_BYTES;
                let end = (start + to_border).min(written.len());
                if chance.random_bool(0.5) {
                    put(&mut bytes, at + start, &written[start..end]);
                }
                start = end;
            }
        }
        bytes
    }

    pub(super) fn damage(&mut self, change: impl Fn(&mut Vec<u8>)) {
        change(&mut self.live);
        change(&mut self.kept);
    }
}

fn put(file: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    let end = at + bytes.len();
    if file.len() < end {
        file.resize(end, 0);
    }
    file[at..end].copy_from_slice(bytes);
}
