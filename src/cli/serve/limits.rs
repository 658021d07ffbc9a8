//! The limits that `chitchat serve` has options for.

use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::cli::{duration, number};
use crate::server::{Config, Rate};
use crate::wire::PARTICIPANTS_MAX;

/// Bytes in a MiB.
const MIB: usize = 1024 * 1024;

/// The options, one for each limit.
#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
pub(super) struct LimitArgs {
    /// How many participants may be active at a time.
    #[arg(long, value_name = "N", env = "CHITCHAT_PARTICIPANTS_MAX", default_value_t = 10_000,
        value_parser = participants)]
    participants_max: u32,

    /// How many participants that joined from one address may be active at a time.
    #[arg(long, value_name = "N", env = "CHITCHAT_PARTICIPANTS_PER_ADDRESS_MAX", default_value_t = 200,
        value_parser = number(1..=u32::MAX))]
    participants_per_address_max: u32,

    /// How many messages a second a participant may publish; 0 for no limit.
    #[arg(long, value_name = "N", env = "CHITCHAT_PUBLISH_RATE", default_value_t = 20,
        value_parser = number(0..=u32::MAX))]
    publish_rate: u32,

    /// How many messages a participant may publish at once, after a pause.
    #[arg(long, value_name = "N", env = "CHITCHAT_PUBLISH_BURST", default_value_t = 60,
        value_parser = number(1..=u32::MAX))]
    publish_burst: u32,

    /// How many messages a second all participants from one address together may publish; 0 for no limit.
    #[arg(long, value_name = "N", env = "CHITCHAT_PUBLISH_PER_ADDRESS_RATE", default_value_t = 100,
        value_parser = number(0..=u32::MAX))]
    publish_per_address_rate: u32,

    /// How many messages all participants from one address together may publish at once, after a pause.
    #[arg(long, value_name = "N", env = "CHITCHAT_PUBLISH_PER_ADDRESS_BURST", default_value_t = 500,
        value_parser = number(1..=u32::MAX))]
    publish_per_address_burst: u32,

    /// How many participants a second may join from one address; 0 for no limit.
    #[arg(long, value_name = "N", env = "CHITCHAT_JOIN_RATE", default_value_t = 50,
        value_parser = number(0..=u32::MAX))]
    join_rate: u32,

    /// How many participants may join from one address at once, after a pause.
    #[arg(long, value_name = "N", env = "CHITCHAT_JOIN_BURST", default_value_t = 500,
        value_parser = number(1..=u32::MAX))]
    join_burst: u32,

    /// How many times a second all participants from one address together may resume or ask for a page of earlier
    /// events; 0 for no limit.
    #[arg(long, value_name = "N", env = "CHITCHAT_READ_PER_ADDRESS_RATE", default_value_t = 50,
        value_parser = number(0..=u32::MAX))]
    read_per_address_rate: u32,

    /// How many times all participants from one address together may resume or ask for a page at once, after a pause.
    #[arg(long, value_name = "N", env = "CHITCHAT_READ_PER_ADDRESS_BURST", default_value_t = 1000,
        value_parser = number(1..=u32::MAX))]
    read_per_address_burst: u32,

    /// How many connections may be open at a time. Further ones wait.
    #[arg(long, value_name = "N", env = "CHITCHAT_CONNECTIONS_MAX", default_value_t = 20_000,
        value_parser = number(1..=u32::MAX))]
    connections_max: u32,

    /// How many connections may be open at a time from one address. Further ones are closed.
    #[arg(long, value_name = "N", env = "CHITCHAT_CONNECTIONS_PER_ADDRESS_MAX", default_value_t = 500,
        value_parser = number(1..=u32::MAX))]
    connections_per_address_max: u32,

    /// How much memory, in MiB, one address may use: for its connections, its requests, and the unread part of its
    /// responses.
    #[arg(long, value_name = "MIB", env = "CHITCHAT_MEMORY_PER_ADDRESS_MAX", default_value_t = 60,
        value_parser = number(1..=u32::MAX))]
    memory_per_address_max: u32,

    /// How many KiB a second are read from one address; 0 for no limit. Each request counts as 2 KiB more, each new
    /// connection as 8 KiB. Faster senders wait.
    #[arg(long, value_name = "KIB", env = "CHITCHAT_INGRESS_PER_ADDRESS_RATE", default_value_t = 2048,
        value_parser = number(0..=u32::MAX))]
    ingress_per_address_rate: u32,

    /// How many KiB are read from one address at once, after a pause.
    #[arg(long, value_name = "KIB", env = "CHITCHAT_INGRESS_PER_ADDRESS_BURST", default_value_t = 4096,
        value_parser = number(1..=u32::MAX))]
    ingress_per_address_burst: u32,

    /// Whether the limits per address apply: joins, participants, publishes, resumes and pages, connections, memory,
    /// ingress. Turn them `off` behind a gateway that has such limits of its own, and for load tests.
    #[arg(long, value_name = "SWITCH", env = "CHITCHAT_ADDRESS_LIMITS", default_value = "on")]
    address_limits: Switch,

    /// How many streams and requests may be open at a time on one HTTP/2 connection.
    #[arg(long, value_name = "N", env = "CHITCHAT_STREAMS_MAX", default_value_t = 128,
        value_parser = number(1..=u32::MAX))]
    streams_max: u32,

    /// How long a stream may go unread before it is closed; its participant can resume.
    #[arg(long, value_name = "TIME", env = "CHITCHAT_STALL", default_value = "30s", value_parser = duration)]
    stall: Duration,

    /// How long a stream can be quiet before a heartbeat is sent on it.
    #[arg(long, value_name = "TIME", env = "CHITCHAT_HEARTBEAT", default_value = "15s", value_parser = duration)]
    heartbeat: Duration,

    /// How often a connection is pinged, to find a frozen or unplugged peer.
    #[arg(long, value_name = "TIME", env = "CHITCHAT_PING", default_value = "20s", value_parser = duration)]
    ping: Duration,

    /// How long the answer to a ping may take.
    #[arg(long, value_name = "TIME", env = "CHITCHAT_PING_TIMEOUT", default_value = "10s", value_parser = duration)]
    ping_timeout: Duration,

    /// How long a new connection may take to make its first request.
    #[arg(long, value_name = "TIME", env = "CHITCHAT_FIRST_REQUEST", default_value = "10s", value_parser = duration)]
    first_request: Duration,

    /// How long a request may take to arrive in full and be answered.
    #[arg(long, value_name = "TIME", env = "CHITCHAT_REQUEST_TIME", default_value = "30s", value_parser = duration)]
    request_time: Duration,

    /// How long open connections may take to end when the service stops.
    #[arg(long, value_name = "TIME", env = "CHITCHAT_DRAIN", default_value = "5s", value_parser = duration)]
    drain: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

impl LimitArgs {
    /// A service with these limits, and the defaults in everything else.
    pub(super) fn config(&self) -> Config {
        let rate = |per_second, burst| Rate { per_second, burst };
        let config = Config {
            heartbeat: self.heartbeat,
            stall: self.stall,
            ping: self.ping,
            ping_timeout: self.ping_timeout,
            first_request: self.first_request,
            request_time: self.request_time,
            drain: self.drain,
            participants_max: self.participants_max as usize,
            participants_per_address_max: self.participants_per_address_max as usize,
            connections_max: self.connections_max as usize,
            connections_per_address_max: self.connections_per_address_max as usize,
            memory_per_address_max: (self.memory_per_address_max as usize).saturating_mul(MIB),
            ingress_per_address_rate: rate(self.ingress_per_address_rate, self.ingress_per_address_burst),
            streams_max: self.streams_max,
            publish_rate: rate(self.publish_rate, self.publish_burst),
            publish_per_address_rate: rate(self.publish_per_address_rate, self.publish_per_address_burst),
            join_rate: rate(self.join_rate, self.join_burst),
            read_per_address_rate: rate(self.read_per_address_rate, self.read_per_address_burst),
            ..Config::default()
        };
        match self.address_limits {
            Switch::On => config,
            Switch::Off => config.without_address_limits(),
        }
    }
}

/// A Welcome lists all participants, so their number is bounded by the largest message that clients accept.
fn participants(text: &str) -> Result<u32, String> {
    match text.parse::<u32>() {
        Ok(number) if number as usize > PARTICIPANTS_MAX => Err(format!(
            "must be at most {PARTICIPANTS_MAX}: a participant is sent the list of all others in one message, and \
             clients accept no more than 4 MiB"
        )),
        _ => number(1..=PARTICIPANTS_MAX as u32)(text),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct TestCli {
        #[command(flatten)]
        limits: LimitArgs,
    }

    fn config(options: &[&str]) -> Config {
        TestCli::try_parse_from([&["chitchat"], options].concat()).unwrap().limits.config()
    }

    /// Every limit of a service, by its option: times in milliseconds, and numbers.
    fn limits_of(config: &Config) -> [(&'static str, u128); 23] {
        let (publish, of_address) = (config.publish_rate, config.publish_per_address_rate);
        let (join, read, ingress) =
            (config.join_rate, config.read_per_address_rate, config.ingress_per_address_rate);
        [
            ("--heartbeat", config.heartbeat.as_millis()),
            ("--stall", config.stall.as_millis()),
            ("--ping", config.ping.as_millis()),
            ("--ping-timeout", config.ping_timeout.as_millis()),
            ("--first-request", config.first_request.as_millis()),
            ("--request-time", config.request_time.as_millis()),
            ("--drain", config.drain.as_millis()),
            ("--participants-max", config.participants_max as u128),
            ("--participants-per-address-max", config.participants_per_address_max as u128),
            ("--connections-max", config.connections_max as u128),
            ("--connections-per-address-max", config.connections_per_address_max as u128),
            ("--memory-per-address-max", config.memory_per_address_max as u128),
            ("--ingress-per-address-rate", ingress.per_second.into()),
            ("--ingress-per-address-burst", ingress.burst.into()),
            ("--streams-max", config.streams_max.into()),
            ("--publish-rate", publish.per_second.into()),
            ("--publish-burst", publish.burst.into()),
            ("--publish-per-address-rate", of_address.per_second.into()),
            ("--publish-per-address-burst", of_address.burst.into()),
            ("--join-rate", join.per_second.into()),
            ("--join-burst", join.burst.into()),
            ("--read-per-address-rate", read.per_second.into()),
            ("--read-per-address-burst", read.burst.into()),
        ]
    }

    #[test]
    fn defaults() {
        assert_eq!(limits_of(&config(&[])), limits_of(&Config::default()));
    }

    /// Each option sets its own limit and no other.
    #[test]
    fn options() {
        let defaults = limits_of(&Config::default());
        for (index, (flag, _)) in defaults.into_iter().enumerate() {
            let (value, expected) = match flag {
                _ if index < 7 => ("7777ms", 7777),
                "--memory-per-address-max" => ("7777", 7777 << 20),
                _ => ("7777", 7777),
            };
            let mut wanted = defaults;
            wanted[index].1 = expected;
            assert_eq!(limits_of(&config(&[flag, value])), wanted, "{flag}");
        }
    }

    /// `--address-limits off` leaves an address only the limits that apply to everybody.
    #[test]
    fn address_limits_off() {
        let (on, off) = (config(&[]), config(&["--address-limits", "off"]));
        for ((flag, on), (_, off)) in limits_of(&on).into_iter().zip(limits_of(&off)) {
            let by_address = flag.contains("per-address") || flag.starts_with("--join");
            assert_eq!(on != off, by_address, "{flag}");
        }
        assert_eq!(config(&["--address-limits", "on", "--join-rate", "7"]).join_rate.per_second, 7);
    }
}
