//! Progress on stderr; hidden where that is not a terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar towards an end that is known, or soon will be.
pub fn progress_bar() -> ProgressBar {
    styled("{wide_bar} {human_pos}/{human_len}  {per_sec}  {eta} left")
}

/// A count of `what`, towards an end that is not known.
pub fn counter(what: &str) -> ProgressBar {
    styled(&format!("{{spinner}} {{human_pos}} {what}  {{per_sec}}  {{elapsed}}"))
}

/// A bar over milliseconds of a time that is known, with a message.
pub fn clock_bar() -> ProgressBar {
    styled("{wide_bar} {elapsed}  {msg}")
}

fn styled(look: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    match ProgressStyle::with_template(look) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
