//! The sample file: every setting with what it does, at its default. It lies in
//! `deploy/readstates.toml`.

use super::{settings, spelling};

/// A TOML file that spells out every default.
pub fn sample() -> String {
    let mut text = String::from("# Settings of readstates. Flags and variables go before them.\n");
    for setting in settings() {
        text.push('\n');
        text.push_str(&spelling::comment(setting.help()));
        text.push_str(&spelling::assignment(setting.key, setting.default));
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// For the message of the test only: at the root of the repository.
    const REGENERATE: &str = "cargo run -- config sample > deploy/readstates.toml";

    #[test]
    fn the_file_that_is_deployed_is_the_sample() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/readstates.toml");
        let file = std::fs::read_to_string(path).unwrap_or_default();
        // Not `assert_eq`, which would bury the message under two whole files.
        let first = sample().lines().zip(file.lines()).position(|(sample, file)| sample != file);
        assert!(
            file == sample(),
            "deploy/readstates.toml is not the sample any more, from line {} on; run: {REGENERATE}",
            first.unwrap_or_else(|| sample().lines().count().min(file.lines().count())) + 1
        );
    }
}
