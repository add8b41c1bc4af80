//! `journal offer`: the owner of a keyspace gets what a service had not flushed that was deposed
//! and is not to stand by again.

use std::sync::Arc;

use clap::Args;
use serde_json::json;

use super::Place;
use crate::{
    cli::{
        Exit,
        cluster::ClusterSettings,
        failure::Failure,
        output::{complain, say, say_json},
    },
    journal::{JournalOptions, Offering, Recovery},
    store::{CassandraOptions, Cluster},
};

/// Flags of `journal offer`.
#[derive(Args, Clone, Debug)]
pub struct OfferArgs {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    cluster: ClusterSettings,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn offer(OfferArgs { place, cluster, json }: OfferArgs) -> Result<Exit, Failure> {
    let recovery = Recovery::open(Arc::new(place.open()?), JournalOptions::default())?;
    let options = CassandraOptions::of(cluster.config());
    let (points, keyspace) = (options.contact_points.join(", "), options.keyspace.clone());
    let records = recovery.records();
    complain(&format!(
        "offering up to {records} records to the keyspace {keyspace}, by way of {points}"
    ));
    let offering = Offering::new(Cluster::connect(options).await?);
    let offered = offering.offer(recovery).await?;
    if json {
        say_json(&json!({
            "keyspace": keyspace,
            "states": offered.states.to_string(),
            "deletions": offered.deletions.to_string(),
        }))?;
    } else {
        let (states, deletions) = (offered.states, offered.deletions);
        say(&format!(
            "{states} states and {deletions} deletions of users wait in the keyspace {keyspace}: \
             its owner merges them within seconds, or when there is one; the journal is removed"
        ))?;
    }
    Ok(Exit::Done)
}
