//! A network that can be cut.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// Passes connections on to a service for as long as it is not cut.
pub struct Proxy {
    pub address: SocketAddr,
    /// What keeps the connections of today; none while the network is cut.
    network: Arc<Mutex<Option<CancellationToken>>>,
    _accepting: AbortOnDropHandle<()>,
}

impl Proxy {
    pub async fn to(service: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let network = Arc::new(Mutex::new(Some(CancellationToken::new())));
        let today = network.clone();
        let accepting = tokio::spawn(async move {
            loop {
                let (inner, _) = listener.accept().await.unwrap();
                if let Some(network) = today.lock().unwrap().clone() {
                    tokio::spawn(network.run_until_cancelled_owned(pass(inner, service)));
                }
            }
        });
        Self { address, network, _accepting: AbortOnDropHandle::new(accepting) }
    }

    /// Breaks all connections, and every new one until [`restore`](Self::restore).
    pub fn cut(&self) {
        if let Some(network) = self.network.lock().unwrap().take() {
            network.cancel();
        }
    }

    pub fn restore(&self) {
        *self.network.lock().unwrap() = Some(CancellationToken::new());
    }
}

async fn pass(mut inner: TcpStream, service: SocketAddr) {
    if let Ok(mut outer) = TcpStream::connect(service).await {
        // However it ends, it has ended for both.
        let _ = tokio::io::copy_bidirectional(&mut inner, &mut outer).await;
    }
}
