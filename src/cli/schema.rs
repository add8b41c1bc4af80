//! `schema`: the tables that a cluster needs before a server can use it.

use clap::{Args, Subcommand};

use super::{
    Exit,
    cluster::ClusterSettings,
    failure::Failure,
    output::{complain, say},
};
use crate::store::{CassandraOptions, Cluster, Replication, schema as statements};

/// What can be done with the tables of a cluster.
#[derive(Clone, Debug, Subcommand)]
pub enum SchemaCommand {
    /// Print the statements that make keyspace and tables, for cqlsh
    Print(SchemaArgs),
    /// Make keyspace and tables where they are not there; what is there stays as it is
    Apply(SchemaArgs),
}

/// Flags of both.
#[derive(Args, Clone, Debug)]
pub struct SchemaArgs {
    /// Copies of each row in each datacenter, where the keyspace is not there yet
    #[arg(long, value_name = "NUMBER", env = "READSTATES_REPLICATION_FACTOR", default_value = "3",
        value_parser = clap::value_parser!(u32).range(1..=100))]
    replication_factor: u32,
    #[command(flatten)]
    cluster: ClusterSettings,
}

pub(super) async fn schema(command: SchemaCommand) -> Result<Exit, Failure> {
    match command {
        SchemaCommand::Print(args) => print(&args),
        SchemaCommand::Apply(args) => apply(args).await,
    }
}

fn print(SchemaArgs { replication_factor, cluster }: &SchemaArgs) -> Result<Exit, Failure> {
    let replication = Replication { factor: *replication_factor };
    for statement in statements(&cluster.config().cassandra_keyspace, &replication) {
        say(&format!("{statement};\n"))?;
    }
    Ok(Exit::Done)
}

async fn apply(SchemaArgs { replication_factor, cluster }: SchemaArgs) -> Result<Exit, Failure> {
    let options = CassandraOptions::of(cluster.config());
    let (points, keyspace) = (options.contact_points.join(", "), &options.keyspace);
    complain(&format!("making what is missing in the keyspace {keyspace}, by way of {points}"));
    Cluster::apply_schema(&options, Replication { factor: replication_factor }).await?;
    say(&format!("the keyspace {keyspace} is ready"))?;
    Ok(Exit::Done)
}
