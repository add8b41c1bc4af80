//! Unary load from inside the process: callers that each call again once they are answered.

use std::time::{Duration, Instant};

use rand::{SeedableRng as _, rngs::SmallRng};
use tonic::transport::Channel;

/// Opens so many connections.
pub async fn connect(
    address: &str,
    connections: usize,
) -> Result<Vec<Channel>, Box<dyn std::error::Error>> {
    let mut channels = Vec::new();
    for _ in 0..connections {
        channels.push(Channel::from_shared(address.to_owned())?.connect().await?);
    }
    Ok(channels)
}

/// Calls a second with so many callers.
pub async fn rate<C, F>(
    channels: &[Channel],
    in_flight: usize,
    duration: Duration,
    call: C,
) -> Result<f64, Box<dyn std::error::Error>>
where
    C: Fn(Channel, &mut SmallRng) -> F + Clone + Send + 'static,
    F: Future<Output = Result<(), tonic::Status>> + Send,
{
    let started = Instant::now();
    let callers: Vec<_> = (0..in_flight)
        .map(|caller| {
            let channel = channels[caller % channels.len()].clone();
            let call = call.clone();
            tokio::spawn(async move {
                let mut random = SmallRng::seed_from_u64(caller as u64);
                let mut calls = 0_u64;
                while started.elapsed() < duration {
                    call(channel.clone(), &mut random).await?;
                    calls += 1;
                }
                Ok::<u64, tonic::Status>(calls)
            })
        })
        .collect();
    let mut calls = 0;
    for caller in callers {
        calls += caller.await??;
    }
    Ok(calls as f64 / started.elapsed().as_secs_f64())
}
