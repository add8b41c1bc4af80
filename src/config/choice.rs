//! Settings that are a choice between names.

/// Where states rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// In files under the data directory.
    Embedded,
    /// In memory only: everything is gone with the server.
    Memory,
    /// In a cluster of Apache Cassandra or ScyllaDB.
    Cassandra,
}

/// How many replicas of a cluster have to answer a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReplicaQuorum {
    /// Most of those of the nearest datacenter: `LOCAL_QUORUM`.
    #[default]
    Local,
    /// Most of those of all datacenters: `QUORUM`.
    Global,
    /// Of writes, in each datacenter most: `EACH_QUORUM`; of reads as [`Self::Local`].
    Each,
}

/// What an acknowledgement means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// The change is in the journal, on disk.
    Journal,
    /// The change is in memory and reaches the store within `flush-after`.
    Memory,
    /// The change is committed in the store.
    Store,
}

/// How the threads that serve calls share the connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuntimeForm {
    /// Each has connections of its own, from their first byte to their last.
    PerCore,
    /// Whichever is free takes the next call of any connection.
    Shared,
}

/// The shape of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text where a person reads it on a terminal, JSON otherwise.
    Auto,
    /// Lines for people.
    Text,
    /// One JSON object per line.
    Json,
}

/// A name that is taken but cannot be had yet, and what to say of it.
pub(super) type Later = (&'static str, &'static str);

impl StoreKind {
    pub(super) const NAMES: &[(&'static str, Self)] =
        &[("embedded", Self::Embedded), ("memory", Self::Memory), ("cassandra", Self::Cassandra)];
    pub(super) const LATER: &[Later] = &[];
}

impl ReplicaQuorum {
    pub(super) const NAMES: &[(&'static str, Self)] =
        &[("local-quorum", Self::Local), ("quorum", Self::Global), ("each-quorum", Self::Each)];
    pub(super) const LATER: &[Later] = &[];
}

impl Durability {
    pub(super) const NAMES: &[(&'static str, Self)] =
        &[("journal", Self::Journal), ("memory", Self::Memory), ("store", Self::Store)];
    pub(super) const LATER: &[Later] = &[];
}

impl RuntimeForm {
    pub(super) const NAMES: &[(&'static str, Self)] =
        &[("per-core", Self::PerCore), ("shared", Self::Shared)];
    pub(super) const LATER: &[Later] = &[];
}

impl LogFormat {
    pub(super) const NAMES: &[(&'static str, Self)] =
        &[("auto", Self::Auto), ("text", Self::Text), ("json", Self::Json)];
    pub(super) const LATER: &[Later] = &[];
}
