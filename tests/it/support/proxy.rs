//! A network that can be cut, in both directions or in one.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// Forwards connections to a service until it is cut.
pub struct Proxy {
    pub address: SocketAddr,
    network: Arc<Mutex<Network>>,
    swallowed: watch::Receiver<usize>,
    held: watch::Sender<Held>,
    _accepting: AbortOnDropHandle<()>,
}

/// Which directions carry nothing for now. The connections stay open, as on a cable with one broken wire.
#[derive(Clone, Copy, Debug, Default)]
pub struct Held {
    /// From the side that connects to the service.
    pub there: bool,
    /// From the service to the side that connects.
    pub back: bool,
}

/// The current state of the network.
#[derive(Clone)]
enum Network {
    Through {
        service: SocketAddr,
        cut: CancellationToken,
    },
    /// Accepts connections and closes them.
    Cut,
    /// Accepts connections and never answers.
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

    /// Sets which directions carry nothing, in existing and new connections.
    pub fn hold(&self, held: Held) {
        self.held.send_replace(held);
    }

    /// Breaks all connections, and leaves every new one without an answer until [`restore`](Self::restore). Returns
    /// after this many connections.
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
    // When one direction ends, so does the other.
    tokio::join!(
        carry(from_inner, to_outer, held.clone(), |held| held.there),
        carry(from_outer, to_inner, held, |held| held.back),
    );
}

/// Forwards bytes while the direction is not held.
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
