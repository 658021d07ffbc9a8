//! Does a reader that stops reading delay the others? A publisher, many readers, and the time from each
//! publish to each delivery: first with readers that all read, then with some that have stopped.
//!
//! `cargo bench --bench fan_out -- [READERS] [STALLED] [MESSAGES]`

use std::error::Error;
use std::time::{Duration, Instant};

use chitchat::journal::MemoryJournal;
use chitchat::server::{self, Config, Rate};
use chitchat::wire::pb::chit_chat_service_client::ChitChatServiceClient;
use chitchat::wire::pb::join_response::Frame;
use chitchat::wire::pb::{JoinRequest, JoinResponse, PublishRequest, event::Kind};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::Streaming;
use tonic::transport::{Channel, Endpoint};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Small, so that the server soon notices a reader that has stopped.
const WINDOW_BYTES: u32 = 65_535;
const TEXT: &str = "The quick brown fox jumps over the lazy dog, and everybody is told in the same order.";

#[tokio::main]
async fn main() -> Result<()> {
    let figures: Vec<usize> = std::env::args().skip(1).filter_map(|figure| figure.parse().ok()).collect();
    let figure = |index: usize, default: usize| figures.get(index).copied().unwrap_or(default);
    let (readers, stalled, messages) = (figure(0, 1000), figure(1, 200), figure(2, 1000));
    println!("{messages} messages, one at a time, to {readers} readers; milliseconds from publish to delivery\n");
    println!(
        "{:>7} {:>7} {:>9} {:>8} {:>8} {:>8} {:>12} {:>9}",
        "reading", "stalled", "delivered", "p50", "p99", "max", "deliveries/s", "RSS MiB"
    );
    measure(readers - stalled, 0, messages).await?;
    measure(readers - stalled, stalled, messages).await
}

async fn measure(reading: usize, stalled: usize, messages: usize) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}", listener.local_addr()?);
    let shutdown = CancellationToken::new();
    let (drain, publish_rate) = (Duration::from_millis(100), Rate::UNLIMITED);
    let config = Config { drain, publish_rate, ..Config::default() }.without_address_limits();
    let journal = Box::new(MemoryJournal::new(server::new_epoch(&config.environment)));
    let server = tokio::spawn(server::run(listener, config, journal, shutdown.clone()));

    // Held and never read again.
    let mut idle = Vec::new();
    for n in 0..stalled {
        idle.push(join(&address, &format!("stalled {n}")).await?);
    }
    let mut readers = JoinSet::new();
    for n in 0..reading {
        let (_, stream, _) = join(&address, &format!("reader {n}")).await?;
        readers.spawn(read(stream, messages));
    }
    let (mut stub, _publisher, session_token) = join(&address, "publisher").await?;

    let start = Instant::now();
    let mut sent = Vec::with_capacity(messages);
    for _ in 0..messages {
        sent.push(Instant::now());
        let text = TEXT.to_owned();
        stub.publish(PublishRequest { session_token: session_token.clone(), text, ..Default::default() }).await?;
    }
    let mut latencies = Vec::with_capacity(messages * reading);
    while let Some(received) = readers.join_next().await {
        let received = received??;
        latencies.extend(received.iter().zip(&sent).map(|(received, sent)| received.duration_since(*sent)));
    }
    let elapsed = start.elapsed();
    latencies.sort_unstable();
    let at = |share: f64| {
        let index = ((latencies.len() - 1) as f64 * share) as usize;
        latencies[index].as_secs_f64() * 1e3
    };
    println!(
        "{reading:>7} {stalled:>7} {:>9} {:>8.2} {:>8.2} {:>8.2} {:>12.0} {:>9.1}",
        latencies.len(),
        at(0.5),
        at(0.99),
        at(1.0),
        latencies.len() as f64 / elapsed.as_secs_f64(),
        resident_mebibytes()?,
    );
    shutdown.cancel();
    server.await??;
    Ok(())
}

/// The times at which the messages arrived.
async fn read(mut stream: Streaming<JoinResponse>, messages: usize) -> Result<Vec<Instant>> {
    let mut times = Vec::with_capacity(messages);
    while times.len() < messages {
        let frame = stream.message().await?.and_then(|response| response.frame);
        match frame {
            Some(Frame::Event(event)) if matches!(event.kind, Some(Kind::Message(_))) => {
                times.push(Instant::now());
            }
            Some(_) => {}
            None => return Err("a stream ended early".into()),
        }
    }
    Ok(times)
}

async fn join(
    address: &str,
    name: &str,
) -> Result<(ChitChatServiceClient<Channel>, Streaming<JoinResponse>, String)> {
    let endpoint = Endpoint::from_shared(address.to_owned())?.initial_stream_window_size(WINDOW_BYTES);
    let channel = endpoint.tcp_nodelay(true).connect().await?;
    let mut stub = ChitChatServiceClient::new(channel);
    let request = JoinRequest { display_name: name.to_owned(), ..Default::default() };
    let mut stream = stub.join(request).await?.into_inner();
    match stream.message().await?.and_then(|response| response.frame) {
        Some(Frame::Welcome(welcome)) => Ok((stub, stream, welcome.session_token)),
        _ => Err("a stream began without a Welcome".into()),
    }
}

fn resident_mebibytes() -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).ok_or("no VmRSS")?;
    let kibibytes: f64 = line.split_whitespace().nth(1).ok_or("no figure")?.parse()?;
    Ok(kibibytes / 1024.0)
}
