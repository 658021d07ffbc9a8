//! Standard error, written by a separate thread: if it is a pipe that is not being read, or a terminal that
//! is stopped, only that thread waits.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::Once;
use std::thread;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// How many bytes can wait to be written. Further texts are dropped and counted.
const BUFFER_BYTES_MAX: usize = 1 << 20;
/// How many bytes are written at a time, unless one text alone has more.
const WRITE_BYTES: usize = 16 * 1024;
/// How long the process waits at its end for texts that have not been written.
const FLUSH_TIME: Duration = Duration::from_secs(1);

static BUFFER: StderrBuffer = StderrBuffer::new();
static WRITER: Once = Once::new();

/// Texts that wait to be written to standard error.
struct StderrBuffer {
    state: Mutex<BufferState>,
    /// Tells the writer that there is a text.
    filled: Condvar,
    /// Tells threads in [`flush`] that the writer has written something.
    written: Condvar,
}

struct BufferState {
    texts: VecDeque<Vec<u8>>,
    /// How many bytes these are.
    bytes: usize,
    /// How many texts were dropped since the last one that was written.
    dropped: u64,
    /// Whether a text is being written.
    writing: bool,
}

impl StderrBuffer {
    const fn new() -> Self {
        let state = BufferState { texts: VecDeque::new(), bytes: 0, dropped: 0, writing: false };
        Self { state: Mutex::new(state), filled: Condvar::new(), written: Condvar::new() }
    }

    /// Queues a text, or drops it if the buffer is full. After a drop, all texts are dropped until the queue has been
    /// written, so each gap is reported in its place. Never waits for a reader.
    fn push(&self, text: Vec<u8>) {
        let mut state = self.state.lock();
        if state.dropped > 0 || state.bytes + text.len() > BUFFER_BYTES_MAX {
            state.dropped += 1;
            return;
        }
        // A busy writer finds the text without being woken.
        let wakes = state.texts.is_empty() && !state.writing;
        state.bytes += text.len();
        state.texts.push_back(text);
        drop(state);
        if wakes {
            self.filled.notify_one();
        }
    }

    /// Writes all texts that come, in order, for as long as the process lives.
    fn write_to(&self, mut output: impl Write) {
        loop {
            let mut state = self.state.lock();
            self.filled.wait_while(&mut state, |state| state.texts.is_empty());
            let Some(mut text) = state.texts.pop_front() else { continue };
            while state.texts.front().is_some_and(|next| text.len() + next.len() <= WRITE_BYTES)
                && let Some(next) = state.texts.pop_front()
            {
                text.extend(next);
            }
            state.bytes -= text.len();
            state.writing = true;
            // What was dropped came after everything that waits now.
            let dropped = if state.texts.is_empty() { std::mem::take(&mut state.dropped) } else { 0 };
            drop(state);
            // If standard error cannot be written, the failure cannot be reported.
            let _ = output.write_all(&text);
            if dropped > 0 {
                let _ = writeln!(output, "chitchat: lines left out here, because they came too fast: {dropped}");
            }
            self.state.lock().writing = false;
            self.written.notify_all();
        }
    }

    /// Waits until everything is written, for at most this long.
    fn flush(&self, limit: Duration) {
        let unwritten = |state: &mut BufferState| !state.texts.is_empty() || state.writing;
        self.written.wait_while_for(&mut self.state.lock(), unwritten, limit);
    }
}

/// Queues a text to be written to standard error unchanged.
pub(crate) fn write(text: Vec<u8>) {
    WRITER.call_once(|| {
        // Without the thread there are no notices, but nothing else fails.
        drop(thread::Builder::new().name("stderr".into()).spawn(|| BUFFER.write_to(io::stderr())));
    });
    BUFFER.push(text);
}

/// Waits until standard error has everything, or for a second if it is not being read. A process does this last.
pub fn flush() {
    if WRITER.is_completed() {
        BUFFER.flush(FLUSH_TIME);
    }
}

/// Standard error for writers of whole lines.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stderr;

impl Write for Stderr {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        write(text.to_vec());
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};

    use super::*;

    static PIPE: StderrBuffer = StderrBuffer::new();

    /// At first the pipe is not read: no push waits, what does not fit is dropped, and the rest is in order.
    #[test]
    fn a_writer_never_waits_and_dropped_texts_are_counted() {
        let (reader, writer) = io::pipe().unwrap();
        thread::spawn(|| PIPE.write_to(writer));
        let lines = 3 * BUFFER_BYTES_MAX / 100;
        for number in 0..lines {
            PIPE.push(format!("{number:>99}\n").into());
        }
        PIPE.flush(Duration::from_millis(1));
        assert!(PIPE.state.lock().dropped > 0 && PIPE.state.lock().bytes <= BUFFER_BYTES_MAX);
        let mut read = BufReader::new(reader).lines().map(Result::unwrap);
        let shown = read.by_ref().take_while(|line| !line.contains("left out")).enumerate();
        let shown = shown.map(|(number, line)| assert_eq!(line.trim(), number.to_string())).count();
        assert!(shown < lines);
        PIPE.push(b"after\n".to_vec());
        assert_eq!(read.next().unwrap(), "after");
    }
}
