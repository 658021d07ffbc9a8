//! `chitchat load`: bounded load against a running service.

use std::error::Error;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use http::uri::Authority;
use tokio::net::lookup_host;

use super::common::access::{read_secret, server};
use super::common::exit_codes::{FAILURE, USAGE};
use super::common::progress::Progress;
use super::{duration, number, of_output, switch};
use crate::chat::TEXT_CHARACTERS_MAX;
use crate::load::connection::Service;
use crate::load::process::WatchedProcess;
use crate::load::{self, Phase, Plan};
use crate::terminal::{json_line, notice};
use crate::wire::PARTICIPANTS_MAX;

/// The most messages of a run, which keeps the time of each in memory.
const MESSAGES_MAX: u64 = 10_000_000;
/// The most publishes that one connection may have in flight.
const IN_FLIGHT_MAX: usize = 100;
const JOINS_IN_PARALLEL_MAX: usize = 4096;
/// How many open files are needed besides the connections.
const FILES_BESIDE: u64 = 64;

/// Put load on a running service and check every delivery. Prints one JSON object.
///
/// Each participant joins on its own connection and reads; the first ones also publish. Exits 1 if a delivery is
/// missing, doubled, out of order or altered. A service limits each address and each participant: for more than a light
/// load, start it with `--address-limits off --publish-rate 0`.
#[derive(Debug, Args)]
pub(super) struct LoadArgs {
    /// The service to join.
    #[arg(short, long, value_name = "URL", env = "CHITCHAT_SERVER", default_value = "http://127.0.0.1:50051",
        value_parser = one_server)]
    server: String,

    /// File with the access secret, on one line.
    #[arg(long, value_name = "FILE", env = "CHITCHAT_SECRET_FILE")]
    secret_file: Option<PathBuf>,

    /// How many participants join and read.
    #[arg(long, value_name = "NUMBER", env = "CHITCHAT_PARTICIPANTS", default_value = "10",
        value_parser = number(1..=PARTICIPANTS_MAX))]
    participants: usize,

    /// How many messages are published in all. With 0, all just join and leave.
    #[arg(long, value_name = "NUMBER", env = "CHITCHAT_MESSAGES", default_value = "50",
        value_parser = number(0..=MESSAGES_MAX))]
    messages: u64,

    /// How many of the participants publish.
    #[arg(long, value_name = "NUMBER", env = "CHITCHAT_PUBLISHERS", default_value = "1",
        value_parser = number(1..=PARTICIPANTS_MAX))]
    publishers: usize,

    /// How many publishes each publisher has in flight at a time.
    #[arg(long, value_name = "NUMBER", env = "CHITCHAT_IN_FLIGHT", default_value = "1",
        value_parser = number(1..=IN_FLIGHT_MAX))]
    in_flight: usize,

    /// Publish one message every TIME, all publishers together; by default, as fast as --in-flight allows.
    #[arg(long, value_name = "TIME", env = "CHITCHAT_INTERVAL", value_parser = duration)]
    interval: Option<Duration>,

    /// How many characters a message has.
    #[arg(long, value_name = "NUMBER", env = "CHITCHAT_TEXT_CHARACTERS", default_value = "64",
        value_parser = number(1..=TEXT_CHARACTERS_MAX))]
    text_characters: usize,

    /// How many participants join at a time.
    #[arg(long, value_name = "NUMBER", env = "CHITCHAT_JOINS_IN_PARALLEL", default_value = "64",
        value_parser = number(1..=JOINS_IN_PARALLEL_MAX))]
    joins_in_parallel: usize,

    /// Close the streams after joining, to measure publishing without deliveries. The service's --grace must be longer
    /// than the run.
    #[arg(long, env = "CHITCHAT_NO_STREAMS", value_parser = switch)]
    no_streams: bool,

    /// Process id of the service, if it is on this machine: its processor time and memory are read from /proc.
    #[arg(long, value_name = "PID", env = "CHITCHAT_SERVER_PID", value_parser = number(1..=u32::MAX))]
    server_pid: Option<u32>,

    /// How long to wait between the last join and the first publish, so that memory settles. By default, 3s with
    /// --server-pid, and not at all without it.
    #[arg(long, value_name = "TIME", env = "CHITCHAT_SETTLE", value_parser = duration)]
    settle: Option<Duration>,

    /// Put load on a service that is not on this machine. Do this only to your own service.
    #[arg(long)]
    yes_really: bool,
}

/// How long memory needs to settle: the allocator returns free memory within a second or two.
const SETTLE: Duration = Duration::from_secs(3);

/// The URL of one service.
fn one_server(url: &str) -> Result<String, String> {
    if url.contains(',') {
        return Err("load runs against a single service: give one URL".into());
    }
    server(url)
}

impl LoadArgs {
    pub(super) async fn run(self) -> Result<ExitCode, Box<dyn Error>> {
        if let Some(wrong) = self.contradiction() {
            return Ok(usage(wrong));
        }
        let Some(authority) = self.server.strip_prefix("http://").map(|rest| rest.trim_end_matches('/')) else {
            return Ok(usage("--server: load speaks plain HTTP only: use http://"));
        };
        let addresses = resolve(authority).await?;
        if !self.yes_really && !addresses.iter().all(|address| address.ip().to_canonical().is_loopback()) {
            return Ok(usage(
                "--server: this service is not on this machine, and load is an attack unless its operator has agreed \
                 to it; if the service is yours, add --yes-really",
            ));
        }
        let address = *addresses.first().ok_or("--server: the host name has no address")?;
        let server = self.server_pid.map(WatchedProcess::new).transpose();
        let server = server.map_err(|error| format!("--server-pid: {error}"))?;
        allow_open_files(self.participants)?;
        let secret = self.secret_file.as_deref().map(read_secret).transpose()?.map(|(text, _)| text);
        let service = Service::new(address, authority, secret.as_deref())?;
        let (id, mut shown) = (getrandom::u32()?, None);
        let outcome = load::run(self.plan(server), service, id, &mut |phase, done, total| {
            show(&mut shown, phase, done, total);
        })
        .await;
        drop(shown);
        if let Some(failure) = &outcome.first_failed_leave {
            notice(&format!(
                "chitchat: a participant could not leave; the service removes it when its grace period ends: {failure}"
            ));
        }
        let measured = outcome.measured?;
        if let Some(end) = &measured.first_end {
            notice(&format!("chitchat: a stream ended before the run did: {end}"));
        }
        let summary = measured.summary;
        let line = json_line(&summary)?;
        io::stdout().write_all(format!("{line}\n").as_bytes()).map_err(of_output)?;
        if summary.is_right() {
            return Ok(ExitCode::SUCCESS);
        }
        let faults = summary.faults;
        notice(&format!(
            "chitchat: of {} deliveries, {} are missing, {} doubled, {} out of order, {} altered",
            summary.deliveries_expected, faults.missing, faults.doubled, faults.out_of_order, faults.altered
        ));
        Ok(ExitCode::from(FAILURE))
    }

    fn contradiction(&self) -> Option<&'static str> {
        if self.publishers > self.participants {
            return Some("--publishers: must be at most the number of --participants");
        }
        None
    }

    fn plan(&self, server: Option<WatchedProcess>) -> Plan {
        Plan {
            participants: self.participants,
            publishers: self.publishers,
            in_flight: self.in_flight,
            messages: self.messages,
            interval: self.interval,
            text_characters: self.text_characters,
            joins_in_parallel: self.joins_in_parallel,
            streams: !self.no_streams,
            settle: self.settle.unwrap_or(if server.is_some() { SETTLE } else { Duration::ZERO }),
            server,
        }
    }
}

fn usage(what: &str) -> ExitCode {
    notice(&format!("error: {what}"));
    ExitCode::from(USAGE)
}

/// The sockets of a service.
async fn resolve(authority: &str) -> Result<Vec<SocketAddr>, Box<dyn Error>> {
    let authority: Authority = authority.parse()?;
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let found = lookup_host((host, authority.port_u16().unwrap_or(80))).await;
    Ok(found.map_err(|error| format!("--server: cannot resolve {host}: {error}"))?.collect())
}

/// Raises this process's limit on open files to what its connections need.
fn allow_open_files(participants: usize) -> Result<(), Box<dyn Error>> {
    let needed = participants as u64 + FILES_BESIDE;
    let (soft, hard) = rlimit::Resource::NOFILE.get()?;
    if soft >= needed || (hard >= needed && rlimit::increase_nofile_limit(needed)? >= needed) {
        return Ok(());
    }
    Err(format!(
        "--participants: {participants} connections need {needed} open files, but this process may have only {hard}: \
         raise the limit, as root with ulimit -Hn {needed}, or use at most {} participants",
        hard.saturating_sub(FILES_BESIDE)
    )
    .into())
}

/// Shows the progress of a phase on a terminal.
fn show(shown: &mut Option<(Phase, Progress)>, phase: Phase, done: u64, total: u64) {
    let is_new = shown.as_ref().is_none_or(|(current, _)| *current != phase);
    if is_new {
        let (what, unit) = match phase {
            Phase::Joining => ("joining:", "participants"),
            Phase::Delivering => ("delivering:", "deliveries"),
            Phase::Leaving => ("leaving:", "participants"),
        };
        *shown = Some((phase, Progress::of(what, total, unit)));
    }
    if let Some((_, progress)) = shown {
        progress.reached(done);
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct TestCli {
        #[command(flatten)]
        load: LoadArgs,
    }

    fn parse(options: &[&str]) -> LoadArgs {
        TestCli::try_parse_from([&["load"], options].concat()).unwrap().load
    }

    /// Each option sets its own part of the plan; the defaults are a load that a service's default limits allow.
    #[test]
    fn options_make_the_plan() {
        let (default, plan) = (Plan::default(), parse(&[]).plan(None));
        assert_eq!(format!("{plan:?}"), format!("{default:?}"));
        let options = "--participants 9 --messages 8 --publishers 7 --in-flight 6 --interval 5ms --text-characters 4 \
            --joins-in-parallel 3 --no-streams --settle 2s";
        let plan = parse(&options.split_whitespace().collect::<Vec<_>>()).plan(None);
        assert_eq!((plan.participants, plan.messages, plan.publishers, plan.in_flight), (9, 8, 7, 6));
        assert_eq!((plan.interval, plan.text_characters), (Some(Duration::from_millis(5)), 4));
        assert_eq!((plan.joins_in_parallel, plan.streams, plan.settle), (3, false, Duration::from_secs(2)));
    }

    /// Memory is read once it has settled.
    #[test]
    fn a_watched_service_gets_time_to_settle() {
        let own = WatchedProcess::new(std::process::id()).ok();
        assert!(own.is_none_or(|own| parse(&[]).plan(Some(own)).settle == SETTLE));
        assert_eq!(parse(&[]).plan(None).settle, Duration::ZERO);
    }

    #[test]
    fn more_connections_than_open_files_allow_are_refused() {
        assert!(allow_open_files(1).is_ok());
        let error = allow_open_files(usize::MAX / 2).unwrap_err().to_string();
        assert!(error.contains("ulimit -Hn"), "{error}");
    }
}
