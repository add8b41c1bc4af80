//! Every state, before anything is measured.

use std::net::SocketAddr;

use readstates::proto::{
    ApplyRequest, Operation, operation, read_states_service_client::ReadStatesServiceClient,
};

use crate::{node::Outcome, states::request};

const BATCH: u64 = 10_000;

pub fn fill(address: SocketAddr, entries: u64) -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut client = ReadStatesServiceClient::connect(format!("http://{address}")).await?;
        for batch in 0..entries.div_ceil(BATCH) {
            let keys = batch * BATCH..entries.min((batch + 1) * BATCH);
            let ack = |key| operation::Operation::Ack(request(key, 1));
            let operations = keys.map(|key| Operation { operation: Some(ack(key)) }).collect();
            client.apply(ApplyRequest { operations }).await?;
        }
        Ok(())
    })
}
