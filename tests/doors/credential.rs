//! What a caller shows. Tokens come with a call; a certificate would come with the connection.

use tonic::{Request, metadata::MetadataValue};

#[derive(Clone, Debug)]
pub enum Credential {
    Nothing,
    /// The `authorization` header as it is.
    Header(&'static str),
    /// The token of the caller with that name.
    TokenOf(&'static str),
}

/// The token of a caller of that name.
pub fn token_of(name: &str) -> String {
    format!("readstates_token-of-{name}")
}

impl Credential {
    pub fn sign<T>(&self, request: &mut Request<T>) {
        let value = match self {
            Self::Nothing => return,
            Self::Header(value) => (*value).to_owned(),
            Self::TokenOf(name) => format!("Bearer {}", token_of(name)),
        };
        let value = MetadataValue::try_from(value).expect("it is a header");
        request.metadata_mut().insert("authorization", value);
    }
}
