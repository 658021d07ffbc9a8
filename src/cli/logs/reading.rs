//! Reading on several threads, with the records in order all the same.
//!
//! Making a record of a line takes longer than looking at the record. So each thread fetches a block, parses it
//! by itself, waits until it is that block's turn, and then hands over the records. Whoever takes them sees one
//! record after the other, as if a single thread had read; and of the files no more than a block a thread is in
//! memory.

use std::num::NonZero;
use std::sync::atomic::Ordering;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::block::{Block, BlockError, Line, Source, lines, text};
use super::{Log, LogError, Piece, Sink};
use crate::trace::record::LineRef;

/// More would wait for their turn.
const THREADS_MAX: usize = 8;

/// Reads logs until `sink` wants no more.
pub(in crate::cli) fn read(logs: &[&Log], sink: &mut dyn Sink) -> Result<(), LogError> {
    let pieces: Vec<_> = logs.iter().flat_map(|log| log.pieces.iter().map(|piece| (*log, piece))).collect();
    let files: Vec<_> = pieces.iter().map(|(_, piece)| (&*piece.path, piece.bytes)).collect();
    let state = State { sink, turn: 0, file: None, line: 0, end: None };
    let (source, state) = (Mutex::new(Source::new(&files)), Mutex::new(state));
    let crew = Crew { pieces: &pieces, source, state, turned: Condvar::new() };
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
    /// Of each file that is read, the log that it is a piece of.
    pieces: &'a [(&'a Log, &'a Piece)],
    source: Mutex<Source<'a>>,
    state: Mutex<State<'a>>,
    turned: Condvar,
}

/// What belongs to the thread whose turn it is.
struct State<'a> {
    sink: &'a mut dyn Sink,
    /// The block whose records come next.
    turn: u64,
    /// The file of the last block, and how many lines of its log have been taken.
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
            state.begin(self.pieces, block.place);
            let (log, piece) = self.pieces[block.place];
            state.end = state.take(log, piece, &block, &lines, error);
            state.turn += 1;
            self.turned.notify_all();
        }
    }
}

impl State<'_> {
    /// A block of this file comes next. The lines of a log are counted over all its pieces.
    fn begin(&mut self, pieces: &[(&Log, &Piece)], file: usize) {
        let before = self.file.replace(file);
        if before == Some(file) {
            return;
        }
        let (log, piece) = pieces[file];
        if before.is_none_or(|before| pieces[before].0.number != log.number) {
            self.line = 0;
        }
        piece.lines_before.store(self.line, Ordering::Relaxed);
    }

    /// Hands over a block. Says if that is the end.
    fn take(
        &mut self,
        log: &Log,
        piece: &Piece,
        block: &Block,
        lines: &[Line<'_>],
        error: Option<BlockError>,
    ) -> Option<Result<(), LogError>> {
        let (file, path) = (log.number, &*piece.path);
        let lines_before = piece.lines_before.load(Ordering::Relaxed);
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
                    return Some(Err(LogError::Line { path, line: self.line - lines_before, fault }));
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
            Some(error) => Some(Err(error.at(path, self.line - lines_before + 1))),
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
