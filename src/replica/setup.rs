//! The settings that the stream and its servers need, so that nothing acknowledged can be lost.

use async_nats::jetstream::stream::{Config, DiscardPolicy, Info, PersistenceMode, RetentionPolicy, StorageType};

use super::error::SetupFault;

/// The oldest server that is accepted: the first release after Jepsen's report of December 2025.
pub(super) const SERVER_VERSION_MIN: [u64; 3] = [2, 12, 3];

/// How many copies of each message three or more servers keep.
const COPIES: usize = 3;

/// The one subject of a stream's messages.
pub(super) fn subject(stream: &str) -> String {
    format!("{stream}.commands")
}

/// How many copies a stream on this many servers needs.
pub(super) fn copies(servers: usize) -> usize {
    servers.clamp(1, COPIES)
}

/// The stream as the first replica creates it. It keeps everything, and no message can be removed from it.
pub(super) fn config(stream: &str, servers: usize) -> Config {
    Config {
        name: stream.into(),
        subjects: vec![subject(stream)],
        description: Some("The commands of a Chit Chat conversation. Never remove or edit a message.".into()),
        retention: RetentionPolicy::Limits,
        storage: StorageType::File,
        discard: DiscardPolicy::New,
        num_replicas: copies(servers),
        deny_delete: true,
        deny_purge: true,
        ..Config::default()
    }
}

/// Whether a server's version is new enough. Suffixes such as `-beta.1` do not count.
pub(super) fn is_new_enough(version: &str) -> bool {
    let mut numbers = version.trim_start_matches('v').split(['.', '-', '+']).map(|part| part.parse().unwrap_or(0));
    let found = [(); 3].map(|()| numbers.next().unwrap_or(0));
    found >= SERVER_VERSION_MIN
}

/// Checks an existing stream.
pub(super) fn check(info: &Info, servers: usize) -> Result<(), SetupFault> {
    let Info { config, state, .. } = info;
    let stream = &config.name;
    let needed = copies(servers);
    if config.num_replicas < needed {
        let replicas = config.num_replicas;
        return Err(SetupFault::TooFewReplicas { stream: stream.clone(), replicas, servers, needed });
    }
    let unlimited = |limit: i64| limit <= 0;
    let settings = [
        ("storage", format!("{:?}", config.storage), "File", config.storage == StorageType::File),
        (
            "retention",
            format!("{:?}", config.retention),
            "Limits",
            matches!(config.retention, RetentionPolicy::Limits),
        ),
        ("discard", format!("{:?}", config.discard), "New", matches!(config.discard, DiscardPolicy::New)),
        ("deny-delete", config.deny_delete.to_string(), "true", config.deny_delete),
        ("deny-purge", config.deny_purge.to_string(), "true", config.deny_purge),
        ("allow-rollup", config.allow_rollup.to_string(), "false", !config.allow_rollup),
        ("no-ack", config.no_ack.to_string(), "false", !config.no_ack),
        ("sealed", config.sealed.to_string(), "false", !config.sealed),
        ("max-age", format!("{:?}", config.max_age), "none", config.max_age.is_zero()),
        ("max-msgs", config.max_messages.to_string(), "none", unlimited(config.max_messages)),
        (
            "max-msgs-per-subject",
            config.max_messages_per_subject.to_string(),
            "none",
            unlimited(config.max_messages_per_subject),
        ),
        ("max-bytes", config.max_bytes.to_string(), "none", unlimited(config.max_bytes)),
        ("max-msg-size", config.max_message_size.to_string(), "none", unlimited(config.max_message_size.into())),
        ("max-consumers", config.max_consumers.to_string(), "none", unlimited(config.max_consumers.into())),
        ("mirror", "one".into(), "none", config.mirror.is_none()),
        ("sources", "some".into(), "none", config.sources.as_ref().is_none_or(Vec::is_empty)),
        ("a subject transform", "of its own".into(), "none", config.subject_transform.is_none()),
        ("allow-msg-ttl", config.allow_message_ttl.to_string(), "false", !config.allow_message_ttl),
        ("persist-mode", "async".into(), "default", !matches!(config.persist_mode, Some(PersistenceMode::Async))),
        ("subjects", format!("{:?}", config.subjects), "only its own", config.subjects == [subject(stream)]),
    ];
    for (setting, found, needed, is_right) in settings {
        if !is_right {
            let (stream, needed) = (stream.clone(), needed.to_owned());
            return Err(SetupFault::Setting { stream, setting, found, needed });
        }
    }
    if state.messages > 0 && (state.first_sequence != 1 || state.messages != state.last_sequence) {
        let (first, last, messages) = (state.first_sequence, state.last_sequence, state.messages);
        let why = format!("it has {messages} messages from {first} to {last}, so some were removed");
        return Err(SetupFault::Foreign { stream: stream.clone(), why });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_older_than_the_first_release_after_the_report_are_refused_r9() {
        for version in ["2.12.3", "v2.12.3", "2.15.1", "3.0.0", "2.13.0-beta.1"] {
            assert!(is_new_enough(version), "{version}");
        }
        for version in ["2.12.2", "2.10.23", "2.9", "", "unknown"] {
            assert!(!is_new_enough(version), "{version}");
        }
    }

    #[test]
    fn a_stream_has_as_many_copies_as_there_are_servers_up_to_three_r9() {
        assert_eq!([1, 2, 3, 5].map(copies), [1, 2, 3, 3]);
        assert_eq!(config("chitchat", 3).num_replicas, 3);
    }
}
