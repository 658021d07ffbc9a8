//! Opening another stream after one was lost.

use std::time::Duration;

use tokio::time::sleep;

use super::{Driver, Exit, in_words};
use crate::client::Update;
use crate::client::check::CheckedWelcome;
use crate::client::connect::{RECONNECT_LONGEST, WAIT_LONGEST};
use crate::client::connection::{Failure, Link, dial, open};
use crate::wire::Reason;

impl Driver {
    /// Opens another stream, for as long as it takes: resumes, or joins as a new participant if that is refused.
    pub(super) async fn reconnect(&mut self) -> Result<Link, Exit> {
        let options = self.options.clone();
        let mut over = None;
        let mut delay = self.next_delay();
        loop {
            self.meanwhile(sleep(delay)).await?;
            let opened = match self.meanwhile(dial(&options)).await? {
                Ok(mut stub) => {
                    let request = self.shared.lock().session.join_request();
                    let opened = self.meanwhile(open(&mut stub, request, options.patience)).await?;
                    self.unanswered += u32::from(matches!(&opened, Err(failure) if failure.is_silence()));
                    opened.and_then(|(stream, welcome)| {
                        let welcome = self.shared.lock().session.check(welcome).map_err(Failure::Protocol)?;
                        Ok((stub, stream, welcome))
                    })
                }
                Err(failure) => Err(failure),
            };
            match opened {
                Ok((stub, stream, welcome)) => {
                    let heartbeat = welcome.heartbeat;
                    self.welcome(welcome, over)?;
                    return Ok(Link::new(stub, stream, heartbeat));
                }
                Err(Failure::SessionOver(reason)) => {
                    over = Some(reason);
                    self.session_over()?;
                    self.shared.lock().session.forget();
                    self.unanswered = 0;
                    delay = Duration::ZERO;
                }
                Err(Failure::Lost { retry_after, .. }) => {
                    delay = self.next_delay().max(retry_after.min(WAIT_LONGEST));
                }
                Err(Failure::Mismatch(_)) => delay = self.next_delay(),
                Err(Failure::Protocol(fault)) => {
                    if delay < RECONNECT_LONGEST {
                        self.shared.push(Update::Offline { why: in_words(&fault) });
                    }
                    delay = self.next_delay();
                }
                // The name may have been taken by a try of our own that broke before the answer.
                Err(Failure::Fatal(error)) if over.is_some() && error.reason() == Some(Reason::NameTaken) => {
                    if delay < RECONNECT_LONGEST {
                        self.shared.push(Update::Offline { why: error.to_string() });
                    }
                    delay = RECONNECT_LONGEST;
                }
                // A new journal's clock starts at 0. If ours is too far ahead of it, it restarts at 0, too (L6).
                Err(Failure::Fatal(error))
                    if over.is_some() && error.reason() == Some(Reason::ClockOutOfRange) =>
                {
                    self.shared.lock().session.restart();
                    delay = self.next_delay();
                }
                Err(Failure::Fatal(error)) => return Err(Exit::Failed(error)),
            }
        }
    }

    /// Applies the Welcome of another stream, and reports it to the program.
    fn welcome(&mut self, welcome: CheckedWelcome, mut over: Option<Reason>) -> Result<(), Exit> {
        if !welcome.resumed && over.is_none() {
            // A service that begins another membership where one was to be resumed has forgotten that one.
            over = Some(Reason::SessionUnknown);
            self.session_over()?;
        }
        let welcomed = self.shared.lock().session.welcome(welcome);
        self.outgoing.reconnected();
        match over {
            Some(why) => self.shared.push(Update::JoinedAnew { why, roster: welcomed.roster }),
            None => self.shared.resumed(Some(self.offline.elapsed()), welcomed.missed),
        }
        Ok(())
    }
}
