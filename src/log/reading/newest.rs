//! Searches a log from its end.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::chat::Sequence;
use crate::log::LogRecord;

/// How much is read at a time.
const BLOCK_BYTES: u64 = 64 * 1024;
/// A longer line is not a record.
const LINE_BYTES_MAX: usize = 1024 * 1024;

/// The event of the last broadcast record of an epoch in a server's log that the replica of this name wrote or, without a
/// name, a service without replicas; none if there is no such record. Several replicas may share a log, and what one of
/// them has recorded, another may not have. The file is read backwards from its end, only as far as needed.
///
/// # Errors
/// The file cannot be read.
pub fn newest_broadcast(log: &Path, epoch: &str, replica: Option<&str>) -> io::Result<Option<Sequence>> {
    let file = File::open(log)?;
    let mut start = file.metadata()?.len();
    // The end of a line that begins before `start`.
    let mut rest = Vec::new();
    while start > 0 {
        let size = BLOCK_BYTES.min(start);
        start -= size;
        let mut block = vec![0; size as usize];
        file.read_exact_at(&mut block, start)?;
        block.append(&mut rest);
        let whole = match block.iter().position(|byte| *byte == b'\n') {
            _ if start == 0 => 0,
            Some(end) => end + 1,
            None => block.len(),
        };
        let mut lines = block[whole..].rsplit(|byte| *byte == b'\n');
        if let Some(found) = lines.find_map(|line| broadcast_of(line, epoch, replica)) {
            return Ok(Some(found));
        }
        block.truncate(if whole > LINE_BYTES_MAX { 0 } else { whole });
        rest = block;
    }
    Ok(None)
}

fn broadcast_of(line: &[u8], of_epoch: &str, replica: Option<&str>) -> Option<Sequence> {
    let record = LogRecord::parse(std::str::from_utf8(line).ok()?).ok()?;
    let is_own = record.epoch.as_deref() == Some(of_epoch) && record.replica.as_deref() == replica;
    record.sequence.filter(|_| is_own && record.event.ends_with("_broadcast")).map(Sequence)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn newest(text: &str) -> Option<u64> {
        newest_of(None, text)
    }

    fn newest_of(replica: Option<&str>, text: &str) -> Option<u64> {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("server.jsonl");
        std::fs::write(&log, text).unwrap();
        newest_broadcast(&log, "a", replica).unwrap().map(|sequence| sequence.0)
    }

    fn line(event: &str, epoch: &str, sequence: u64) -> String {
        format!(
            "{{\"timestamp\":\"2026-01-01T00:00:00Z\",\"component\":\"server\",\"event\":\"{event}\",\"epoch\":\"{epoch}\",\
             \"sequence\":{sequence},\"logical_time\":1,\"kind\":\"message\"}}\n"
        )
    }

    #[test]
    fn the_last_broadcast_record_of_the_epoch_is_found_anywhere() {
        let sought = line("join_broadcast", "a", 7);
        let others =
            [line("message_broadcast", "b", 9), line("server_stopped", "a", 8), "{\"cut\n\n".into()].concat();
        assert_eq!(newest(""), None);
        assert_eq!(newest(&others), None);
        // Every way in which it can lie across the border of two blocks, and some more.
        for repeats in (0..4).chain(700..720) {
            let after = others.repeat(repeats);
            for padding in [0, 1, 17, 40] {
                let after = format!("{}\n{after}", " ".repeat(padding));
                let log = [line("leave_broadcast", "a", 6), sought.clone(), after].concat();
                assert_eq!(newest(&log), Some(7), "{repeats} {padding}");
            }
        }
        assert_eq!(newest(sought.trim_end()), Some(7), "a last line without its newline");
        assert_eq!(newest(&format!("{sought}{}\n", "x".repeat(3 * LINE_BYTES_MAX))), Some(7));
        assert_eq!(newest(&format!("{sought}{}", &line("join_broadcast", "a", 8)[..30])), Some(7), "a cut line");
    }
    /// Replicas that share a log do not take each other's records for their own.
    #[test]
    fn records_of_other_replicas() {
        let of = |name: &str, sequence: u64| {
            line("join_broadcast", "a", sequence).replace('}', &format!(",\"replica\":\"{name}\"}}"))
        };
        let log = [line("join_broadcast", "a", 5), of("x", 6), of("y", 7)].concat();
        let expected = [(None, Some(5)), (Some("x"), Some(6)), (Some("y"), Some(7)), (Some("z"), None)];
        for (replica, sequence) in expected {
            assert_eq!(newest_of(replica, &log), sequence, "{replica:?}");
        }
    }
}
