//! The model against the contract: a naive read state that keeps every mention, the numbered
//! scenarios that are about one state, the contract's details, order and duplication, and undo.

mod agreement;
mod details;
mod naive;
mod operations;
mod order;
mod scenarios;
mod subject;
mod undo;
