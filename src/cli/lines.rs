//! Lines of standard input, each a message.

use std::io::{self, ErrorKind, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, ioctl_fionread};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::join::Terminal;

/// The longest line that is read as one, in bytes. No message is nearly as long; a longer line is passed
/// over, so that no input can fill the memory.
pub(super) const LINE_BYTES_MAX: usize = 16 * 1024;
/// How much is read at a time.
const CHUNK_BYTES: usize = 8 * 1024;
/// How much is read after [`Lines::stop`] at most: what a pipe holds.
const PIPE_BYTES: usize = 64 * 1024;
/// How long [`Lines::next`] waits after [`Lines::stop`]: what has been written is there at once, unless a read blocks.
const STOPPED_READ_TIME: Duration = Duration::from_secs(1);
/// What some programs put in front of UTF-8 (U+FEFF).
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A line that cannot be a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum LineFault {
    /// More than [`LINE_BYTES_MAX`] bytes.
    #[error("the line is longer than {LINE_BYTES_MAX} bytes")]
    TooLong,
    /// Not UTF-8.
    #[error("the line is not valid UTF-8")]
    NotUtf8,
    /// The beginning of a line whose end had not come when the reading was stopped.
    #[error("the line has no end")]
    Unfinished(String),
}

/// A line of the input, or why it cannot be a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct InputLine {
    pub(super) text: Result<String, LineFault>,
    /// Nothing had come after it when it was read.
    pub(super) is_newest: bool,
}

/// The lines of an input, read by a thread of its own.
pub(super) struct Lines {
    lines: mpsc::Receiver<io::Result<InputLine>>,
    /// Dropped to stop the thread.
    running: Option<UnixStream>,
}

impl Lines {
    /// Reads an input. One that is a terminal counts its lines there.
    pub(super) fn of(
        input: impl Read + AsFd + Send + 'static,
        terminal: Option<Arc<Terminal>>,
    ) -> io::Result<Self> {
        let (sender, lines) = mpsc::channel(1);
        let (running, stopped) = UnixStream::pair()?;
        let reader = Reader { input, stopped, terminal, splitter: Splitter::default() };
        thread::Builder::new().name("lines".into()).spawn(move || reader.run(&sender))?;
        Ok(Self { lines, running: Some(running) })
    }

    /// The next line; none at the end. Can be given up without losing one.
    ///
    /// A process that was in the background when its terminal had input blocks in a read once it is in the foreground
    /// again. So after [`stop`](Self::stop) a read that takes long counts as the end.
    pub(super) async fn next(&mut self) -> io::Result<Option<InputLine>> {
        let next = match self.running {
            Some(_) => self.lines.recv().await,
            None => timeout(STOPPED_READ_TIME, self.lines.recv()).await.unwrap_or_default(),
        };
        let explained =
            |error: io::Error| io::Error::new(error.kind(), format!("cannot read standard input: {error}"));
        next.transpose().map_err(explained)
    }

    /// Reads on only to the end of what has been written by now.
    pub(super) fn stop(&mut self) {
        self.running = None;
    }
}

/// What waits to be read.
enum Ready {
    Input,
    /// The reading was stopped, with this many bytes to go.
    Stopped(usize),
}

struct Reader<I> {
    input: I,
    stopped: UnixStream,
    terminal: Option<Arc<Terminal>>,
    splitter: Splitter,
}

impl<I: Read + AsFd> Reader<I> {
    fn run(mut self, lines: &mpsc::Sender<io::Result<InputLine>>) {
        let mut left = None;
        loop {
            if left.is_none() {
                match self.wait() {
                    Ok(Ready::Input) => {}
                    Ok(Ready::Stopped(bytes)) => left = Some(bytes),
                    Err(error) => return drop(lines.blocking_send(Err(error))),
                }
            }
            let (batch, bytes) = match left {
                Some(0) => (self.splitter.unfinished().into_iter().collect(), 0),
                _ => match self.read(left.unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES)) {
                    Ok(read) => read,
                    Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => {
                        continue;
                    }
                    Err(error) => return drop(lines.blocking_send(Err(error))),
                },
            };
            for line in batch {
                if lines.blocking_send(Ok(line)).is_err() {
                    return;
                }
            }
            if bytes == 0 {
                return;
            }
            left = left.map(|left| left.saturating_sub(bytes));
        }
    }

    fn wait(&self) -> io::Result<Ready> {
        loop {
            let mut both = [PollFd::new(&self.input, PollFlags::IN), PollFd::new(&self.stopped, PollFlags::IN)];
            match poll(&mut both, None) {
                Err(Errno::INTR) => continue,
                polled => polled?,
            };
            if !both[1].revents().is_empty() {
                let waiting = ioctl_fionread(&self.input).unwrap_or(0);
                return Ok(Ready::Stopped(usize::try_from(waiting).unwrap_or(PIPE_BYTES).min(PIPE_BYTES)));
            }
            if !both[0].revents().is_empty() {
                return Ok(Ready::Input);
            }
        }
    }

    /// Reads once. Answers with the lines that ended by it, and how many bytes it was; none at the end of input.
    fn read(&mut self, bytes: usize) -> io::Result<(Vec<InputLine>, usize)> {
        let mut chunk = [0; CHUNK_BYTES];
        let terminal = self.terminal.clone();
        let mut read = || -> io::Result<(Vec<InputLine>, usize)> {
            let bytes = self.input.read(&mut chunk[..bytes])?;
            if bytes == 0 {
                return Ok((self.splitter.end().into_iter().collect(), 0));
            }
            let mut lines = self.splitter.feed(&chunk[..bytes]);
            if let Some(newest) = lines.last_mut() {
                newest.is_newest = self.splitter.line.is_empty() && !is_waiting(&self.input);
            }
            Ok((lines, bytes))
        };
        match terminal {
            Some(terminal) => terminal.counting_lines(read),
            None => read(),
        }
    }
}

/// Whether an input can be read without waiting.
pub(super) fn is_waiting(input: impl AsFd) -> bool {
    let mut input = [PollFd::new(&input, PollFlags::IN)];
    poll(&mut input, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|ready| ready > 0)
}

/// Cuts bytes into lines.
#[derive(Debug, Default)]
struct Splitter {
    line: Vec<u8>,
    is_too_long: bool,
    has_begun: bool,
}

impl Splitter {
    fn feed(&mut self, mut bytes: &[u8]) -> Vec<InputLine> {
        let mut lines = Vec::new();
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.put(&bytes[..end]);
            lines.push(self.cut());
            bytes = &bytes[end + 1..];
        }
        self.put(bytes);
        lines
    }

    fn put(&mut self, bytes: &[u8]) {
        self.is_too_long |= self.line.len() + bytes.len() > LINE_BYTES_MAX;
        if !self.is_too_long {
            self.line.extend_from_slice(bytes);
        }
    }

    /// The line is complete.
    fn cut(&mut self) -> InputLine {
        let mut line = std::mem::take(&mut self.line);
        let is_first = !std::mem::replace(&mut self.has_begun, true);
        if std::mem::take(&mut self.is_too_long) {
            return InputLine { text: Err(LineFault::TooLong), is_newest: false };
        }
        if is_first && line.starts_with(BYTE_ORDER_MARK) {
            line.drain(..BYTE_ORDER_MARK.len());
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        InputLine { text: String::from_utf8(line).map_err(|_| LineFault::NotUtf8), is_newest: false }
    }

    /// The last line, at the end of input: it needs no end of its own.
    fn end(&mut self) -> Option<InputLine> {
        let is_there = !self.line.is_empty() || self.is_too_long;
        is_there.then(|| self.cut()).filter(|line| line.text.as_deref() != Ok(""))
    }

    /// What has come of a line whose end has not.
    fn unfinished(&mut self) -> Option<InputLine> {
        let line = self.end()?;
        let text = line.text.and_then(|text| Err(LineFault::Unfinished(text)));
        Some(InputLine { text, is_newest: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(input: &[u8]) -> Vec<Result<String, LineFault>> {
        let mut splitter = Splitter::default();
        let mut lines: Vec<_> = input.chunks(7).flat_map(|chunk| splitter.feed(chunk)).collect();
        lines.extend(splitter.end());
        lines.into_iter().map(|line| line.text).collect()
    }

    #[test]
    fn every_line_is_read_or_its_fault_is_told() {
        let long = "x".repeat(LINE_BYTES_MAX + 1);
        let mut input = Vec::from("one\ntwo\r\n\n\u{e6}\n".as_bytes());
        input.extend_from_slice(b"\xff\n");
        input.extend_from_slice(format!("{long}\nlast").as_bytes());
        let expected = [
            Ok("one".into()),
            Ok("two".into()),
            Ok(String::new()),
            Ok("æ".into()),
            Err(LineFault::NotUtf8),
            Err(LineFault::TooLong),
            Ok("last".into()),
        ];
        assert_eq!(lines(&input), expected);
    }

    #[test]
    fn marks_at_the_start_and_at_the_end_are_no_text() {
        let check = |input: &[u8], expected: &[&str]| {
            let expected: Vec<_> = expected.iter().map(|line| Ok((*line).to_owned())).collect();
            assert_eq!(lines(input), expected);
        };
        check(b"\xef\xbb\xbfone\r\ntwo\r", &["one", "two"]);
        check(b"one\n\xef\xbb\xbftwo", &["one", "\u{feff}two"]);
        check(b"\xef\xbb\xbf", &[]);
        check(b"\r", &[]);
        check(b"\r\n", &[""]);
        check(b"", &[]);
    }

    #[tokio::test]
    async fn what_was_written_before_the_stop_is_read_and_the_rest_of_a_line_is_told() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let mut lines = Lines::of(reader, None).unwrap();
        std::io::Write::write_all(&mut writer, b"one\ntwo\nthr").unwrap();
        lines.stop();
        let mut read = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            read.push(line.text);
        }
        let expected = [Ok("one".into()), Ok("two".into()), Err(LineFault::Unfinished("thr".into()))];
        assert_eq!(read, expected, "though the other end is still open");
    }

    /// An input that seems to have something to read, and then blocks.
    struct Blocking(UnixStream, std::sync::mpsc::Receiver<()>);

    impl Read for Blocking {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            self.1.recv().map(|()| 0).map_err(io::Error::other)
        }
    }

    impl AsFd for Blocking {
        fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
            self.0.as_fd()
        }
    }

    /// A signal is heard also while a read blocks, as on a terminal after `bg` and `fg`.
    #[tokio::test]
    async fn a_read_that_blocks_does_not_hold_up_the_stop() {
        let (input, mut other) = UnixStream::pair().unwrap();
        io::Write::write_all(&mut other, b"somebody else will read this\n").unwrap();
        let (_blocks, reads) = std::sync::mpsc::channel();
        let mut lines = Lines::of(Blocking(input, reads), None).unwrap();
        lines.stop();
        assert_eq!(lines.next().await.unwrap(), None);
    }
}
