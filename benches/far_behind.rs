//! A reader that was away while many events happened: does it get everything once and in order, how fast, and does the
//! service's memory stay small? The service is a separate process with a journal in a file.
//!
//! `cargo bench --bench far_behind [EVENTS]`, 100,000 by default. It fails if an event is missing or repeated, or if the
//! service grows by more than 64 MiB while the reader catches up.

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use chitchat::wire::pb::chit_chat_service_client::ChitChatServiceClient;
use chitchat::wire::pb::join_response::Frame;
use chitchat::wire::pb::{JoinRequest, JoinResponse, PublishRequest, ResumePoint, Welcome};
use tokio::task::JoinSet;
use tonic::Streaming;
use tonic::transport::{Channel, Endpoint};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;
type Client = ChitChatServiceClient<Channel>;

const EVENTS: u64 = 100_000;
const IN_FLIGHT: u64 = 64;
const GROWTH_BYTES_MAX: u64 = 64 * 1024 * 1024;
const TEXT: &str = "The quick brown fox jumps over the lazy dog, and everybody is told in the same order.";

#[tokio::main]
async fn main() -> Result<()> {
    let events = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(EVENTS);
    let folder = tempfile::tempdir()?;
    let (service, address) = Service::start(folder.path())?;
    let channel = Endpoint::from_shared(address)?.connect().await?;
    let client = Client::new(channel);
    // Both close their streams: only the reader comes back, and there is no other reader.
    let (_, away) =
        join(client.clone(), JoinRequest { display_name: "reader".into(), ..Default::default() }).await?;
    let (_, voice) =
        join(client.clone(), JoinRequest { display_name: "publisher".into(), ..Default::default() }).await?;
    let small = service.resident_bytes()?;

    let started = Instant::now();
    let mut publishing = JoinSet::new();
    for n in 0..IN_FLIGHT {
        let (client, token) = (client.clone(), voice.session_token.clone());
        let share = events / IN_FLIGHT + u64::from(n < events % IN_FLIGHT);
        publishing.spawn(publish(client, token, share));
    }
    while let Some(done) = publishing.join_next().await {
        done??;
    }
    println!("{events} messages published in {:.1?}", started.elapsed());

    let before = service.resident_bytes()?;
    let started = Instant::now();
    let Welcome { session_token, epoch, .. } = away;
    let resume = Some(ResumePoint { session_token, epoch, after_sequence: 1, ..Default::default() });
    let (mut stream, welcome) = join(client, JoinRequest { resume, ..Default::default() }).await?;
    let (head, mut last, mut time, mut largest) = (events + 2, 1, 0, before);
    assert_eq!(welcome.head_sequence, head);
    while last < head {
        let Some(Frame::Event(event)) = next(&mut stream).await? else { continue };
        assert_eq!(event.sequence, last + 1, "no gap, and nothing twice");
        assert!(event.logical_time > time, "in order");
        (last, time) = (event.sequence, event.logical_time);
        if last % 1000 == 0 {
            largest = largest.max(service.resident_bytes()?);
        }
    }
    let elapsed = started.elapsed();
    println!(
        "caught up with {} events in {elapsed:.2?}: {:.0} events/s",
        head - 1,
        (head - 1) as f64 / elapsed.as_secs_f64()
    );
    let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    println!(
        "the service, RSS MiB: {:.1} at first, {:.1} before the reader came back, {:.1} at most while it read, {:.1} after",
        mebibytes(small),
        mebibytes(before),
        mebibytes(largest),
        mebibytes(service.resident_bytes()?)
    );
    assert!(largest - before < GROWTH_BYTES_MAX, "the service has grown");
    Ok(())
}

async fn publish(mut client: Client, session_token: String, messages: u64) -> Result<()> {
    for _ in 0..messages {
        let (session_token, text) = (session_token.clone(), TEXT.to_owned());
        client.publish(PublishRequest { session_token, text, ..Default::default() }).await?;
    }
    Ok(())
}

async fn join(mut client: Client, request: JoinRequest) -> Result<(Streaming<JoinResponse>, Welcome)> {
    let mut stream = client.join(request).await?.into_inner();
    match next(&mut stream).await? {
        Some(Frame::Welcome(welcome)) => Ok((stream, welcome)),
        _ => Err("a stream began without a Welcome".into()),
    }
}

async fn next(stream: &mut Streaming<JoinResponse>) -> Result<Option<Frame>> {
    Ok(stream.message().await?.ok_or("the stream ended early")?.frame)
}

/// A process, killed when it is dropped.
struct Service(Child);

impl Service {
    /// Starts a service with its files in a folder. Returns its address, too.
    fn start(folder: &std::path::Path) -> Result<(Self, String)> {
        let mut child = Command::new(env!("CARGO_BIN_EXE_chitchat"))
            .args([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--publish-rate",
                "0",
                "--address-limits",
                "off",
                "--grace",
                "1h",
                "--log-level",
                "info",
            ])
            .arg("--log-dir")
            .arg(folder)
            .arg("--journal")
            .arg(folder.join("chitchat.db"))
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut lines = BufReader::new(child.stderr.take().ok_or("no standard error")?).lines();
        let service = Self(child);
        let started = lines.by_ref().map_while(|line| line.ok()).find(|line| line.contains("server_started"));
        let started = started.ok_or("the service did not start")?;
        let address = started.split_whitespace().skip_while(|word| *word != "address").nth(1);
        let address = format!("http://{}", address.ok_or("no address")?);
        // The rest of its standard error is read and dropped.
        std::thread::spawn(move || lines.for_each(drop));
        Ok((service, address))
    }

    fn resident_bytes(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).ok_or("no VmRSS")?;
        Ok(line.split_whitespace().nth(1).ok_or("no figure")?.parse::<u64>()? * 1024)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may already have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
