//! The contract over the wire: every numbered scenario of a single node, without its events, and
//! every promise of the unary calls, through the generated client against a whole server.
//!
//! Each suite runs on several grounds: a roomy cache; one of a few entries, so that every state is
//! evicted and loaded again all the time; and such a one over files on the disk.

mod acks;
mod again;
mod apply;
mod apply_stream;
mod badges;
mod bulk;
mod deadline;
mod deletes;
mod delta;
mod errors;
mod fan_out;
mod fields;
mod flags;
mod ground;
mod guards;
mod kinds;
mod limits;
mod mentions;
mod naive;
mod paging;
mod random;
mod rewinds;
mod snapshots;
mod subject;
mod undo;
mod watch;
