//! The bytes of a file, most of which may be zero.

use std::{collections::BTreeMap, sync::Arc};

const PAGE: usize = 4096;

/// Bytes up to a size; pages of zeros take no memory.
#[derive(Clone, Debug, Default)]
pub struct Content {
    size: u64,
    pages: BTreeMap<u64, Arc<[u8; PAGE]>>,
}

impl Content {
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Up to `length` bytes from `offset`; fewer at the end.
    pub fn read(&self, offset: u64, length: usize) -> Vec<u8> {
        let left = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; length.min(left)];
        for (page, within, part) in parts(offset, bytes.len()) {
            if let Some(held) = self.pages.get(&page) {
                bytes[part.clone()].copy_from_slice(&held[within..within + part.len()]);
            }
        }
        bytes
    }

    pub fn write(&mut self, offset: u64, bytes: &[u8]) {
        for (page, within, part) in parts(offset, bytes.len()) {
            let bytes = &bytes[part];
            let is_zero = bytes.iter().all(|byte| *byte == 0);
            if is_zero && !self.pages.contains_key(&page) {
                continue;
            }
            let held = self.pages.entry(page).or_insert_with(|| Arc::new([0; PAGE]));
            Arc::make_mut(held)[within..within + bytes.len()].copy_from_slice(bytes);
        }
        self.size = self.size.max(offset + bytes.len() as u64);
    }

    /// Cuts off what is behind `size`, or goes on with zeros up to there.
    pub fn set_size(&mut self, size: u64) {
        let (page, within) = (size / PAGE as u64, (size % PAGE as u64) as usize);
        self.pages.split_off(&size.div_ceil(PAGE as u64));
        if let Some(held) = self.pages.get_mut(&page) {
            Arc::make_mut(held)[within..].fill(0);
        }
        self.size = size;
    }
}

/// Which pages a range of `length` bytes from `offset` touches: the page, where in it, and which
/// part of the range.
fn parts(offset: u64, length: usize) -> impl Iterator<Item = (u64, usize, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = offset + done as u64;
        let within = (at % PAGE as u64) as usize;
        let part = done..length.min(done + PAGE - within);
        done = part.end;
        (!part.is_empty()).then_some((at / PAGE as u64, within, part))
    })
}

#[cfg(test)]
mod tests {
    use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

    use super::*;

    #[test]
    fn it_holds_what_a_plain_list_of_bytes_holds() {
        let mut rng = StdRng::seed_from_u64(7);
        let (mut content, mut plain) = (Content::default(), Vec::new());
        for _ in 0..500 {
            let offset = rng.random_range(0..4 * PAGE);
            let length = rng.random_range(0..2 * PAGE);
            if rng.random_bool(0.2) {
                content.set_size(offset as u64);
                plain.resize(offset, 0);
            } else {
                let bytes = vec![rng.random_range(0..3); length];
                content.write(offset as u64, &bytes);
                plain.resize(plain.len().max(offset + length), 0);
                plain[offset..offset + length].copy_from_slice(&bytes);
            }
            assert_eq!(content.read(0, usize::MAX >> 1), plain);
            let some = content.read(offset as u64, length);
            assert_eq!(some, plain[offset.min(plain.len())..(offset + length).min(plain.len())]);
        }
    }
}
