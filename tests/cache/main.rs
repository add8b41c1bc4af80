//! Holds the cache against plain models, from the outside: by the bugs that every write-behind
//! cache meets, at its limits, and under threads.

mod limits;
mod races;
mod rows;
mod scene;
mod threads;
mod users;
mod versions;
