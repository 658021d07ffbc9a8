//! The lab's proof, which verifies the logs in the lab's folder together with the log of a page.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::log::reading::{self, Log};
use crate::server::ProofFault;
use crate::verification::{Progress, Verification, VerifyError};

/// The largest total size of the logs that a lab reads for a proof by default, in bytes.
pub const PROOF_LOGS_BYTES_MAX_DEFAULT: u64 = 256 * 1024 * 1024;
/// The name of the page's own log in the report.
const PAGE_LOG: &str = "this-page.jsonl";
/// The most records, and the most bytes of records, that a proof returns for the replay.
const REPLAY_RECORDS_MAX: usize = 20_000;
const REPLAY_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Stops reading when the result is no longer needed.
struct WhileWaited<'a>(&'a CancellationToken);

impl Progress for WhileWaited<'_> {
    fn begin(&mut self, _bytes: u64) {}

    fn at(&mut self, _bytes: u64) -> bool {
        !self.0.is_cancelled()
    }
}

impl From<VerifyError> for ProofFault {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Stopped => Self::TooLong,
            VerifyError::Log(error) => Self::Unusable(error.to_string()),
        }
    }
}

/// Verifies the records of one epoch in a folder and in the log of a page. The answer is JSON: the report and, if they
/// are small enough to be replayed, the verified logs without the page's.
pub fn prove(
    folder: &Path,
    bytes_max: u64,
    epoch: &str,
    page_log: String,
    stopped: &CancellationToken,
) -> Result<String, ProofFault> {
    // A page that has recorded nothing has no log.
    let page = (!page_log.trim().is_empty()).then(|| (PAGE_LOG, Arc::from(page_log)));
    let logs = reading::inspect_with(vec![folder.to_owned()], page.into_iter().collect());
    let logs = logs.map_err(VerifyError::from)?;
    let bytes = logs.iter().map(Log::bytes).sum();
    if bytes > bytes_max {
        return Err(ProofFault::LogsTooLarge { bytes, bytes_max });
    }
    let verified = Verification::of(logs, Some(epoch), &mut WhileWaited(stopped))?;
    let replay = replayed(&verified)?;
    Ok(json!({ "epoch": epoch, "report": verified.published(), "logs": replay }).to_string())
}

/// The records that were verified, by log, without the page's own.
fn replayed(verified: &Verification) -> Result<Option<Vec<Value>>, VerifyError> {
    if verified.taken.len() > REPLAY_RECORDS_MAX {
        return Ok(None);
    }
    let (mut logs, mut bytes) = (Vec::new(), 0);
    for log in &verified.logs {
        let mut lines: Vec<u32> =
            verified.taken.iter().filter(|line| line.file == log.number).map(|line| line.line).collect();
        let name = log.segments.last().and_then(|segment| segment.path().file_name());
        let name = name.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if lines.is_empty() || name == PAGE_LOG {
            continue;
        }
        lines.sort_unstable();
        let text: String = reading::fetch(log, &lines)?.into_iter().map(|line| line + "\n").collect();
        bytes += text.len();
        if bytes > REPLAY_BYTES_MAX {
            return Ok(None);
        }
        logs.push(json!({ "name": name, "text": text }));
    }
    Ok(Some(logs))
}
