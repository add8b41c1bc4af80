//! Holds the cache against plain models, from the outside: by random walks that compare every
//! answer, by the bugs that every write-behind cache meets, at its limits, and under threads.

mod batches;
mod draw;
mod imports;
mod limits;
mod races;
mod random_walk;
mod rows;
mod scene;
mod threads;
mod truth;
mod users;
mod versions;
mod written_down;
