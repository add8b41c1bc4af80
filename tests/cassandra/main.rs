//! The store in Cassandra, against real nodes: one that all tests share, and clusters whose nodes
//! are killed and stopped.
//!
//! Nodes are started from the jars in `READSTATES_TEST_CASSANDRA_LIB`, which `.ci/run` fetches.
//! Where `READSTATES_TEST_CASSANDRA` names a server as HOST:PORT, ScyllaDB too, the tests that
//! share a node use that one, and those that need a cluster of their own are skipped.

#[path = "../crash/chat.rs"]
mod chat;
mod clock_jumps;
#[path = "../store/contract.rs"]
mod contract;
mod cql;
mod deposed;
#[path = "../blackbox/http.rs"]
#[allow(dead_code, reason = "other tests need more of it")]
mod http;
mod java;
mod keyspace;
mod late;
mod load;
mod long;
mod node;
mod nodes;
mod offers;
mod outages;
mod places;
#[path = "../blackbox/program.rs"]
mod program;
#[path = "../blackbox/server.rs"]
#[allow(dead_code, reason = "other tests need more of it")]
mod server;
mod serving;
#[path = "../store/states.rs"]
mod states;
#[path = "../blackbox/tool.rs"]
#[allow(dead_code, reason = "other tests need other tools")]
mod tool;
