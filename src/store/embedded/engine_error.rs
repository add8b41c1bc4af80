//! What the engine's errors mean to those who use the store.

use std::sync::Arc;

use fjall::{Error as EngineError, LsmError};

use crate::store::StoreError;

impl From<EngineError> for StoreError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Io(error) | EngineError::Storage(LsmError::Io(error)) => {
                Self::Io(Arc::new(error))
            }
            EngineError::Locked => {
                Self::Unavailable("another process has its folder open".to_owned())
            }
            EngineError::Poisoned => Self::Unavailable(
                "an earlier write to its disk failed, and it takes no more until it is reopened"
                    .to_owned(),
            ),
            EngineError::InvalidVersion(Some(version)) => {
                Self::NewerFormat(format!("the engine's files have format {version}"))
            }
            damaged => Self::Corrupt(damaged.to_string().into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_disk_damage_and_outages_are_told_apart() {
        let disk = || std::io::Error::other("no disk");
        for (error, kind) in [
            (EngineError::Io(disk()), "io"),
            (EngineError::Storage(LsmError::Io(disk())), "io"),
            (EngineError::Poisoned, "unavailable"),
            (EngineError::Locked, "unavailable"),
            (EngineError::Storage(LsmError::Unrecoverable), "corrupt"),
            (EngineError::InvalidTrailer, "corrupt"),
        ] {
            assert_eq!(StoreError::from(error).kind(), kind);
        }
    }
}
