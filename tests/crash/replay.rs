//! A real chat, shuffled and with duplicates, while the server is killed every few seconds: the
//! replay goes on by itself where a server is back, and in the end every row is as the truth has
//! it.

use std::time::{Duration, Instant};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use tempfile::TempDir;
use tokio::{task::spawn_blocking, time::sleep};

use crate::{
    chat::{play, report},
    node::Plan,
    settings::{DURABILITY, seed},
};

/// A life of the server lasts between these; the moment of its end is what is drawn.
const LIFE_MIN: Duration = Duration::from_millis(500);
const LIFE_MAX: Duration = Duration::from_secs(3);
/// Below so many kills the chat was over before it came to anything.
const KILLS_MIN: u32 = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chat_played_over_kills_ends_as_the_truth_has_it() {
    let (seed, begun) = (seed(), Instant::now());
    let mut rng = StdRng::seed_from_u64(seed);
    let data = TempDir::new().expect("there is room for a directory");
    let flags = ["--durability", DURABILITY, "--cache-entries", "2000", "--flush-after", "1s"];
    let mut plan = Plan::new(data.path(), &flags);
    let start = |plan: &Plan| plan.start().unwrap_or_else(|ended| panic!("{ended:#?}"));
    let mut node = start(&plan);
    plan.listen = node.grpc().to_owned();
    let playing = play(node.grpc(), seed);
    let mut ended = spawn_blocking(move || playing.wait_with_output());
    let mut kills = 0;
    let output = loop {
        tokio::select! {
            output = &mut ended => break output.expect("waiting does not panic"),
            () = sleep(rng.random_range(LIFE_MIN..LIFE_MAX)) => {
                node.kill();
                node = start(&plan);
                kills += 1;
            }
        }
    };
    let output = output.expect("the child can be waited for");
    let report = report(&output);
    println!("{kills} kills, {:?}: {report:#}", begun.elapsed());
    assert_eq!(output.status.code(), Some(0), "{report:#}");
    let verified = &report["verified"];
    assert!(verified["equal"].as_u64() > Some(0), "{report:#}");
    for wrong in ["differ", "missing", "unexpected"] {
        assert_eq!(verified[wrong], 0, "{report:#}");
    }
    assert!(kills >= KILLS_MIN, "{kills} kills in {:?}", begun.elapsed());
}
