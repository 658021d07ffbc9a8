//! A network that can be cut, in both directions or in one.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// Passes connections on to a service for as long as it is not cut.
pub struct Proxy {
    pub address: SocketAddr,
    network: Arc<Mutex<Network>>,
    swallowed: watch::Receiver<usize>,
    held: watch::Sender<Held>,
    _accepting: AbortOnDropHandle<()>,
}

/// Which directions carry nothing for now. The connections stay, as behind a cable of which one wire is broken.
#[derive(Clone, Copy, Debug, Default)]
pub struct Held {
    /// From the side that connects to the service.
    pub there: bool,
    /// From the service to the side that connects.
    pub back: bool,
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
        let (held, holding) = watch::channel(Held::default());
        let accepting = tokio::spawn(async move {
            let mut kept = Vec::new();
            loop {
                let (inner, _) = listener.accept().await.unwrap();
                match today.lock().unwrap().clone() {
                    Network::Through { service, cut } => {
                        let passing = pass(inner, service, holding.clone());
                        tokio::spawn(cut.run_until_cancelled_owned(passing));
                    }
                    Network::Cut => {}
                    Network::Swallowing => {
                        kept.push(inner);
                        count.send_replace(kept.len());
                    }
                }
            }
        });
        Self { address, network, swallowed, held, _accepting: AbortOnDropHandle::new(accepting) }
    }

    /// Breaks all connections, and every new one until [`restore`](Self::restore).
    pub fn cut(&self) {
        self.turn(Network::Cut);
    }

    /// Lets directions carry nothing, of the connections that there are and of new ones.
    pub fn hold(&self, held: Held) {
        self.held.send_replace(held);
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

async fn pass(inner: TcpStream, service: SocketAddr, held: watch::Receiver<Held>) {
    let Ok(outer) = TcpStream::connect(service).await else { return };
    let _ = (inner.set_nodelay(true), outer.set_nodelay(true));
    let ((from_inner, to_inner), (from_outer, to_outer)) = (inner.into_split(), outer.into_split());
    // However it ends, it has ended for both.
    tokio::join!(
        carry(from_inner, to_outer, held.clone(), |held| held.there),
        carry(from_outer, to_inner, held, |held| held.back),
    );
}

/// Carries what comes for as long as the direction is not held.
async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut held: watch::Receiver<Held>,
    is_held: fn(&Held) -> bool,
) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if held.wait_for(|held| !is_held(held)).await.is_err() || to.write_all(&buffer[..count]).await.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await;
}
