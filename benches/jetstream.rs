//! The cost of a durable publish with JetStream alone: plain publishes to a stream with three copies, each
//! acknowledged when the servers have it. docs/replicas.md shows it beside replicas under `chitchat load`.
//!
//! `cargo bench --bench jetstream -- URLS PUBLISHERS MESSAGES`: publishers with a connection each, spread over the
//! servers, and one publish in flight each. Prints one JSON object.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::stream::{Config, DiscardPolicy};
use chitchat::load::summary::{Latencies, per_second};
use hdrhistogram::Histogram;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const STREAM: &str = "plain";
const SUBJECT: &str = "plain.messages";
/// As many bytes as the text of a message of `chitchat load` has.
const TEXT_BYTES: usize = 64;
const COPIES: usize = 3;
/// The servers of a new cluster need a moment to find each other.
const START_TIME: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(100);
/// Far longer than an acknowledgement takes.
const ANSWER_TIME: Duration = Duration::from_secs(30);

fn main() -> Result<()> {
    // Cargo adds `--bench`.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let [urls, publishers, messages] = words[..] else {
        return Err("see the top of benches/jetstream.rs for the arguments".into());
    };
    let urls = urls.split(',').map(str::to_owned).collect();
    tokio::runtime::Runtime::new()?.block_on(measure(urls, publishers.parse()?, messages.parse()?))
}

async fn measure(urls: Vec<String>, publishers: usize, messages: u64) -> Result<()> {
    make_stream(&urls).await?;
    let mut contexts = Vec::new();
    for n in 0..publishers {
        contexts.push(context(&urls[n % urls.len()]).await?);
    }
    let (next, mut publishing, first) = (Arc::new(AtomicU64::new(0)), JoinSet::new(), Instant::now());
    for context in contexts {
        publishing.spawn(publish(context, Arc::clone(&next), messages));
    }
    let mut latencies = histogram()?;
    while let Some(ended) = publishing.join_next().await {
        latencies.add(ended??)?;
    }
    let elapsed = first.elapsed();
    println!(
        "{}",
        json!({ "publishes_per_second": per_second(messages, elapsed), "publish_ms": Latencies::of(&latencies) })
    );
    Ok(())
}

async fn context(url: &str) -> Result<jetstream::Context> {
    let client = async_nats::connect(url).await?;
    Ok(jetstream::context::ContextBuilder::new().timeout(ANSWER_TIME).build(client))
}

/// Finds the stream, or creates it as replicas create theirs.
async fn make_stream(urls: &[String]) -> Result<()> {
    let config = Config {
        name: STREAM.into(),
        subjects: vec![SUBJECT.into()],
        num_replicas: COPIES,
        discard: DiscardPolicy::New,
        deny_delete: true,
        deny_purge: true,
        ..Config::default()
    };
    let (context, start) = (context(&urls[0]).await?, Instant::now());
    while let Err(error) = context.get_or_create_stream(config.clone()).await {
        if start.elapsed() > START_TIME {
            return Err(error.into());
        }
        sleep(PAUSE).await;
    }
    Ok(())
}

/// Publishes one message after another until all are published.
async fn publish(context: jetstream::Context, next: Arc<AtomicU64>, messages: u64) -> Result<Histogram<u64>> {
    let mut latencies = histogram()?;
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= messages {
            return Ok(latencies);
        }
        let sent = Instant::now();
        let text = format!("{number:0TEXT_BYTES$}");
        context.publish(SUBJECT, text.into()).await?.await?;
        latencies.saturating_record(sent.elapsed().as_micros() as u64);
    }
}

/// A histogram of microseconds, up to an hour.
fn histogram() -> Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, 3_600_000_000, 3)?)
}
