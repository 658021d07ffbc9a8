//! Lines of standard input, each a message.

mod splitter;
mod terminal;

use std::io::{self, ErrorKind, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, ioctl_fionread};
use tokio::sync::mpsc;
use tokio::time::timeout;

pub(in crate::cli) use splitter::{InputLine, LineFault};
use splitter::{Splitter, is_waiting};
pub(in crate::cli) use terminal::Terminal;

/// How much is read at a time.
const CHUNK_BYTES: usize = 8 * 1024;
/// The most that is read after [`Lines::stop`]: the size of a pipe's buffer.
const PIPE_BYTES: usize = 64 * 1024;
/// How long [`Lines::next`] waits after [`Lines::stop`]: bytes that have been written are available at once, unless a
/// read blocks.
const STOPPED_READ_TIME: Duration = Duration::from_secs(1);

/// The lines of an input, which a separate thread reads.
pub(crate) struct Lines {
    lines: mpsc::Receiver<io::Result<InputLine>>,
    /// Dropped to stop the thread.
    running: Option<UnixStream>,
}

impl Lines {
    /// Reads an input. `terminal`, on which it is typed if it is `Some`, counts the lines.
    pub(crate) fn of(
        input: impl Read + AsFd + Send + 'static,
        terminal: Option<Arc<Terminal>>,
    ) -> io::Result<Self> {
        let (sender, lines) = mpsc::channel(1);
        let (running, stopped) = UnixStream::pair()?;
        let reader = Reader { input, stopped, terminal, splitter: Splitter::default() };
        thread::Builder::new().name("lines".into()).spawn(move || reader.run(&sender))?;
        Ok(Self { lines, running: Some(running) })
    }

    /// The next line; `None` at the end. Cancel-safe: no line is lost.
    ///
    /// After [`stop`](Self::stop), a read that takes long counts as the end: if the process was in the background while
    /// its terminal had input, a read can block once it is in the foreground again.
    pub(crate) async fn next(&mut self) -> io::Result<Option<InputLine>> {
        let next = match self.running {
            Some(_) => self.lines.recv().await,
            None => timeout(STOPPED_READ_TIME, self.lines.recv()).await.unwrap_or_default(),
        };
        let explained =
            |error: io::Error| io::Error::new(error.kind(), format!("cannot read standard input: {error}"));
        next.transpose().map_err(explained)
    }

    /// Stops after the bytes that have already been written.
    pub(crate) fn stop(&mut self) {
        self.running = None;
    }
}

/// What is ready to be read.
enum Ready {
    Input,
    /// Reading was stopped, with this many bytes left.
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

    /// Reads once. Returns the lines that it completed and the number of bytes, which is 0 at the end of input.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_written_before_the_stop_is_read_and_an_unfinished_line_is_reported() {
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

    /// An input that seems to be readable, and then blocks.
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

    /// A signal is handled even while a read blocks, as on a terminal after `bg` and `fg`.
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
