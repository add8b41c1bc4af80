//! Stores from outside: the format of their rows, and one contract that all of them keep.

mod codec;
mod contract;
mod damage;
mod embedded;
mod faults;
mod golden;
mod places;
mod states;
