//! The least that a delivery can cost, and what it costs another service: the same fan-out as in `chitchat load`, over
//! bare sockets and through a NATS server. `benches/run` runs it.
//!
//! `cargo bench --bench baseline -- serve`: the bare service. It prints its port, and writes everything that a publisher
//! sends to every reader, with one write for all that arrived at once. It does nothing else.
//!
//! `cargo bench --bench baseline -- read bare|nats PORT PID READERS MESSAGES IN_FLIGHT [INTERVAL_MS]`: readers with a
//! task and a connection each, and one publisher. Prints one JSON object.

use std::error::Error;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chitchat::load::process::WatchedProcess;
use chitchat::load::summary::{Latencies, per_second, rounded};
use hdrhistogram::Histogram;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// What a publisher sends: as many bytes as the text of a message of `chitchat load` has.
const TEXT_BYTES: usize = 64;
/// What a reader of the bare service gets: as many bytes as an HTTP/2 frame with a chat message.
const FRAME_BYTES: usize = 200;
/// The number of a message, at the beginning of its text.
const NUMBER_DIGITS: usize = 10;
const OPEN_FILES_BESIDE: u64 = 64;
const BUFFER_BYTES: usize = 64 * 1024;

fn main() -> Result<()> {
    // Cargo adds `--bench`.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["serve"] => serve(),
        ["read", protocol, port, pid, readers, messages, in_flight, ref interval @ ..] => {
            let interval = interval.first().map(|text| text.parse().map(Duration::from_millis)).transpose()?;
            let plan = Plan {
                protocol: if protocol == "nats" { Protocol::Nats } else { Protocol::Bare },
                port: port.parse()?,
                readers: readers.parse()?,
                messages: messages.parse()?,
                in_flight: in_flight.parse()?,
                interval,
            };
            let server = WatchedProcess::new(pid.parse()?)?;
            rlimit::increase_nofile_limit(plan.readers as u64 + OPEN_FILES_BESIDE)?;
            tokio::runtime::Runtime::new()?.block_on(measure(plan, server))
        }
        _ => Err("benches/run runs this; the top of benches/baseline.rs says how".into()),
    }
}

/// The bare service: one thread, one write for each reader.
fn serve() -> Result<()> {
    rlimit::increase_nofile_limit(u64::MAX)?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?.port());
    let mut readers = Vec::new();
    for connection in listener.incoming() {
        let mut connection = connection?;
        connection.set_nodelay(true)?;
        let mut role = [0];
        connection.read_exact(&mut role)?;
        match &role {
            b"R" => {
                connection.write_all(b"r")?;
                readers.push(connection);
            }
            _ => return fan_out(connection, readers),
        }
    }
    Ok(())
}

fn fan_out(mut publisher: TcpStream, mut readers: Vec<TcpStream>) -> Result<()> {
    let (mut buffer, mut held) = (vec![0; BUFFER_BYTES], 0);
    loop {
        let count = publisher.read(&mut buffer[held..])?;
        if count == 0 {
            return Ok(());
        }
        held += count;
        let whole = held - held % TEXT_BYTES;
        let frames: Vec<u8> = buffer[..whole]
            .chunks(TEXT_BYTES)
            .flat_map(|text| text.iter().copied().chain(std::iter::repeat_n(b'.', FRAME_BYTES - TEXT_BYTES)))
            .collect();
        for reader in &mut readers {
            reader.write_all(&frames)?;
        }
        publisher.write_all(&vec![b'a'; whole / TEXT_BYTES])?;
        buffer.copy_within(whole..held, 0);
        held -= whole;
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Protocol {
    Bare,
    Nats,
}

struct Plan {
    protocol: Protocol,
    port: u16,
    readers: usize,
    messages: u64,
    in_flight: u64,
    interval: Option<Duration>,
}

/// What arrives on a stream: a message by its number, an acknowledgement, or a ping that must be answered.
enum Item {
    Message(u64),
    Acknowledged,
    Ping,
}

/// Takes all complete items from the bytes that have arrived; returns how many bytes they had.
fn take(protocol: Protocol, bytes: &[u8], mut each: impl FnMut(Item)) -> usize {
    let number = |text: &[u8]| std::str::from_utf8(&text[..NUMBER_DIGITS]).ok()?.parse().ok();
    let mut taken = 0;
    match protocol {
        Protocol::Bare => {
            for frame in bytes.chunks_exact(FRAME_BYTES) {
                each(Item::Message(number(frame).expect("a frame begins with its number")));
                taken += FRAME_BYTES;
            }
        }
        Protocol::Nats => {
            while let Some(length) = bytes[taken..].windows(2).position(|end| end == b"\r\n") {
                let line = &bytes[taken..taken + length];
                let text = taken + length + 2;
                if line.starts_with(b"MSG ") {
                    if bytes.len() < text + TEXT_BYTES + 2 {
                        break;
                    }
                    each(Item::Message(number(&bytes[text..]).expect("a text begins with its number")));
                    taken = text + TEXT_BYTES + 2;
                    continue;
                }
                match line {
                    b"PING" => each(Item::Ping),
                    b"PONG" => each(Item::Acknowledged),
                    _ => {}
                }
                taken = text;
            }
        }
    }
    taken
}

/// What the readers and the publisher share.
struct Shared {
    plan: Plan,
    sent: Vec<Mutex<Option<Instant>>>,
    delivered: AtomicU64,
    latencies: Mutex<Histogram<u64>>,
}

/// A histogram of microseconds, up to an hour.
fn histogram() -> Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, 3_600_000_000, 3)?)
}

async fn measure(plan: Plan, server: WatchedProcess) -> Result<()> {
    let sent = (0..plan.messages).map(|_| Mutex::new(None)).collect();
    let shared =
        Arc::new(Shared { plan, sent, delivered: AtomicU64::new(0), latencies: Mutex::new(histogram()?) });
    let mut reading = JoinSet::new();
    for _ in 0..shared.plan.readers {
        let connection = connect(&shared.plan, "SUB t 1\r\n", b'R').await?;
        reading.spawn(read(connection, Arc::clone(&shared)));
    }
    let publisher = connect(&shared.plan, "", b'P').await?;
    let (cpu, first) = (server.cpu()?, Instant::now());
    let acknowledged = publish(publisher, &shared).await?;
    // Kept open: the bare service ends with its publisher.
    let (publish_latencies, _publisher) = acknowledged;
    while let Some(ended) = reading.join_next().await {
        ended??;
    }
    let (elapsed, used) = (first.elapsed(), server.cpu()?.saturating_sub(cpu));
    let deliveries = shared.delivered.load(Ordering::Relaxed);
    println!(
        "{}",
        json!({
            "deliveries": deliveries,
            "deliveries_per_second": per_second(deliveries, elapsed),
            "cpu_us_per_delivery": rounded(used.as_secs_f64() * 1e6 / deliveries.max(1) as f64),
            "publish_ms": Latencies::of(&publish_latencies),
            "delivery_ms": Latencies::of(&shared.latencies.lock().expect("no reader panicked")),
        })
    );
    Ok(())
}

/// Connects; returns when the service knows what the connection is for.
async fn connect(plan: &Plan, subscription: &str, role: u8) -> Result<tokio::net::TcpStream> {
    let mut connection = tokio::net::TcpStream::connect(("127.0.0.1", plan.port)).await?;
    connection.set_nodelay(true)?;
    match plan.protocol {
        Protocol::Bare => {
            connection.write_all(&[role]).await?;
            if role == b'R' {
                connection.read_exact(&mut [0]).await?;
            }
        }
        Protocol::Nats => {
            let hello = format!("CONNECT {{\"verbose\":false,\"pedantic\":false}}\r\n{subscription}PING\r\n");
            connection.write_all(hello.as_bytes()).await?;
            let mut answer = Vec::new();
            while !answer.ends_with(b"PONG\r\n") {
                answer.push(connection.read_u8().await?);
            }
        }
    }
    Ok(connection)
}

async fn read(mut connection: tokio::net::TcpStream, shared: Arc<Shared>) -> Result<()> {
    let (mut bytes, mut count) = (Vec::with_capacity(4096), 0);
    while count < shared.plan.messages {
        if connection.read_buf(&mut bytes).await? == 0 {
            return Err("the service closed a reader's connection".into());
        }
        let (now, mut ping) = (Instant::now(), false);
        {
            let mut latencies = shared.latencies.lock().expect("no reader panicked");
            let taken = take(shared.plan.protocol, &bytes, |item| match item {
                Item::Message(number) => {
                    assert_eq!(number, count, "messages come in order");
                    count += 1;
                    let sent = shared.sent[number as usize].lock().expect("no reader panicked");
                    let latency = now.duration_since(sent.expect("it comes after it was sent"));
                    latencies.saturating_record(latency.as_micros() as u64);
                }
                Item::Ping => ping = true,
                Item::Acknowledged => {}
            });
            bytes.drain(..taken);
        }
        if ping {
            connection.write_all(b"PONG\r\n").await?;
        }
    }
    shared.delivered.fetch_add(count, Ordering::Relaxed);
    Ok(())
}

/// Publishes everything. NATS does not acknowledge messages, so a message counts as acknowledged when the PING after it
/// is answered.
async fn publish(
    mut connection: tokio::net::TcpStream,
    shared: &Shared,
) -> Result<(Histogram<u64>, tokio::net::TcpStream)> {
    let plan = &shared.plan;
    let (first, mut next, mut acknowledged) = (Instant::now(), 0, 0);
    let (mut latencies, mut bytes) = (histogram()?, Vec::new());
    while acknowledged < plan.messages {
        let mut out = Vec::new();
        while next < plan.messages && next - acknowledged < plan.in_flight {
            if let Some(interval) = plan.interval {
                sleep_until(first + interval * u32::try_from(next)?).await;
            }
            let text = format!("{next:0NUMBER_DIGITS$}{}", ".".repeat(TEXT_BYTES - NUMBER_DIGITS));
            *shared.sent[next as usize].lock().expect("no reader panicked") = Some(Instant::now());
            match plan.protocol {
                Protocol::Bare => out.extend_from_slice(text.as_bytes()),
                Protocol::Nats => {
                    out.extend_from_slice(format!("PUB t {TEXT_BYTES}\r\n{text}\r\nPING\r\n").as_bytes());
                }
            }
            next += 1;
        }
        connection.write_all(&out).await?;
        if connection.read_buf(&mut bytes).await? == 0 {
            return Err("the service closed the publisher's connection".into());
        }
        let (now, before, mut ping) = (Instant::now(), acknowledged, false);
        match plan.protocol {
            Protocol::Bare => {
                acknowledged += bytes.len() as u64;
                bytes.clear();
            }
            Protocol::Nats => {
                let taken = take(plan.protocol, &bytes, |item| match item {
                    Item::Acknowledged => acknowledged += 1,
                    Item::Ping => ping = true,
                    Item::Message(_) => {}
                });
                bytes.drain(..taken);
            }
        }
        for number in before..acknowledged {
            let sent = shared.sent[number as usize].lock().expect("no reader panicked").expect("it was sent");
            latencies.saturating_record(now.duration_since(sent).as_micros() as u64);
        }
        if ping {
            connection.write_all(b"PONG\r\n").await?;
        }
    }
    Ok((latencies, connection))
}
