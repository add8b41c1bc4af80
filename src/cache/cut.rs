//! A line through the versions of all shards, drawn without stopping anybody.

use super::Cache;
use crate::model::Version;

impl Cache {
    /// A version such that every change made from now on has a newer one, and every change made
    /// before this began has it or an older one, unless it came from elsewhere with its version.
    ///
    /// The newest version is looked for first and every shard raised to it then: what a shard does
    /// in between is on either side, but on one.
    pub fn cut(&self) -> Version {
        // Above 0, which is the version of nothing, also where there never was a change.
        let version = self.newest_version().max(Version::ZERO.next());
        self.raise_versions(version);
        version
    }

    /// Makes every change from now on have a version above `version`.
    pub fn raise_versions(&self, version: Version) {
        self.shards.each(|shard| shard.book.last = shard.book.last.max(version)).for_each(drop);
    }
}
