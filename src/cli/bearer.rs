//! The token that a client shows with each of its calls: from a file or a variable, never from the
//! command line, which everyone on the machine can read.

use std::{
    env, fmt, fs,
    path::Path,
    task::{Context, Poll},
};

use http::{HeaderValue, Request, header::AUTHORIZATION};
use tower::Service;

use super::failure::Failure;

/// The variable that has a token itself.
pub const TOKEN_VARIABLE: &str = "READSTATES_TOKEN";

/// What is sent with a call, if anything.
#[derive(Clone, Default)]
pub struct Bearer(Option<HeaderValue>);

impl Bearer {
    /// The token in `file`, else the one in the environment, else none.
    pub fn find(file: Option<&Path>) -> Result<Self, Failure> {
        if let Some(file) = file {
            let name = file.display();
            let text = fs::read_to_string(file)
                .map_err(|error| Failure::Usage(format!("--token-file {name}: {error}")))?;
            return Self::of(&text, &format!("--token-file {name}"));
        }
        match env::var(TOKEN_VARIABLE) {
            Ok(text) if text.is_empty() => Ok(Self::default()),
            Ok(text) => Self::of(&text, TOKEN_VARIABLE),
            Err(env::VarError::NotPresent) => Ok(Self::default()),
            Err(env::VarError::NotUnicode(_)) => Err(no_token(TOKEN_VARIABLE)),
        }
    }

    /// That of a text, of which the end of a line is no part. What it is, is not told.
    fn of(text: &str, origin: &str) -> Result<Self, Failure> {
        let token = text.trim_end_matches(['\n', '\r']);
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(no_token(origin));
        }
        let value = HeaderValue::try_from(format!("Bearer {token}"));
        let mut value = value.map_err(|_| no_token(origin))?;
        value.set_sensitive(true);
        Ok(Self(Some(value)))
    }

    /// Adds it to a request.
    pub fn sign<B>(&self, request: &mut Request<B>) {
        if let Some(value) = &self.0 {
            request.headers_mut().insert(AUTHORIZATION, value.clone());
        }
    }
}

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "(a token)" } else { "(no token)" })
    }
}

fn no_token(origin: &str) -> Failure {
    Failure::Usage(format!("{origin}: allowed is one line with a token"))
}

/// A connection whose requests all have the token.
#[derive(Clone, Debug)]
pub struct Signed<S> {
    inner: S,
    bearer: Bearer,
}

impl<S> Signed<S> {
    /// Signs what goes into `inner`.
    pub fn new(inner: S, bearer: Bearer) -> Self {
        Self { inner, bearer }
    }
}

impl<S: Service<Request<B>>, B> Service<Request<B>> for Signed<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        self.bearer.sign(&mut request);
        self.inner.call(request)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::failure::Exit, *};

    fn header(bearer: &Bearer) -> Option<HeaderValue> {
        let mut request = Request::new(());
        bearer.sign(&mut request);
        request.headers().get(AUTHORIZATION).cloned()
    }

    #[test]
    fn a_file_has_a_token_on_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        fs::write(&path, "readstates_abc\r\n").unwrap();
        let bearer = Bearer::find(Some(&path)).unwrap();
        let header = header(&bearer).unwrap();
        assert_eq!(header, "Bearer readstates_abc");
        assert!(header.is_sensitive());
        assert_eq!(format!("{bearer:?} {header:?}"), "(a token) Sensitive");
        for wrong in ["", "\n", "hunter 2", "hunter2\nmore", "hunter\u{e9}"] {
            fs::write(&path, wrong).unwrap();
            let refused = Bearer::find(Some(&path)).unwrap_err();
            assert_eq!(refused.exit(), Exit::Usage);
            assert!(!refused.to_string().contains("hunter"), "{refused}");
        }
        let refused = Bearer::find(Some(&folder.path().join("none"))).unwrap_err();
        assert_eq!(refused.exit(), Exit::Usage);
    }

    #[test]
    fn without_a_token_nothing_is_sent() {
        assert_eq!(header(&Bearer::default()), None);
    }
}
