//! How fast a conversation comes back from its journal, and how fast messages become durable.
//!
//! `cargo bench --bench recovery [EVENTS]`, one million by default. The journal is in the folder for temporary files
//! (TMPDIR), so that disk's fsync is measured as much as this program.
//! `cargo bench --bench recovery -- write FILE EVENTS` only writes a journal, with its checkpoints.
//!
//! Publishing is measured twice. Directly on the journal, each batch has one message per publisher. Through the service,
//! which runs in this process, over gRPC on the loopback, each publisher has one message in flight and no stream open,
//! so that no delivery is measured.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use chitchat::chat::{
    Command, Conversation, Decision, DisplayName, Event, LogicalTime, MessageId, MessageText, SessionKey,
};
use chitchat::journal::{CheckSettings, CheckTime, Epoch, Journal, SqliteJournal};
use chitchat::server::{self, Config, Rate};
use chitchat::wire::pb;
use chitchat::wire::pb::chit_chat_service_client::ChitChatServiceClient;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::transport::Endpoint;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const EVENTS: u64 = 1_000_000;
const PARTICIPANTS: u64 = 100;
const BATCH: usize = 256;
/// How many events are in a batch if writing is not measured.
const BATCH_TO_READ: usize = 4096;
const PUBLISHERS: [usize; 3] = [1, 8, 64];
const MEASURE: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [write, path, events] = &arguments[..]
        && write == "write"
    {
        return record(Path::new(path), events.parse()?, BATCH_TO_READ).await.map(drop);
    }
    let events = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(EVENTS);
    let folder = tempfile::tempdir()?;
    recovery(&folder.path().join("recovery.db"), events).await?;
    for publishers in PUBLISHERS {
        through_the_journal(&folder.path().join(format!("journal-{publishers}.db")), publishers).await?;
    }
    for publishers in PUBLISHERS {
        through_the_service(&folder.path().join(format!("service-{publishers}.db")), publishers).await?;
    }
    Ok(())
}

fn open(path: &Path) -> Result<SqliteJournal> {
    Ok(SqliteJournal::open(path, || Epoch::new("0123456789abcdef"))?)
}

/// An endless conversation: some join, and then everybody speaks in turn.
struct Talk {
    conversation: Conversation,
    texts: [MessageText; 3],
}

impl Talk {
    fn new() -> Self {
        let texts = ["hello", "a sentence of about the usual length for a chat", "æøå 😀"];
        Self {
            conversation: Conversation::new(),
            texts: texts.map(|text| MessageText::parse(text).expect("a valid text")),
        }
    }

    fn next(&mut self) -> Arc<Event> {
        let head = self.conversation.head();
        let session = |n: u64| {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&n.to_le_bytes());
            SessionKey(key)
        };
        let sent = LogicalTime(self.conversation.logical_time().0 + 1);
        let command = if head.0 < PARTICIPANTS {
            let display_name = DisplayName::parse(&format!("participant {}", head.0)).expect("a valid name");
            Command::Join { display_name, session: session(head.0), sent }
        } else {
            Command::Publish {
                session: session(head.0 % PARTICIPANTS),
                text: self.texts[(head.0 % 3) as usize].clone(),
                message_id: MessageId::parse(format!("{:032x}", head.0)).expect("a valid id"),
                seen: head,
                sent,
                sent_at: None,
            }
        };
        match self.conversation.apply(command, SystemTime::now()) {
            Ok(Decision::Happened(event)) => Arc::new(event),
            other => panic!("{other:?}"),
        }
    }

    fn batch(&mut self, size: usize) -> Vec<Arc<Event>> {
        (0..size).map(|_| self.next()).collect()
    }
}

/// Writes a journal with the given number of events.
async fn record(path: &Path, events: u64, batch: usize) -> Result<Talk> {
    let mut talk = Talk::new();
    let mut journal = open(path)?;
    journal.recover(|_| {}).await?;
    let mut recorded = 0;
    let (mut deciding, mut recording) = (Duration::ZERO, Duration::ZERO);
    while recorded < events {
        let size = batch.min(usize::try_from(events - recorded)?);
        let started = Instant::now();
        let decided = talk.batch(size);
        deciding += started.elapsed();
        let started = Instant::now();
        journal.append(decided).await?;
        journal.offer_checkpoint(&talk.conversation);
        recording += started.elapsed();
        recorded += size as u64;
    }
    drop(journal);
    let bytes = std::fs::metadata(path)?.len();
    println!(
        "recording {events} events, {batch} a batch: {:.0} events/s (deciding them: {:.0} events/s); {} bytes an event",
        per_second(events, recording),
        per_second(events, deciding),
        bytes / events.max(1),
    );
    Ok(talk)
}

async fn recovery(path: &Path, events: u64) -> Result<()> {
    let talk = record(path, events, BATCH).await?;
    for when in [CheckTime::First, CheckTime::Background] {
        let started = Instant::now();
        let settings = CheckSettings { when, ..CheckSettings::default() };
        let new_epoch = || Epoch::new("0123456789abcdef");
        let mut journal = SqliteJournal::open_with_log(path, settings, new_epoch, |_| Ok(None))?;
        let opened = started.elapsed();
        let mut replayed: u64 = 0;
        let conversation = journal.recover(|_| replayed += 1).await?;
        let total = started.elapsed();
        assert_eq!(conversation.head(), talk.conversation.head());
        println!(
            "recovering {events} events, {replayed} of them by a replay: {total:.2?}, of which opening {opened:.2?}: \
             {:.0} events/s",
            per_second(events, total),
        );
    }
    Ok(())
}

fn per_second(events: u64, time: Duration) -> f64 {
    events as f64 / time.as_secs_f64()
}

fn report(what: &str, publishers: usize, mut latencies: Vec<Duration>, total: Duration) {
    latencies.sort_unstable();
    let at = |part: f64| latencies[((latencies.len() - 1) as f64 * part) as usize];
    println!(
        "{what}, {publishers:>2} publishers: {:>6.0} durable publishes/s, p50 {:.2?}, p99 {:.2?}",
        per_second(latencies.len() as u64, total),
        at(0.5),
        at(0.99),
    );
}

async fn through_the_journal(path: &Path, publishers: usize) -> Result<()> {
    let (mut talk, mut journal) = (Talk::new(), open(path)?);
    journal.append(talk.batch(usize::try_from(PARTICIPANTS)?)).await?;
    let (mut latencies, mut total) = (Vec::new(), Duration::ZERO);
    while total < MEASURE {
        let batch = talk.batch(publishers);
        let started = Instant::now();
        journal.append(batch).await?;
        let took = started.elapsed();
        latencies.extend(std::iter::repeat_n(took, publishers));
        total += took;
    }
    report("through the journal", publishers, latencies, total);
    Ok(())
}

async fn through_the_service(path: &Path, publishers: usize) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}", listener.local_addr()?);
    let shutdown = CancellationToken::new();
    // Participants stay although they have no stream, and no limit slows a publisher down.
    let publish_rate = Rate::UNLIMITED;
    let config =
        Config { grace: Duration::from_secs(3600), publish_rate, ..Config::default() }.without_address_limits();
    let service = tokio::spawn(server::run(listener, config, Box::new(open(path)?), shutdown.clone()));
    let mut tasks = JoinSet::new();
    for n in 0..publishers {
        let channel = Endpoint::from_shared(address.clone())?.connect().await?;
        let mut client = ChitChatServiceClient::new(channel);
        let request = pb::JoinRequest { display_name: format!("publisher {n}"), ..Default::default() };
        let mut stream = client.join(request).await?.into_inner();
        let welcome = match stream.message().await?.and_then(|response| response.frame) {
            Some(pb::join_response::Frame::Welcome(welcome)) => welcome,
            other => return Err(format!("no Welcome but {other:?}").into()),
        };
        drop(stream);
        tasks.spawn(publish(client, welcome));
    }
    let (mut latencies, started) = (Vec::new(), Instant::now());
    while let Some(done) = tasks.join_next().await {
        latencies.extend(done??);
    }
    report("through the service", publishers, latencies, started.elapsed());
    shutdown.cancel();
    Ok(service.await??)
}

async fn publish(
    mut client: ChitChatServiceClient<tonic::transport::Channel>,
    welcome: pb::Welcome,
) -> Result<Vec<Duration>> {
    let (mut time, mut latencies) = (welcome.logical_time, Vec::new());
    let until = Instant::now() + MEASURE;
    while Instant::now() < until {
        let request = pb::PublishRequest {
            session_token: welcome.session_token.clone(),
            text: "a sentence of about the usual length for a chat".into(),
            logical_time: time + 1,
            message_id: format!("{:032x}", latencies.len()),
            seen_sequence: welcome.head_sequence,
            sent_at: None,
        };
        let started = Instant::now();
        let answer = client.publish(request).await?.into_inner();
        latencies.push(started.elapsed());
        time = answer.logical_time + 1;
    }
    Ok(latencies)
}
