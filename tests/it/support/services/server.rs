//! A service in this process.

use std::net::SocketAddr;
use std::time::Duration;

use chitchat::journal::{Journal, MemoryJournal};
use chitchat::server::{self, Config, Rate, ServerError};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::AbortOnDropHandle;

use super::super::soon;

/// A running service on its own port. Dropping it stops the service.
pub struct Server {
    pub address: SocketAddr,
    shutdown: DropGuard,
    running: AbortOnDropHandle<Result<(), ServerError>>,
}

impl Server {
    pub async fn start() -> Self {
        Self::with(Self::config()).await
    }

    /// The defaults, but with a short drain and no limits on messages and joins per second.
    pub fn config() -> Config {
        Config {
            drain: Duration::from_millis(200),
            publish_rate: Rate::UNLIMITED,
            publish_per_address_rate: Rate::UNLIMITED,
            join_rate: Rate::UNLIMITED,
            ..Config::default()
        }
    }

    pub async fn with(config: Config) -> Self {
        let epoch = server::new_epoch(&config.environment);
        Self::on(Box::new(MemoryJournal::new(epoch)), config).await
    }

    pub async fn on(journal: Box<dyn Journal>, config: Config) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(server::run(listener, config, journal, shutdown.clone()));
        Self { address, shutdown: shutdown.drop_guard(), running: AbortOnDropHandle::new(running) }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Asks it to stop and waits until it has.
    pub async fn stop(self) -> Result<(), ServerError> {
        drop(self.shutdown);
        soon(self.running).await.unwrap()
    }

    /// Waits until it stops on its own.
    pub async fn ends(self) -> Result<(), ServerError> {
        soon(self.running).await.unwrap()
    }
}
