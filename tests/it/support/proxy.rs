//! A network that can be cut.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// Passes connections on to a service for as long as it is not cut.
pub struct Proxy {
    pub address: SocketAddr,
    network: Arc<Mutex<Option<Network>>>,
    _accepting: AbortOnDropHandle<()>,
}

/// The network of today; there is none while it is cut.
#[derive(Clone)]
struct Network {
    service: SocketAddr,
    cut: CancellationToken,
}

impl Proxy {
    pub async fn to(service: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let network = Arc::new(Mutex::new(Some(Network { service, cut: CancellationToken::new() })));
        let today = network.clone();
        let accepting = tokio::spawn(async move {
            loop {
                let (inner, _) = listener.accept().await.unwrap();
                if let Some(Network { service, cut }) = today.lock().unwrap().clone() {
                    tokio::spawn(cut.run_until_cancelled_owned(pass(inner, service)));
                }
            }
        });
        Self { address, network, _accepting: AbortOnDropHandle::new(accepting) }
    }

    /// Breaks all connections, and every new one until [`restore`](Self::restore).
    pub fn cut(&self) {
        if let Some(network) = self.network.lock().unwrap().take() {
            network.cut.cancel();
        }
    }

    /// Connects again, to the same service or another.
    pub fn restore(&self, service: SocketAddr) {
        *self.network.lock().unwrap() = Some(Network { service, cut: CancellationToken::new() });
    }
}

async fn pass(mut inner: TcpStream, service: SocketAddr) {
    if let Ok(mut outer) = TcpStream::connect(service).await {
        // However it ends, it has ended for both.
        let _ = tokio::io::copy_bidirectional(&mut inner, &mut outer).await;
    }
}
