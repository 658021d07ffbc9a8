//! Clients that leave every byte to the test.

mod http1;
mod participant;
mod tls;
mod web;
mod wire;

pub use http1::{Answer, Http1};
pub use participant::Participant;
pub use tls::{KeyPair, connect_tls};
pub use web::{BINARY, Part, TEXT, Web, WebAnswer};
pub use wire::{Frames, Window, Wire, frame, refused};
