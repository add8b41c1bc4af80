//! How much one request may ask for.

use super::{reason::Reason, status::Failure};

/// Bounds on requests. What is above one is refused, or cut where the contract says so.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Users, operations, acks or states in one request.
    pub items: usize,
    /// Keys or users whose states one request asks for.
    pub keys: usize,
    /// Rows on one page.
    pub page_size: usize,
}

/// Rows on a page where the caller does not say.
pub(super) const DEFAULT_PAGE_SIZE: usize = 1_000;

pub(super) fn check_items(field: &str, items: usize, limit: usize) -> Result<(), Failure> {
    if items <= limit {
        return Ok(());
    }
    let message = format!("{items} items are too many: at most {limit} in one request");
    Err(Failure::of_field(Reason::TooManyItems, field, message))
}
