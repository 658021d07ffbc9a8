//! How fast the service reads from one address. Reading slowly is the cheapest defense against any flood: TCP makes the
//! sender wait.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::server::ops::limiter::Rate;

/// How much a request counts in addition to its bytes: about the cost of refusing one.
pub const REQUEST_COST_BYTES: usize = 2 * 1024;
/// How much a new connection counts: about the cost of a TLS handshake.
pub const CONNECTION_COST_BYTES: usize = 8 * 1024;

/// The most bytes that are read at once from an address that has to wait. This is small, since the cost of a read
/// is known only afterwards, and each of hundreds of connections may have a read that was due before the debt grew.
const TURN_BYTES_MAX: usize = 256;
/// When this many addresses are remembered, those without a debt are forgotten.
const ADDRESSES_REMEMBERED: usize = 20_000;

/// The limits of all addresses. Clones share them.
#[derive(Clone, Debug)]
pub struct IngressLimits {
    /// `None`: no limit.
    shaper: Option<Arc<TrafficShaper>>,
}

/// Delays the bytes that an address sends beyond its rate.
#[derive(Debug)]
struct TrafficShaper {
    /// In KiB.
    rate: Rate,
    started: Instant,
    by_address: Mutex<Addresses>,
    /// Reads that had to wait.
    delayed: Counter,
}

#[derive(Debug)]
struct Addresses {
    accounts: HashMap<IpAddr, Arc<Account>>,
    /// The number of accounts at which idle ones are searched for: twice as many as the last search left, since a
    /// search visits all of them.
    search_at: usize,
}

/// How much one address has sent, counted by the generic cell rate algorithm (ITU-T I.371).
#[derive(Debug)]
struct Account {
    /// When everything so far would have been sent at the allowed rate, in nanoseconds since the start.
    paid_at: AtomicU64,
}

impl IngressLimits {
    /// `rate` is in KiB; `delayed` counts the reads that had to wait.
    pub fn new(rate: Rate, delayed: Counter) -> Self {
        let by_address = Mutex::new(Addresses { accounts: HashMap::new(), search_at: ADDRESSES_REMEMBERED });
        let shaper = TrafficShaper { rate, started: Instant::now(), by_address, delayed };
        Self { shaper: (rate.per_second > 0).then(|| Arc::new(shaper)) }
    }

    /// The pace of a new connection from an address; `None` if there is no limit.
    pub fn connection(&self, address: IpAddr) -> Option<Arc<Pace>> {
        let shaper = self.shaper.clone()?;
        let pace = Pace { account: shaper.account(address), shaper, due: AtomicU64::new(0) };
        pace.count(CONNECTION_COST_BYTES);
        Some(Arc::new(pace))
    }

    /// Counts a request that came through a proxy. Many addresses share the proxy's connection, so reading it cannot be
    /// delayed for one of them.
    ///
    /// # Errors
    /// How long the address has to wait, if it has used up its rate; the request is then not counted.
    pub fn count_proxied(&self, address: IpAddr) -> Result<(), Duration> {
        let Some(shaper) = &self.shaper else { return Ok(()) };
        let (account, now) = (shaper.account(address), shaper.now());
        match account.paid_at.load(Ordering::Relaxed).checked_sub(now) {
            None | Some(0) => {
                shaper.count(&account, REQUEST_COST_BYTES);
                Ok(())
            }
            Some(wait) => Err(Duration::from_nanos(wait)),
        }
    }
}

impl TrafficShaper {
    fn account(&self, address: IpAddr) -> Arc<Account> {
        let mut addresses = self.by_address.lock();
        if addresses.accounts.len() >= addresses.search_at {
            let now = self.now();
            let owes = |account: &Arc<Account>| {
                account.paid_at.load(Ordering::Relaxed) > now.saturating_sub(self.burst())
            };
            addresses.accounts.retain(|_, account| Arc::strong_count(account) > 1 || owes(account));
            addresses.search_at = ADDRESSES_REMEMBERED.max(2 * addresses.accounts.len());
        }
        let fresh = || Arc::new(Account { paid_at: AtomicU64::new(0) });
        addresses.accounts.entry(address).or_insert_with(fresh).clone()
    }

    /// Counts bytes, and returns when they are paid for.
    fn count(&self, account: &Account, bytes: usize) -> u64 {
        let (earliest, cost) = (self.now().saturating_sub(self.burst()), self.nanos(bytes as u64));
        let paid_at = |before: u64| before.max(earliest).saturating_add(cost);
        let add = |before| Some(paid_at(before));
        let before = account.paid_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
        paid_at(before.unwrap_or_else(|unchanged| unchanged))
    }

    fn burst(&self) -> u64 {
        self.nanos(u64::from(self.rate.burst) * 1024)
    }

    /// How long it takes to send these bytes at the allowed rate.
    fn nanos(&self, bytes: u64) -> u64 {
        bytes.saturating_mul(1_000_000_000 / 1024) / u64::from(self.rate.per_second.max(1))
    }

    fn now(&self) -> u64 {
        // The time since the start, plus a burst, which every address may send at the start.
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX).saturating_add(self.burst())
    }

    fn instant(&self, nanos: u64) -> Instant {
        self.started + Duration::from_nanos(nanos.saturating_sub(self.burst()))
    }
}

/// How fast one connection is read.
#[derive(Debug)]
pub struct Pace {
    account: Arc<Account>,
    shaper: Arc<TrafficShaper>,
    /// When the bytes that this connection has sent are paid for.
    due: AtomicU64,
}

impl Pace {
    /// Counts bytes, or their equivalent. The connection is read again when they are paid for.
    pub fn count(&self, bytes: usize) {
        self.due.fetch_max(self.shaper.count(&self.account, bytes), Ordering::Relaxed);
    }

    /// When this connection may be read again; `None` if it may be read now.
    fn wait_until(&self) -> Option<Instant> {
        let due = self.due.load(Ordering::Relaxed);
        (due > self.shaper.now()).then(|| self.shaper.instant(due))
    }

    fn is_address_waiting(&self) -> bool {
        self.account.paid_at.load(Ordering::Relaxed) > self.shaper.now()
    }
}

/// A connection that is read at the pace of its address.
#[derive(Debug)]
pub struct Paced<T> {
    inner: T,
    pace: Option<Arc<Pace>>,
    pause: Option<Pin<Box<Sleep>>>,
}

impl<T> Paced<T> {
    /// Reads at a pace, or without limit.
    pub fn new(inner: T, pace: Option<Arc<Pace>>) -> Self {
        Self { inner, pace, pause: None }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Paced<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { inner, pace, pause } = self.get_mut();
        let Some(pace) = pace else { return Pin::new(inner).poll_read(cx, buffer) };
        loop {
            if let Some(pause) = pause {
                ready!(pause.as_mut().poll(cx));
            }
            *pause = pace.wait_until().map(|due| Box::pin(sleep_until(due)));
            if pause.is_none() {
                break;
            }
            pace.shaper.delayed.inc();
        }
        let before = buffer.filled().len();
        if pace.is_address_waiting() {
            let mut turn = ReadBuf::new(buffer.initialize_unfilled_to(buffer.remaining().min(TURN_BYTES_MAX)));
            ready!(Pin::new(inner).poll_read(cx, &mut turn))?;
            let read = turn.filled().len();
            buffer.advance(read);
        } else {
            ready!(Pin::new(inner).poll_read(cx, buffer))?;
        }
        pace.count(buffer.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Paced<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match slices {
            // Most deliveries are like this. A plain write costs the system less.
            [single] => Pin::new(&mut self.inner).poll_write(cx, single),
            _ => Pin::new(&mut self.inner).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const KIB: usize = 1024;

    fn limits(per_second: u32, burst: u32) -> IngressLimits {
        IngressLimits::new(Rate { per_second, burst }, Counter::default())
    }

    fn address(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    /// A burst is read at once, the rest at the rate, over however many connections; another address does not wait.
    #[tokio::test]
    async fn pace_of_an_address() {
        let limits = limits(1024, 128);
        let started = Instant::now();
        let mut reads = Vec::new();
        for _ in 0..2 {
            let (mut sender, receiver) = duplex(256 * KIB);
            sender.write_all(&[0; 152 * KIB]).await.unwrap();
            let mut paced = Paced::new(receiver, limits.connection(address(1)));
            reads.push(tokio::spawn(async move {
                for _ in 0..38 {
                    paced.read_exact(&mut [0; 4 * KIB]).await.unwrap();
                }
                drop(sender);
            }));
        }
        for read in reads {
            read.await.unwrap();
        }
        // Two connections and 304 KiB count as 320 KiB; 128 of them do not wait, and neither do the last turns.
        assert!(started.elapsed() >= Duration::from_millis(184 * 1000 / 1024), "{:?}", started.elapsed());
        assert!(limits.connection(address(2)).unwrap().wait_until().is_none());
        assert!(limits.shaper.unwrap().delayed.get() > 0);
    }

    /// Requests count in addition to their bytes, over every transport.
    #[tokio::test]
    async fn requests_count() {
        // So slow that the test's own duration does not matter.
        let limits = limits(1, 16);
        let pace = limits.connection(address(1)).unwrap();
        for _ in 0..4 {
            assert_eq!(pace.wait_until(), None);
            pace.count(REQUEST_COST_BYTES);
        }
        // A connection and four requests are 16 KiB.
        assert_eq!(limits.count_proxied(address(1)), Ok(()));
        let wait = limits.count_proxied(address(1)).unwrap_err();
        assert!(wait <= Duration::from_secs(2), "{wait:?}");
        assert_eq!(pace.wait_until(), None, "what others sent counts when this one is read again");
        pace.count(KIB);
        assert!(pace.wait_until().is_some());
        assert_eq!(limits.count_proxied(address(2)), Ok(()));
    }

    /// Without a limit nothing is counted; idle addresses are forgotten, but not those that have sent something lately.
    #[tokio::test]
    async fn addresses_are_forgotten() {
        assert!(IngressLimits::new(Rate::UNLIMITED, Counter::default()).connection(address(1)).is_none());
        let limits = limits(1, 16);
        drop(limits.connection(address(1)));
        let limits = limits.shaper.unwrap();
        let open = limits.account(address(2));
        limits.account(address(3));
        limits.by_address.lock().search_at = 0;
        limits.account(address(4));
        let addresses = limits.by_address.lock();
        let mut left: Vec<_> = addresses.accounts.keys().copied().collect();
        left.sort();
        assert_eq!(left, [1, 2, 4].map(address));
        drop(open);
    }
}
