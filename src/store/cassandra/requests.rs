//! Requests to the cluster: bounded in number, paged, and with their errors as the store's.

use scylla::{
    client::session::Session,
    deserialize::row::DeserializeRow,
    response::{PagingState, PagingStateResponse, query_result::QueryRowsResult},
    serialize::{batch::BatchValues, row::SerializeRow},
    statement::{
        batch::{Batch, BatchStatement, BatchType},
        prepared::PreparedStatement,
    },
};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::{
    CassandraOptions, columns::Selected, failure::unavailable, lease::LeaseStatements,
    statements::Statements,
};
use crate::store::StoreError;

/// A way to ask the cluster.
pub(super) struct Requests {
    session: Session,
    pub(super) statements: Statements,
    pub(super) lease: LeaseStatements,
    places: Semaphore,
    pub(super) options: CassandraOptions,
}

impl Requests {
    pub(super) async fn prepare(
        session: Session,
        options: CassandraOptions,
    ) -> Result<Self, StoreError> {
        let statements = Statements::prepare(&session, &options).await?;
        let lease = LeaseStatements::prepare(&session, &options).await?;
        let places = Semaphore::new(options.requests_max.max(1));
        Ok(Self { session, statements, lease, places, options })
    }

    async fn place(&self) -> Result<SemaphorePermit<'_>, StoreError> {
        self.places.acquire().await.map_err(|_| StoreError::Closed)
    }

    /// Writes with one statement.
    pub(super) async fn write(
        &self,
        statement: &PreparedStatement,
        values: impl SerializeRow,
    ) -> Result<(), StoreError> {
        let _place = self.place().await?;
        self.session.execute_unpaged(statement, values).await.map_err(unavailable)?;
        Ok(())
    }

    /// Writes rows of one partition together, in the manner of `like`.
    pub(super) async fn write_together(
        &self,
        statements: Vec<BatchStatement>,
        like: &PreparedStatement,
        values: impl BatchValues,
    ) -> Result<(), StoreError> {
        let mut batch = Batch::new_with_statements(BatchType::Unlogged, statements);
        batch.set_is_idempotent(true);
        if let Some(consistency) = like.get_consistency() {
            batch.set_consistency(consistency);
        }
        let _place = self.place().await?;
        self.session.batch(&batch, values).await.map_err(unavailable)?;
        Ok(())
    }

    /// Part of a lightweight transaction, and what it answers. It waits for no place.
    pub(super) async fn transact(
        &self,
        statement: &PreparedStatement,
        values: impl SerializeRow,
    ) -> Result<QueryRowsResult, StoreError> {
        let answer = self.session.execute_unpaged(statement, values).await.map_err(unavailable)?;
        answer.into_rows_result().map_err(unavailable)
    }

    /// All rows of a small answer.
    pub(super) async fn read<R>(
        &self,
        statement: &PreparedStatement,
        values: impl SerializeRow,
    ) -> Result<Vec<R>, StoreError>
    where
        R: for<'frame, 'metadata> DeserializeRow<'frame, 'metadata>,
    {
        self.read_some(statement, values, usize::MAX, |_| true).await
    }

    /// Rows of states, page by page, until there are `enough`; some more may come. Users who have
    /// a mark and no rows are left out.
    pub(super) async fn states(
        &self,
        statement: &PreparedStatement,
        values: impl SerializeRow,
        enough: usize,
    ) -> Result<Vec<Selected>, StoreError> {
        self.read_some(statement, values, enough, Selected::is_row).await
    }

    /// Rows that are wanted, page by page, until there are `enough`; some more may come.
    pub(super) async fn read_some<R>(
        &self,
        statement: &PreparedStatement,
        values: impl SerializeRow,
        enough: usize,
        mut is_wanted: impl FnMut(&R) -> bool,
    ) -> Result<Vec<R>, StoreError>
    where
        R: for<'frame, 'metadata> DeserializeRow<'frame, 'metadata>,
    {
        let mut read = Vec::new();
        let mut from = PagingState::start();
        loop {
            let place = self.place().await?;
            let page = self.session.execute_single_page(statement, &values, from).await;
            drop(place);
            let (page, next) = page.map_err(unavailable)?;
            let page = page.into_rows_result().map_err(unavailable)?;
            for row in page.rows::<R>().map_err(unavailable)? {
                let row = row.map_err(unavailable)?;
                if is_wanted(&row) {
                    read.push(row);
                }
            }
            match next {
                PagingStateResponse::HasMorePages { state } if read.len() < enough => from = state,
                _ => return Ok(read),
            }
        }
    }
}
