//! The crash journal from outside: its format, its damage, its repair.

mod builder;
mod damage;
mod draw;
mod reading;
mod repair;
