//! Real services, in this process or in their own, and fakes for parts that fail or lie.

mod durable;
mod faulty_journal;
mod impostor;
mod nats;
mod server;

pub use durable::DurableServer;
pub use faulty_journal::{Fault, FaultyJournal};
pub use impostor::{Call, Impostor, put, trailers};
pub use nats::{Nats, nats_server};
pub use server::Server;
