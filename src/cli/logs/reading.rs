//! Reading on several threads, with the records in order all the same.
//!
//! Making a record of a line takes longer than looking at the record. So each thread fetches a block, parses it
//! by itself, waits until it is that block's turn, and then hands over the records. Whoever takes them sees one
//! record after the other, as if a single thread had read; and of the files no more than a block a thread is in
//! memory.

use std::num::NonZero;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::block::{Block, BlockError, Line, Source, lines, text};
use super::{Log, LogError, Sink};
use crate::trace::record::LineRef;

/// More would wait for their turn.
const THREADS_MAX: usize = 8;

/// Reads logs until `sink` wants no more.
pub(in crate::cli) fn read(logs: &[&Log], sink: &mut dyn Sink) -> Result<(), LogError> {
    let files: Vec<_> = logs.iter().map(|log| (&*log.path, log.bytes)).collect();
    let state = State { sink, turn: 0, file: None, line: 0, end: None };
    let crew =
        Crew { logs, source: Mutex::new(Source::new(&files)), state: Mutex::new(state), turned: Condvar::new() };
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(THREADS_MAX);
    thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(|| crew.work());
        }
        crew.work();
    });
    let state = crew.state.into_inner().unwrap_or_else(PoisonError::into_inner);
    state.end.unwrap_or(Ok(()))
}

/// What the threads share.
struct Crew<'a> {
    logs: &'a [&'a Log],
    source: Mutex<Source<'a>>,
    state: Mutex<State<'a>>,
    turned: Condvar,
}

/// What belongs to the thread whose turn it is.
struct State<'a> {
    sink: &'a mut dyn Sink,
    /// The block whose records come next.
    turn: u64,
    /// The file of the last block, and how many lines of it have been taken.
    file: Option<usize>,
    line: u32,
    /// Nothing more is to be read: an error, or the sink has had enough.
    end: Option<Result<(), LogError>>,
}

impl Crew<'_> {
    fn work(&self) {
        let _alarm = Alarm(self);
        loop {
            let Some(mut block) = lock(&self.source).next() else { return };
            let error = block.error.take();
            let text = text(&block.bytes);
            let lines: Vec<Line<'_>> = lines(&text).collect();
            let turn = self
                .turned
                .wait_while(lock(&self.state), |state| state.turn != block.number && state.end.is_none());
            let mut state = turn.unwrap_or_else(PoisonError::into_inner);
            if state.end.is_some() {
                return;
            }
            let log = self.logs[block.place];
            state.end = state.take(log, &block, &lines, error);
            state.turn += 1;
            self.turned.notify_all();
        }
    }
}

impl State<'_> {
    /// Hands over a block. Says if that is the end.
    fn take(
        &mut self,
        log: &Log,
        block: &Block,
        lines: &[Line<'_>],
        error: Option<BlockError>,
    ) -> Option<Result<(), LogError>> {
        let (file, path) = (log.number, &*log.path);
        if self.file.replace(block.place) != Some(block.place) {
            self.line = 0;
        }
        let mut torn = false;
        for line in lines {
            self.line += 1;
            let at = LineRef { file, line: self.line };
            let record = match line {
                Line::Record(record) => Some(record),
                Line::Torn(record) => {
                    torn = true;
                    self.sink.torn(at);
                    record.as_ref()
                }
                Line::Fault(fault) => {
                    let (path, fault) = (path.to_owned(), fault.to_string());
                    return Some(Err(LogError::Line { path, line: self.line, fault }));
                }
            };
            if record.is_some_and(|record| !self.sink.record(at, record)) {
                return Some(Ok(()));
            }
        }
        self.sink.at(block.read);
        match error {
            None => None,
            // Its last line may have said so already.
            Some(BlockError::Cut) if torn => None,
            Some(BlockError::Cut) => {
                self.sink.torn(LineRef { file, line: self.line + 1 });
                None
            }
            Some(error) => Some(Err(error.at(path, self.line + 1))),
        }
    }
}

/// Ends the waiting of the others should a thread panic.
struct Alarm<'a, 'c>(&'a Crew<'c>);

impl Drop for Alarm<'_, '_> {
    fn drop(&mut self) {
        if thread::panicking() {
            lock(&self.0.state).end = Some(Ok(()));
            self.0.turned.notify_all();
        }
    }
}

/// A thread that panicked ends them all, so what it left half done is of no matter.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
