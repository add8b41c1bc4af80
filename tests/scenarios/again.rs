//! Items that are refused while the store takes what is dirty, sent again as callers do: a small
//! cache on a busy disk may have no room for the last of ten thousand in time.

use tonic::Code;

/// Each round waits until there is room for some more, or for seconds.
const ROUNDS_MAX: usize = 50;

/// The results of all `items`, in their order; `code` is that of a result.
pub async fn until_taken<T: Clone, R, F: Future<Output = Vec<R>>>(
    items: Vec<T>,
    code: impl Fn(&R) -> i32,
    mut send: impl FnMut(Vec<T>) -> F,
) -> Vec<R> {
    let mut results = send(items.clone()).await;
    assert_eq!(results.len(), items.len());
    for _ in 0..ROUNDS_MAX {
        let is_refused = |place: &usize| code(&results[*place]) == Code::ResourceExhausted as i32;
        let refused: Vec<usize> = (0..items.len()).filter(is_refused).collect();
        if refused.is_empty() {
            return results;
        }
        let again = send(refused.iter().map(|place| items[*place].clone()).collect()).await;
        assert_eq!(again.len(), refused.len());
        for (place, result) in refused.into_iter().zip(again) {
            results[place] = result;
        }
    }
    panic!("some were still refused after {ROUNDS_MAX} rounds");
}
