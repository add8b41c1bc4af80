//! The row of the lease, by lightweight transactions.

use std::sync::Arc;

use scylla::{
    client::{execution_profile::ExecutionProfile, session::Session},
    policies::retry::FallthroughRetryPolicy,
    response::query_result::QueryRowsResult,
    statement::{Consistency, SerialConsistency, prepared::PreparedStatement},
    value::{CqlValue, Row as Columns},
};

use super::{
    CassandraOptions, columns::version_of_column, failure::unavailable, requests::Requests,
};
use crate::store::{LeaseRow, StoreError, Swap};

/// Serial in all datacenters: services of two of them must not both hold it.
const SERIAL: SerialConsistency = SerialConsistency::Serial;

/// What touches the row of the lease. Nothing is tried again here: the outcome of a transaction
/// that failed is unknown, and the row tells.
pub(super) struct LeaseStatements {
    read: PreparedStatement,
    replace: PreparedStatement,
    make: PreparedStatement,
}

impl LeaseStatements {
    pub(super) async fn prepare(
        session: &Session,
        options: &CassandraOptions,
    ) -> Result<Self, StoreError> {
        let profile = ExecutionProfile::builder()
            .request_timeout(Some(options.request_within))
            .retry_policy(Arc::new(FallthroughRetryPolicy))
            .consistency(Consistency::Quorum)
            .serial_consistency(Some(SERIAL))
            .build()
            .into_handle();
        let keyspace = &options.keyspace;
        let prepare = async |text: String| {
            let mut statement = session.prepare(text).await.map_err(unavailable)?;
            statement.set_execution_profile_handle(Some(profile.clone()));
            Ok::<_, StoreError>(statement)
        };
        let mut read = prepare(format!(
            "SELECT owner, incarnation, beat, epoch, ceiling FROM {keyspace}.lease WHERE id = 0"
        ))
        .await?;
        read.set_consistency(Consistency::Serial);
        let replace = prepare(format!(
            "UPDATE {keyspace}.lease \
             SET owner = ?, incarnation = ?, beat = ?, epoch = ?, ceiling = ? WHERE id = 0 \
             IF owner = ? AND incarnation = ? AND beat = ? AND epoch = ? AND ceiling = ?"
        ))
        .await?;
        let make = prepare(format!(
            "INSERT INTO {keyspace}.lease (id, owner, incarnation, beat, epoch, ceiling) \
             VALUES (0, ?, ?, ?, ?, ?) IF NOT EXISTS"
        ))
        .await?;
        Ok(Self { read, replace, make })
    }
}

type LeaseColumns = (String, i64, i64, i64, i64);

fn columns(row: &LeaseRow) -> LeaseColumns {
    let number = u64::cast_signed;
    let ceiling = number(row.ceiling.as_micros());
    (row.owner.clone(), number(row.incarnation), number(row.beat), number(row.epoch), ceiling)
}

fn row((owner, incarnation, beat, epoch, ceiling): LeaseColumns) -> LeaseRow {
    LeaseRow {
        owner,
        incarnation: incarnation.cast_unsigned(),
        beat: beat.cast_unsigned(),
        epoch: epoch.cast_unsigned(),
        ceiling: version_of_column(ceiling),
    }
}

pub(super) async fn read(requests: &Requests) -> Result<Option<LeaseRow>, StoreError> {
    // It waits for no place among other requests: a slow database must not cost the lease.
    let found = requests.transact(&requests.lease.read, ()).await?;
    let mut found = found.rows::<LeaseColumns>().map_err(unavailable)?;
    found.next().transpose().map_err(unavailable).map(|found| found.map(row))
}

pub(super) async fn swap(
    requests: &Requests,
    seen: Option<LeaseRow>,
    new: LeaseRow,
) -> Result<Swap, StoreError> {
    let statements = &requests.lease;
    let (owner, incarnation, beat, epoch, ceiling) = columns(&new);
    let answer = match seen {
        None => {
            let values = (owner, incarnation, beat, epoch, ceiling);
            requests.transact(&statements.make, values).await?
        }
        Some(seen) => {
            let is = columns(&seen);
            let values = (owner, incarnation, beat, epoch, ceiling, is.0, is.1, is.2, is.3, is.4);
            requests.transact(&statements.replace, values).await?
        }
    };
    if applied(&answer)? {
        return Ok(Swap::Done);
    }
    Ok(Swap::Differs(read(requests).await?))
}

/// The first column of what a lightweight transaction answers.
fn applied(answer: &QueryRowsResult) -> Result<bool, StoreError> {
    let columns = answer.first_row::<Columns>().map_err(unavailable)?;
    match columns.columns.first() {
        Some(Some(CqlValue::Boolean(applied))) => Ok(*applied),
        _ => Err(unavailable("a lightweight transaction was answered without its outcome")),
    }
}
