//! `token`: a new token for a caller, and its line for the callers file of a server.

use aws_lc_rs::rand;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use clap::Args;
use serde_json::json;

use super::{
    Exit,
    failure::Failure,
    output::{complain, say, say_json},
};
use crate::doors::Digest;

/// How much of a token is drawn at random: nobody will guess it.
const RANDOM_BYTES: usize = 32;
/// Tells tokens of this service from others, for whoever finds one where it should not be.
const PREFIX: &str = "readstates_";

/// Flags of `token`.
#[derive(Args, Clone, Debug)]
pub struct TokenArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Prints a token that nobody has yet.
pub fn token(args: TokenArgs) -> Result<Exit, Failure> {
    let token = draw()?;
    let digest = Digest::of(token.as_bytes()).hex();
    if args.json {
        say_json(&json!({ "token": token, "token_sha256": digest }))?;
        return Ok(Exit::Done);
    }
    say(&format!("{token}\ntoken_sha256 = \"{digest}\""))?;
    complain(
        "The first line is for the caller, and is not shown again; the second for --callers-file.",
    );
    Ok(Exit::Done)
}

fn draw() -> Result<String, Failure> {
    let mut random = [0; RANDOM_BYTES];
    let drawn = rand::fill(&mut random);
    drawn.map_err(|_| std::io::Error::other("the system gives no random numbers"))?;
    Ok(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_long_of_visible_letters_and_never_the_same() {
        let [one, other] = [draw(), draw()].map(|token| token.unwrap());
        assert_ne!(one, other);
        assert_eq!(one.len(), PREFIX.len() + 43);
        assert!(
            one.starts_with(PREFIX) && one.bytes().all(|byte| byte.is_ascii_graphic()),
            "{one}"
        );
    }
}
