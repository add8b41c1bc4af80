//! `GetSummary`: the badge of a user, counted anew from all of the user's channels.

use super::{
    Engine, Error,
    user_scan::{SCAN_STEP_ROWS, UserScan},
};
use crate::model::{Kind, UserId, Version};

/// The badge of one user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Sum over the user's channels, saturating.
    pub mention_count: u32,
    /// Channels with mentions.
    pub channels_with_mentions: u32,
    /// Channels with the user's own dot.
    pub channels_marked_unread: u32,
    /// Every change up to this version is counted in.
    pub version: Version,
}

impl Engine {
    /// Sums up what `List` would show of the user's channels.
    ///
    /// # Errors
    /// That the store did not answer.
    pub async fn summary(&self, user: UserId) -> Result<Summary, Error> {
        let mut summary = Summary::default();
        let mut unflushed = None;
        let mut scan = UserScan::new(self, user, None, SCAN_STEP_ROWS);
        let mut first = true;
        while let Some(step) = scan.step().await? {
            if std::mem::take(&mut first) {
                summary.version = step.version;
            }
            unflushed = unflushed.max(step.unflushed);
            let channels = step.rows.iter().filter(|(key, _)| key.kind == Kind::Channel);
            for (_, view) in channels {
                summary.mention_count = summary.mention_count.saturating_add(view.mention_count);
                summary.channels_with_mentions += u32::from(view.mention_count > 0);
                summary.channels_marked_unread += u32::from(view.marked_unread);
            }
        }
        if let Some(record) = unflushed {
            self.secured(record).await?;
        }
        Ok(summary)
    }
}
