//! The crash journal from outside: its format, its damage, its repair.

mod append;
mod builder;
mod damage;
mod disk_full;
mod draw;
mod failure;
mod reading;
mod repair;
mod rolling;
mod scene;
