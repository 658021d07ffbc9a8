//! Lines of standard input, each a message.

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, BufReader};
use tokio::sync::mpsc;

/// The longest line that is read as one, in bytes. No message is nearly as long; a longer line is passed
/// over, so that no input can fill the memory.
pub(super) const LINE_BYTES_MAX: usize = 16 * 1024;

/// A line that cannot be a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum LineFault {
    /// More than [`LINE_BYTES_MAX`] bytes.
    #[error("the line is longer than {LINE_BYTES_MAX} bytes")]
    TooLong,
    /// Not UTF-8.
    #[error("the line is not valid UTF-8")]
    NotUtf8,
}

/// A line, or why it cannot be a message.
pub(super) type Line = Result<String, LineFault>;

/// The lines of an input, read by a task of its own, so that waiting for one can be given up without losing it.
pub(super) fn of(input: impl AsyncRead + Send + Unpin + 'static) -> mpsc::Receiver<io::Result<Line>> {
    let (sender, lines) = mpsc::channel(1);
    tokio::spawn(async move {
        let mut input = BufReader::new(input);
        while let Some(line) = next(&mut input).await.transpose() {
            let failed = line.is_err();
            if sender.send(line).await.is_err() || failed {
                break;
            }
        }
    });
    lines
}

/// Reads the next line, without its end; none at the end of input.
async fn next(input: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<Line>> {
    let mut line = Vec::new();
    let mut too_long = false;
    loop {
        let chunk = input.fill_buf().await?;
        if chunk.is_empty() {
            if line.is_empty() && !too_long {
                return Ok(None);
            }
            break;
        }
        let end = chunk.iter().position(|byte| *byte == b'\n');
        let taken = end.unwrap_or(chunk.len());
        too_long |= line.len() + taken > LINE_BYTES_MAX;
        if !too_long {
            line.extend_from_slice(&chunk[..taken]);
        }
        input.consume(end.map_or(taken, |end| end + 1));
        if end.is_some() {
            break;
        }
    }
    if too_long {
        return Ok(Some(Err(LineFault::TooLong)));
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(Some(String::from_utf8(line).map_err(|_| LineFault::NotUtf8)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_line_is_read_or_its_fault_is_told() {
        let long = "x".repeat(LINE_BYTES_MAX + 1);
        let mut input = Vec::from("one\ntwo\r\n\n\u{e6}\n".as_bytes());
        input.extend_from_slice(b"\xff\n");
        input.extend_from_slice(format!("{long}\nlast").as_bytes());
        let mut input = BufReader::with_capacity(7, &*input);
        let mut lines = Vec::new();
        while let Some(line) = next(&mut input).await.unwrap() {
            lines.push(line);
        }
        let expected = [
            Ok("one".into()),
            Ok("two".into()),
            Ok(String::new()),
            Ok("æ".into()),
            Err(LineFault::NotUtf8),
            Err(LineFault::TooLong),
            Ok("last".into()),
        ];
        assert_eq!(lines, expected);
    }
}
