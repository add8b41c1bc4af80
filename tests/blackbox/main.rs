//! Black box: the built program on free ports, met only over gRPC, HTTP and signals, by our own
//! client and by those of other projects. One target, so that it is linked once.

mod admin;
mod authority;
mod bad_input;
mod bench;
mod bytes;
mod calling;
mod config;
mod connections;
mod doors;
mod edges;
mod envoy;
mod failure;
mod frames;
mod grpc_js;
mod grpcio;
mod grpcurl;
mod health;
mod http;
mod journal;
mod junk;
mod lifecycle;
mod overload;
mod program;
mod raw;
mod reflection;
mod replay;
mod request_ids;
mod server;
mod small_frames;
mod systemd;
mod tls;
mod tool;
mod watching;
