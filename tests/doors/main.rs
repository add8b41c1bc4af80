//! Who may call what, over the wire: every method by every kind of caller, with what each may not
//! do refused by the right code and without a trace, also while a stream is under way.

#[path = "../blackbox/bytes.rs"]
mod bytes;
mod credential;
mod house;
mod matrix;
mod methods;
mod openings;
mod streams;
