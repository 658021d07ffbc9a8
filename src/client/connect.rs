//! The first connection of a participant, and how long to wait between two tries.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio::time::{Instant, sleep};

use super::Options;
use super::connection::{Failure, Link, dial, open};
use super::session::{Session, Welcomed};
use crate::wire::Reason;

/// The first pause before a new connection is tried; each further one is twice as long, jittered.
const RECONNECT_FIRST: Duration = Duration::from_millis(100);
/// The longest pause.
pub(super) const RECONNECT_LONGEST: Duration = Duration::from_secs(5);
/// How long a client with a kept session tries to reach the service before it gives up: the default grace period.
const KEPT_SESSION_TRIED: Duration = Duration::from_secs(30);
/// The longest that the client waits because the service asks it to.
pub(super) const WAIT_LONGEST: Duration = Duration::from_secs(60);

/// Connects for the first time; while the service cannot be reached, tries again for as long as the options say. With
/// a session that another process kept, it always tries for a while, since the session survives a short outage.
///
/// Counts the requests to resume that were given up without an answer, as a driver does.
pub(super) async fn connect(
    options: &Options,
    session: &mut Session,
    unanswered: &mut u32,
) -> Result<(Link, Welcomed), Failure> {
    let (began, mut delays, mut asked) = (Instant::now(), backoff(), false);
    loop {
        let connected = connect_once(options, session, &mut asked).await;
        // One that was never sent counts, too: a count that is too high costs one more resume, no session.
        *unanswered += u32::from(session.is_kept() && matches!(&connected, Err(failure) if failure.is_silence()));
        let tried = if session.is_kept() { options.wait.max(KEPT_SESSION_TRIED) } else { options.wait };
        let left = tried.saturating_sub(began.elapsed());
        let retry_after = match &connected {
            Err(Failure::Lost { retry_after, .. }) => (*retry_after).min(WAIT_LONGEST),
            // An earlier request of our own may have arrived late, and holds the name for the grace period.
            _ if asked && refused_for(&connected, Reason::NameTaken) => RECONNECT_LONGEST,
            _ => return connected,
        };
        if left.is_zero() {
            return connected;
        }
        sleep(delays.next().unwrap_or(RECONNECT_LONGEST).max(retry_after).min(left)).await;
    }
}

/// Connects and opens a stream. Also returns whether a request was sent and never answered.
async fn connect_once(
    options: &Options,
    session: &mut Session,
    asked: &mut bool,
) -> Result<(Link, Welcomed), Failure> {
    // Dialled before the request is made: a request that is never sent must not advance the clock.
    let mut stub = dial(options).await?;
    let opened = open(&mut stub, session.join_request(), options.patience).await;
    *asked |= matches!(&opened, Err(failure) if failure.is_silence());
    let (stream, welcome) = opened?;
    let welcomed = session.welcome(session.check(welcome).map_err(Failure::Protocol)?);
    Ok((Link::new(stub, stream, welcomed.heartbeat), welcomed))
}

/// Whether the service refused a connection for this reason.
pub(super) fn refused_for<T>(connected: &Result<T, Failure>, reason: Reason) -> bool {
    matches!(connected, Err(Failure::Fatal(error)) if error.reason() == Some(reason))
}

/// The pauses between one try and the next.
pub(super) fn backoff() -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_jitter()
        .with_min_delay(RECONNECT_FIRST)
        .with_max_delay(RECONNECT_LONGEST)
        .without_max_times()
        .build()
}
