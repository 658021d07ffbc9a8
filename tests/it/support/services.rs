//! Services that are real, in this process or as one of their own, and what stands for a part that fails or lies.

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
