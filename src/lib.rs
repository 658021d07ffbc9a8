//! Chit Chat: a chat service whose order of events can be seen and proved.

pub mod chat;
pub mod cli;
pub mod client;
pub mod journal;
pub mod record;
pub mod server;
pub mod terminal;
pub mod trace;
pub mod wire;
