//! The crash journal from outside: its format, its damage, its repair.

mod append;
mod builder;
mod damage;
mod disk_full;
mod draw;
mod failure;
mod golden;
mod inspect;
mod reading;
mod recovery;
mod repair;
mod rolling;
mod round_trip;
mod scene;
mod starts;
mod written;
