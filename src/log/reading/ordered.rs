//! Reading on several threads, with the records still in order.
//!
//! Parsing a line takes longer than checking its record. So each thread fetches a block, parses it, waits for the block's
//! turn, and then hands its records over. The sink sees one record after another, as if a single thread had read, and
//! memory holds no more than one block per thread.

use std::num::NonZero;
use std::sync::atomic::Ordering;
use std::thread;

use parking_lot::{Condvar, Mutex};

use super::block::{Block, BlockError, LogLine, Source, lines, text};
use super::{Log, LogError, LogSegment, RecordSink};
use crate::log::LineRef;

/// More threads would only wait for their turn.
const THREADS_MAX: usize = 8;

/// Reads logs until `sink` wants no more.
pub fn read(logs: &[&Log], sink: &mut dyn RecordSink) -> Result<(), LogError> {
    let segments: Vec<_> =
        logs.iter().flat_map(|log| log.segments.iter().map(|segment| (*log, segment))).collect();
    let files: Vec<_> = segments.iter().map(|(_, segment)| (&segment.input, segment.bytes)).collect();
    let ordered = OrderedSink { sink, turn: 0, file: None, line: 0, end: None };
    let (source, ordered) = (Mutex::new(Source::new(&files)), Mutex::new(ordered));
    let workers = OrderedWorkers { segments: &segments, source, ordered, turned: Condvar::new() };
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(THREADS_MAX);
    thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(|| workers.work());
        }
        workers.work();
    });
    workers.ordered.into_inner().end.unwrap_or(Ok(()))
}

/// The shared state of threads that parse blocks in parallel and hand them over in order.
struct OrderedWorkers<'a> {
    /// For each file that is read, the log that it is a segment of.
    segments: &'a [(&'a Log, &'a LogSegment)],
    source: Mutex<Source<'a>>,
    ordered: Mutex<OrderedSink<'a>>,
    turned: Condvar,
}

/// The sink, and how far it is: used by the thread whose turn it is.
struct OrderedSink<'a> {
    sink: &'a mut dyn RecordSink,
    /// The block whose records come next.
    turn: u64,
    /// The file of the last block, and how many lines of its log have been taken.
    file: Option<usize>,
    line: u32,
    /// Set when reading ends early: an error, or the sink wants no more.
    end: Option<Result<(), LogError>>,
}

impl OrderedWorkers<'_> {
    fn work(&self) {
        let _guard = PanicGuard(self);
        loop {
            let Some(mut block) = self.source.lock().next() else { return };
            let error = block.error.take();
            let text = text(&block.bytes);
            let lines: Vec<LogLine<'_>> = lines(&text).collect();
            let mut ordered = self.ordered.lock();
            self.turned.wait_while(&mut ordered, |ordered| ordered.turn != block.number && ordered.end.is_none());
            if ordered.end.is_some() {
                return;
            }
            ordered.begin(self.segments, block.place);
            let (log, segment) = self.segments[block.place];
            ordered.end = ordered.take(log, segment, &block, &lines, error);
            ordered.turn += 1;
            self.turned.notify_all();
        }
    }
}

impl OrderedSink<'_> {
    /// A block of this file comes next. The lines of a log are counted over all its segments.
    fn begin(&mut self, segments: &[(&Log, &LogSegment)], file: usize) {
        let before = self.file.replace(file);
        if before == Some(file) {
            return;
        }
        let (log, segment) = segments[file];
        if before.is_none_or(|before| segments[before].0.number != log.number) {
            self.line = 0;
        }
        segment.lines_before.store(self.line, Ordering::Relaxed);
    }

    /// Hands over a block. Returns a result if reading ends with it.
    fn take(
        &mut self,
        log: &Log,
        segment: &LogSegment,
        block: &Block,
        lines: &[LogLine<'_>],
        error: Option<BlockError>,
    ) -> Option<Result<(), LogError>> {
        let (file, path) = (log.number, segment.path());
        let lines_before = segment.lines_before.load(Ordering::Relaxed);
        let mut torn = false;
        for line in lines {
            self.line += 1;
            let at = LineRef { file, line: self.line };
            let record = match line {
                LogLine::Record(record) => Some(record),
                LogLine::Torn(record) => {
                    torn = true;
                    self.sink.torn(at);
                    record.as_ref()
                }
                LogLine::Blank => None,
                LogLine::Fault(fault) => {
                    let (path, fault) = (path.to_owned(), fault.clone());
                    return Some(Err(LogError::Damaged { path, line: self.line - lines_before, fault }));
                }
            };
            if record.is_some_and(|record| !self.sink.record(at, record)) {
                return Some(Ok(()));
            }
        }
        self.sink.at(block.read);
        match error {
            None => None,
            // The last line may have been reported as torn already.
            Some(BlockError::Cut) if torn => None,
            Some(BlockError::Cut) => {
                self.sink.torn(LineRef { file, line: self.line + 1 });
                None
            }
            Some(error) => Some(Err(error.at(path, self.line - lines_before + 1))),
        }
    }
}

/// Wakes the other threads, and ends them, if one panics.
struct PanicGuard<'a, 'c>(&'a OrderedWorkers<'c>);

impl Drop for PanicGuard<'_, '_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.ordered.lock().end = Some(Ok(()));
            self.0.turned.notify_all();
        }
    }
}
