//! Black box: the built program on free ports, met only over gRPC, HTTP and signals, by our own
//! client and by those of other projects. One target, so that it is linked once.

mod admin;
mod bad_input;
mod bench;
mod connections;
mod failure;
mod grpc_js;
mod grpcio;
mod grpcurl;
mod health;
mod http;
mod journal;
mod junk;
mod lifecycle;
mod program;
mod raw;
mod reflection;
mod replay;
mod server;
mod tool;
mod watching;
