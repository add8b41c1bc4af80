//! Stores from outside: the format of their rows, and one contract that all of them keep.

mod codec;
mod faults;
mod golden;
mod states;
