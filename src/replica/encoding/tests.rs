use super::*;
use crate::journal::Epoch;

fn commands() -> Vec<ClusterCommand> {
    let (session, who) = (SessionKey([7; 32]), ParticipantId(Sequence(9)));
    let message_id = MessageId::parse("m1").unwrap();
    let publish = |message_id| Command::Publish {
        session,
        text: MessageText::parse("å\u{0}😀").unwrap(),
        message_id,
        seen: Sequence(3),
        sent: LogicalTime(u64::MAX),
        sent_at: Some(UNIX_EPOCH + Duration::new(1_795_000_000, 5)),
    };
    vec![
        ClusterCommand::Start { name: "a".into(), nonce: u64::MAX },
        ClusterCommand::Stop,
        ClusterCommand::Beat,
        ClusterCommand::Join { display_name: DisplayName::parse("Åse").unwrap(), session, sent: LogicalTime(4) },
        ClusterCommand::Attach { session, after: Sequence(5) },
        ClusterCommand::Detach { participant: who, generation: 2 },
        ClusterCommand::Expire { participant: who, generation: 2 },
        ClusterCommand::Gone { replica: Incarnation(8), batch: 77 },
        ClusterCommand::Act(publish(message_id)),
        ClusterCommand::Act(publish(None)),
        ClusterCommand::Act(Command::Leave { session, sent: LogicalTime(6) }),
    ]
}

fn message() -> LogMessage {
    let at = UNIX_EPOCH + Duration::new(1_800_000_000, 123_456_789);
    let batch = Batch { from: Incarnation(3), number: 4, at, commands: commands() };
    let chain = Chain::of(&Epoch::new("e"));
    LogMessage::Batch {
        batch,
        prefix: Some(Prefix { position: 9, digest: LogDigest::default().with(b"x"), chain }),
    }
}

#[test]
fn a_message_is_read_as_it_was_written_r1() {
    let written = message();
    let read = LogMessage::decode(&written.encode()).unwrap();
    assert_eq!(format!("{read:?}"), format!("{written:?}"));
    let genesis = LogMessage::Genesis { epoch: "e".into() };
    assert!(matches!(LogMessage::decode(&genesis.encode()), Ok(LogMessage::Genesis { epoch }) if epoch == "e"));
}

#[test]
fn a_batch_is_no_longer_than_the_counted_bytes() {
    let LogMessage::Batch { batch, .. } = message() else { panic!() };
    let counted: usize = batch.commands.iter().map(encoded_len).sum();
    /// Everything besides the commands.
    const REST: usize = 128;
    assert!(message().encode().len() <= counted + REST);
}

#[test]
fn foreign_messages_differ_from_those_of_a_newer_program_r1() {
    for foreign in [&b""[..], b"hello", b"\x08\x01", b"\xff\xff"] {
        assert!(matches!(LogMessage::decode(foreign), Err(Unreadable::Foreign)), "{foreign:?}");
    }
    let newer = PbMessage { format: 2, kind: None }.encode_to_vec();
    assert!(matches!(LogMessage::decode(&newer), Err(Unreadable::Newer(2))));
    // A text that no service would have accepted.
    let long = PbPublish { session: vec![0; 32], text: "x".repeat(129), ..PbPublish::default() };
    let commands = vec![PbCommand { what: Some(PbWhat::Publish(long)) }];
    let kind = Some(PbKind::Batch(PbBatch { commands, ..PbBatch::default() }));
    let invalid = PbMessage { format: FORMAT, kind }.encode_to_vec();
    assert!(matches!(LogMessage::decode(&invalid), Err(Unreadable::Foreign)));
}
