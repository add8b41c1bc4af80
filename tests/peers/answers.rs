//! The same random calls to the peer in Go and to the server: what they answer is the same.

use rand::{SeedableRng as _, rngs::StdRng};

use crate::{
    asked::{Asked, draw, keys},
    peer::{Peer, go},
    server::Server,
    side::Side,
};

const CALLS: usize = 4_000;

fn seed() -> u64 {
    let given = std::env::var("READSTATES_TEST_SEED").ok();
    given.map_or_else(rand::random, |seed| seed.parse().expect("a seed is a number"))
}

#[tokio::test]
async fn the_peer_answers_as_the_server_does() {
    let Some(go) = go() else { return };
    let seed = seed();
    println!("READSTATES_TEST_SEED={seed}");
    let (peer, server) = (Peer::start(go), Server::with(&["--store", "memory"]));
    let mut theirs = Side::connect(&peer.address).await;
    let mut ours = Side::connect(server.grpc()).await;
    let mut random = StdRng::seed_from_u64(seed);
    let drawn: Vec<Asked> = (0..CALLS).map(|number| draw(&mut random, number)).collect();
    let mut folded = false;
    for (number, asked) in drawn.into_iter().chain(keys().map(Asked::Get)).enumerate() {
        let (answer, expected) = (theirs.ask(&asked).await, ours.ask(&asked).await);
        assert_eq!(answer, expected, "seed {seed}, call {number}: {asked:?}");
        folded |= expected.iter().any(|told| told.contains("mentions_exact: false"));
    }
    assert!(folded, "seed {seed}: no ledger was full");
}
