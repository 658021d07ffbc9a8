//! A network that can be cut.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// Passes connections on to a service for as long as it is not cut.
pub struct Proxy {
    pub address: SocketAddr,
    network: Arc<Mutex<Network>>,
    swallowed: watch::Receiver<usize>,
    _accepting: AbortOnDropHandle<()>,
}

/// The network of today.
#[derive(Clone)]
enum Network {
    Through {
        service: SocketAddr,
        cut: CancellationToken,
    },
    /// Takes connections and closes them.
    Cut,
    /// Takes connections, and nothing ever comes of them.
    Swallowing,
}

impl Proxy {
    pub async fn to(service: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let network = Arc::new(Mutex::new(Network::through(service)));
        let (today, (count, swallowed)) = (network.clone(), watch::channel(0));
        let accepting = tokio::spawn(async move {
            let mut kept = Vec::new();
            loop {
                let (inner, _) = listener.accept().await.unwrap();
                match today.lock().unwrap().clone() {
                    Network::Through { service, cut } => {
                        tokio::spawn(cut.run_until_cancelled_owned(pass(inner, service)));
                    }
                    Network::Cut => {}
                    Network::Swallowing => {
                        kept.push(inner);
                        count.send_replace(kept.len());
                    }
                }
            }
        });
        Self { address, network, swallowed, _accepting: AbortOnDropHandle::new(accepting) }
    }

    /// Breaks all connections, and every new one until [`restore`](Self::restore).
    pub fn cut(&self) {
        self.turn(Network::Cut);
    }

    /// Breaks all connections, and lets every new one hope until [`restore`](Self::restore). Returns when it
    /// has taken so many.
    pub async fn swallow(&mut self, connections: usize) {
        self.turn(Network::Swallowing);
        super::soon(self.swallowed.wait_for(|count| *count >= connections)).await.unwrap();
    }

    /// Connects again, to the same service or another.
    pub fn restore(&self, service: SocketAddr) {
        self.turn(Network::through(service));
    }

    fn turn(&self, network: Network) {
        if let Network::Through { cut, .. } = std::mem::replace(&mut *self.network.lock().unwrap(), network) {
            cut.cancel();
        }
    }
}

impl Network {
    fn through(service: SocketAddr) -> Self {
        Self::Through { service, cut: CancellationToken::new() }
    }
}

async fn pass(mut inner: TcpStream, service: SocketAddr) {
    if let Ok(mut outer) = TcpStream::connect(service).await {
        // However it ends, it has ended for both.
        let _ = tokio::io::copy_bidirectional(&mut inner, &mut outer).await;
    }
}
