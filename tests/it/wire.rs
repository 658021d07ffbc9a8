//! The API, byte by byte, over hand-made connections.
//!
//! | module | what it shows |
//! |---|---|
//! | [`far_behind`] | a reader that is further behind than the feed reaches |
//! | [`grpc_web`] | gRPC-Web over HTTP/1.1 and HTTP/2, byte by byte |
//! | [`join`] | Join and resume, byte by byte |
//! | [`presence`] | notices of who is connected, between the events |
//! | [`publish`] | Publish, Leave and ListEvents, byte by byte |
//! | [`shutdown`] | the drain, and its limit |
//! | [`stream`] | heartbeats, slow readers, the end of a stream |

mod far_behind;
mod grpc_web;
mod join;
mod presence;
mod publish;
mod shutdown;
mod stream;
