//! The pages of a `List`, one after the other, each held against what the contract says of them.

use crate::proto::{ListRequest, ListResponse};

/// Most pages followed for one user: at 1,000 rows a page, a hundred million states.
const PAGES_MAX: u32 = 100_000;

/// Where a listing stands: what to ask for next, and what was last seen.
pub struct Pages {
    request: Option<ListRequest>,
    pages: u32,
    last_row: Option<(i32, u64)>,
}

impl Pages {
    /// A listing that starts with `request`.
    pub fn new(request: ListRequest) -> Self {
        Self { request: Some(request), pages: 0, last_row: None }
    }

    /// The request for the next page; `None` after the last.
    pub fn request(&self) -> Option<&ListRequest> {
        self.request.as_ref()
    }

    /// Takes the answer to [`Self::request`] in. An error says how it breaks the contract: rows
    /// that do not rise from row to row and page to page, or pages without an end.
    pub fn turn(&mut self, page: &ListResponse) -> Result<(), String> {
        for state in &page.states {
            let row = (state.r#type, state.channel_id);
            if self.last_row.is_some_and(|last| row <= last) {
                return Err(format!("List repeats or misplaces channel {}", state.channel_id));
            }
            self.last_row = Some(row);
        }
        self.pages += 1;
        if page.next_page_token.is_empty() {
            self.request = None;
        } else if self.pages == PAGES_MAX {
            return Err(format!("List does not end after {PAGES_MAX} pages"));
        } else if let Some(request) = &mut self.request {
            request.page_token.clone_from(&page.next_page_token);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::ReadState;

    fn page(channels: &[u64], token: &str) -> ListResponse {
        let row = |channel_id: &u64| ReadState {
            channel_id: *channel_id,
            r#type: 1,
            ..ReadState::default()
        };
        ListResponse {
            states: channels.iter().map(row).collect(),
            next_page_token: token.to_owned(),
            ..ListResponse::default()
        }
    }

    #[test]
    fn tokens_are_followed_to_the_last_page() {
        let mut pages = Pages::new(ListRequest { user_id: 7, ..ListRequest::default() });
        pages.turn(&page(&[1, 2], "a")).unwrap();
        assert_eq!(pages.request().unwrap().page_token, "a");
        assert_eq!(pages.request().unwrap().user_id, 7);
        pages.turn(&page(&[], "b")).unwrap();
        assert_eq!(pages.request().unwrap().page_token, "b");
        pages.turn(&page(&[3], "")).unwrap();
        assert_eq!(pages.request(), None);
    }

    #[test]
    fn a_row_that_comes_twice_breaks_the_contract() {
        let mut pages = Pages::new(ListRequest::default());
        pages.turn(&page(&[1, 2], "a")).unwrap();
        assert!(pages.turn(&page(&[2], "")).is_err());
    }

    #[test]
    fn pages_without_an_end_are_given_up() {
        let mut pages = Pages::new(ListRequest::default());
        let outcome = (0..=PAGES_MAX).try_for_each(|_| pages.turn(&page(&[], "again")));
        assert!(outcome.is_err());
    }
}
