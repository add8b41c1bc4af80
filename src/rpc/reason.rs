//! The reasons of the contract: what a caller can tell errors of one code apart by.

use tonic::Code;

/// Why a call or an item failed. Names and codes are part of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    InvalidId,
    InvalidType,
    InvalidCount,
    InvalidPageSize,
    InvalidPageToken,
    ConflictingFields,
    InvalidState,
    EmptyOperation,
    TooManyItems,
    MalformedRequest,
    MessageTooLarge,
    ReadStateNotFound,
    VersionMismatch,
    DirtyLimit,
    TooManyRequests,
    SlowConsumer,
    StoreUnavailable,
    JournalFailed,
    DiskFull,
    Draining,
    NotOwner,
    StoreCorrupt,
    Deadline,
    NoCredentials,
    Role,
    Unimplemented,
    UnknownService,
}

impl Reason {
    /// As it stands in `google.rpc.ErrorInfo.reason` and in the results of items.
    pub fn name(self) -> &'static str {
        match self {
            Self::InvalidId => "INVALID_ID",
            Self::InvalidType => "INVALID_TYPE",
            Self::InvalidCount => "INVALID_COUNT",
            Self::InvalidPageSize => "INVALID_PAGE_SIZE",
            Self::InvalidPageToken => "INVALID_PAGE_TOKEN",
            Self::ConflictingFields => "CONFLICTING_FIELDS",
            Self::InvalidState => "INVALID_STATE",
            Self::EmptyOperation => "EMPTY_OPERATION",
            Self::TooManyItems => "TOO_MANY_ITEMS",
            Self::MalformedRequest => "MALFORMED_REQUEST",
            Self::MessageTooLarge => "MESSAGE_TOO_LARGE",
            Self::ReadStateNotFound => "READ_STATE_NOT_FOUND",
            Self::VersionMismatch => "VERSION_MISMATCH",
            Self::DirtyLimit => "DIRTY_LIMIT",
            Self::TooManyRequests => "TOO_MANY_REQUESTS",
            Self::SlowConsumer => "SLOW_CONSUMER",
            Self::StoreUnavailable => "STORE_UNAVAILABLE",
            Self::JournalFailed => "JOURNAL_FAILED",
            Self::DiskFull => "DISK_FULL",
            Self::Draining => "DRAINING",
            Self::NotOwner => "NOT_OWNER",
            Self::StoreCorrupt => "STORE_CORRUPT",
            Self::Deadline => "DEADLINE",
            Self::NoCredentials => "NO_CREDENTIALS",
            Self::Role => "ROLE",
            Self::Unimplemented => "UNIMPLEMENTED",
            Self::UnknownService => "UNKNOWN_SERVICE",
        }
    }

    pub fn code(self) -> Code {
        match self {
            Self::InvalidId
            | Self::InvalidType
            | Self::InvalidCount
            | Self::InvalidPageSize
            | Self::InvalidPageToken
            | Self::ConflictingFields
            | Self::InvalidState
            | Self::EmptyOperation
            | Self::TooManyItems
            | Self::MalformedRequest => Code::InvalidArgument,
            Self::ReadStateNotFound | Self::UnknownService => Code::NotFound,
            Self::VersionMismatch => Code::Aborted,
            Self::MessageTooLarge
            | Self::DirtyLimit
            | Self::TooManyRequests
            | Self::SlowConsumer
            | Self::DiskFull => Code::ResourceExhausted,
            Self::StoreUnavailable | Self::JournalFailed | Self::Draining | Self::NotOwner => {
                Code::Unavailable
            }
            Self::StoreCorrupt => Code::DataLoss,
            Self::Deadline => Code::DeadlineExceeded,
            Self::NoCredentials => Code::Unauthenticated,
            Self::Role => Code::PermissionDenied,
            Self::Unimplemented => Code::Unimplemented,
        }
    }
}
