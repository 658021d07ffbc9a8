//! Signals: those that end the process, those that make it reopen its log, and those that it was started to ignore.

use std::io;
use std::sync::OnceLock;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::exit_codes::INTERRUPTED_TWICE;
use crate::terminal;

/// What SIGHUP does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hangup {
    /// It ends the process: it is sent when a terminal is closed.
    Ends,
    /// It makes the process reload.
    Reloads,
}

/// The signals that end the process: SIGINT, SIGTERM, and SIGHUP if that [ends](Hangup::Ends). Once this exists, these
/// signals no longer terminate the process on their own. A signal that was ignored when the process started stays
/// ignored.
pub(crate) struct Interrupts {
    interrupt: Option<Signal>,
    terminate: Option<Signal>,
    hangup: Option<Signal>,
}

impl Interrupts {
    pub(crate) fn new(hangup: Hangup) -> io::Result<Self> {
        Ok(Self {
            interrupt: unless_ignored(SignalKind::interrupt())?,
            terminate: unless_ignored(SignalKind::terminate())?,
            hangup: if hangup == Hangup::Ends { unless_ignored(SignalKind::hangup())? } else { None },
        })
    }

    /// Waits for the first signal.
    pub(crate) async fn first(&mut self) {
        tokio::select! {
            () = received(&mut self.interrupt) => {}
            () = received(&mut self.terminate) => {}
            () = received(&mut self.hangup) => {}
        }
    }

    /// Waits for a second signal, which means that the user does not want to wait. SIGHUP does not count: when a
    /// terminal is closed, it comes twice, from the kernel and from the shell.
    pub(crate) async fn second(&mut self) {
        tokio::select! {
            () = received(&mut self.interrupt) => {}
            () = received(&mut self.terminate) => {}
        }
    }
}

/// The first signal cancels `stop`, so that the command leaves; the second ends the process at once.
pub(crate) async fn stop_on_signal(mut interrupts: Interrupts, stop: CancellationToken) {
    interrupts.first().await;
    stop.cancel();
    interrupts.second().await;
    terminal::flush();
    std::process::exit(INTERRUPTED_TWICE.into());
}

/// The signals to reopen the log: SIGUSR1, and SIGHUP if that [reloads](Hangup::Reloads).
pub(crate) struct Reloads {
    user: Option<Signal>,
    hangup: Option<Signal>,
}

impl Reloads {
    pub(crate) fn new(hangup: Hangup) -> io::Result<Self> {
        Ok(Self {
            user: unless_ignored(SignalKind::user_defined1())?,
            hangup: if hangup == Hangup::Reloads { unless_ignored(SignalKind::hangup())? } else { None },
        })
    }

    /// Waits for the next signal.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            () = received(&mut self.user) => {}
            () = received(&mut self.hangup) => {}
        }
    }
}

async fn received(signals: &mut Option<Signal>) {
    match signals {
        Some(signals) => drop(signals.recv().await),
        None => std::future::pending().await,
    }
}

/// The signals of one kind, unless `nohup` or a shell (`trap '' INT`, or a background job of a script) made this
/// process ignore them.
fn unless_ignored(kind: SignalKind) -> io::Result<Option<Signal>> {
    let bit = 1_u64.checked_shl(kind.as_raw_value().unsigned_abs().saturating_sub(1)).unwrap_or(0);
    if ignored_at_start() & bit == 0 { signal(kind).map(Some) } else { Ok(None) }
}

/// The signals that were ignored when the process began, one bit each. Only Linux shows them without unsafe code.
fn ignored_at_start() -> u64 {
    // Handling a signal changes the answer, so the first answer counts.
    static IGNORED: OnceLock<u64> = OnceLock::new();
    *IGNORED.get_or_init(|| {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
    })
}
