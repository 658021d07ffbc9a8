//! The cost of each function that runs for every message or log record, to find a change that makes one of them slower.
//! `benches/run` measures what a user notices.
//!
//! `cargo bench --bench hot` prints each figure beside that of the previous run, with the likelihood that they differ.

use std::hint::black_box;
use std::sync::Arc;
use std::time::SystemTime;
use std::{env, fs};

use chitchat::chat::{
    Command, Conversation, Decision, DisplayName, Event, LogicalTime, MessageId, MessageText, Sequence, SessionKey,
};
use chitchat::journal::{Chain, Epoch, JournalEvent};
use chitchat::log::LogRecord;
use chitchat::trace::proof::{NamedLog, Proof};
use chitchat::wire::Frame;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/logs/example");
const SESSION: SessionKey = SessionKey([7; 32]);
const TEXT: &str = "Sixty-four characters are as many as chitchat load writes, too..";

/// A conversation with one participant.
fn joined() -> Conversation {
    let mut conversation = Conversation::new();
    let display_name = DisplayName::parse("alice").expect("it is a name");
    let join = Command::Join { display_name, session: SESSION, sent: LogicalTime(1) };
    conversation.apply(join, SystemTime::now()).expect("nobody else is there");
    conversation
}

fn publish(id: u64) -> Command {
    let text = MessageText::parse(TEXT).expect("it is short enough");
    let message_id = MessageId::parse(format!("message-{id:020}")).expect("it is an id");
    Command::Publish { session: SESSION, text, message_id, seen: Sequence(1), sent: LogicalTime(2), sent_at: None }
}

fn published() -> Event {
    match joined().apply(publish(0), SystemTime::now()) {
        Ok(Decision::Happened(event)) => event,
        other => panic!("a message was not accepted: {other:?}"),
    }
}

fn chat(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("message");
    let (mut conversation, mut id) = (joined(), 0);
    group.bench_function("decide", |bencher| {
        let next = || {
            id += 1;
            publish(id)
        };
        let apply = |command| conversation.apply(command, SystemTime::UNIX_EPOCH);
        bencher.iter_batched(next, apply, BatchSize::SmallInput);
    });
    let (event, chain) = (published(), Chain::of(&Epoch::new("epoch")));
    group.bench_function("chain", |bencher| bencher.iter(|| chain.with(black_box(&event))));
    let event = JournalEvent { event: Arc::new(event), chain };
    group.bench_function("encode", |bencher| bencher.iter(|| Frame::event(black_box(&event))));
    group.finish();
}

fn logs(criterion: &mut Criterion) {
    let mut logs: Vec<_> = fs::read_dir(EXAMPLE)
        .expect("the example is in the repository")
        .map(|entry| entry.expect("it can be listed").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
        .map(|path| NamedLog {
            name: path.display().to_string(),
            text: fs::read_to_string(path).expect("a log is text"),
        })
        .collect();
    logs.sort_by(|a, b| a.name.cmp(&b.name));
    let lines: Vec<_> = logs.iter().flat_map(|log| log.text.lines()).collect();
    let mut group = criterion.benchmark_group("record");
    group.throughput(Throughput::Elements(lines.len() as u64));
    group.bench_function("parse", |bencher| {
        bencher.iter(|| lines.iter().filter(|line| LogRecord::parse(black_box(line)).is_ok()).count());
    });
    group.bench_function("verify", |bencher| bencher.iter(|| Proof::of(black_box(&logs))));
    group.finish();
}

criterion_group!(hot, chat, logs);
criterion_main!(hot);
