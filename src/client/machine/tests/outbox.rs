//! What becomes of messages.

use super::*;

#[test]
fn messages_are_sent_one_at_a_time_in_the_order_of_submission() {
    let mut client = Client::joined();
    assert_eq!(client.submit("m1", "one"), ["publish m1 at 6 seen 1"]);
    assert_eq!(client.submit("m2", "two"), [""; 0]);
    assert_eq!(client.published(Ok((2, 8))), ["m1 is 2", "publish m2 at 10 seen 1"]);
    assert_eq!(client.published(Ok((3, 12))), ["m2 is 3"]);
    let queued = client.records("publish_queued");
    assert_eq!((&queued[1]["message_id"], &queued[1]["seen_sequence"]), (&"m2".into(), &1.into()));
}

/// V6: an event that waits for the program has not been delivered to it.
#[test]
fn a_writer_has_seen_what_the_program_has_taken() {
    let mut client = Client::joined();
    client.takes = false;
    client.event(message(2, 8));
    assert_eq!(client.submit("m1", "one"), ["publish m1 at 6 seen 1"]);
    client.published(Ok((3, 10)));
    assert_eq!(client.feed(Input::Take), ["event 2"]);
    assert_eq!(client.submit("m2", "two"), ["publish m2 at 13 seen 2"]);
}

#[test]
fn an_invalid_text_is_refused_at_once() {
    let mut client = Client::joined();
    let said = client.submit("m1", &"a".repeat(129));
    assert_eq!(said, ["m1: a message has at most 128 characters, and this one has 129"]);
    let refused = &client.records("publish_refused")[0];
    assert_eq!((&refused["reason"], &refused["message_id"]), (&"TEXT_TOO_LONG".into(), &Value::Null));
}

#[test]
fn a_message_whose_answer_is_lost_is_sent_again_under_its_id() {
    let mut client = Client::joined();
    client.submit("m1", "one");
    client.ended(lost("reset"));
    client.wait(200);
    assert_eq!(client.welcome(welcome(1, 3, true)), ["publish m1 at 9 seen 1", "back after 200ms, Some(0) of 0"]);
    assert_eq!(client.published(Ok((2, 11))), ["m1 is 2"]);
}

/// With HTTP/2 a publish and the stream share one connection, which is dropped if a publish is not answered.
#[test]
fn a_publish_without_an_answer_costs_the_connection() {
    let mut client = Client::joined();
    client.submit("m1", "one");
    assert_eq!(client.published(Err(lost("no answer"))), ["close", "offline: no answer"]);
    client.wait(200);
    assert_eq!(client.welcome(welcome(1, 3, true))[0], "publish m1 at 9 seen 1");
}

/// A proxy in front of the service may answer for a while.
#[test]
fn a_publish_that_fails_without_a_reason_is_tried_again_and_then_costs_the_connection() {
    let mut client = Client::joined();
    let failure = Failure { kind: FailureKind::Unavailable, ..lost("502") };
    client.submit("m1", "one");
    let mut pause = 500;
    for _ in 0..4 {
        assert_eq!(client.published(Err(failure.clone())), [""; 0]);
        assert_eq!(client.wait(pause - 1), [""; 0]);
        assert_eq!(client.wait(1).len(), 1);
        pause *= 2;
    }
    assert_eq!(client.published(Err(failure)), ["close", "offline: 502"]);
    client.wait(200);
    assert_eq!(client.welcome(welcome(1, 3, true)).len(), 2, "it is sent on the next connection");
}

#[test]
fn rate_limits_and_a_journal_that_fails_make_a_message_wait() {
    for (reason, retry_after, pause) in [
        (Reason::RateLimited, Some(2_500), 2_500),
        (Reason::RateLimited, None, 500),
        (Reason::JournalUnavailable, Some(1_000), 1_000),
    ] {
        let mut client = Client::joined();
        client.submit("m1", "one");
        let said = client.published(Err(refusal(reason, retry_after)));
        assert_eq!(said, [format!("waiting {:?}: {}", Duration::from_millis(pause), reason.as_str())]);
        assert_eq!(client.due(), Some(Duration::from_millis(pause)));
        assert_eq!(client.wait(pause), ["publish m1 at 7 seen 1"]);
        assert!(client.records("publish_refused").is_empty());
    }
}

#[test]
fn a_refused_message_is_reported_and_recorded() {
    let mut client = Client::joined();
    client.submit("m1", "one");
    assert_eq!(client.published(Err(refusal(Reason::ClockOutOfRange, None))), ["m1: CLOCK_OUT_OF_RANGE"]);
    let refused = &client.records("publish_refused")[0];
    assert_eq!((&refused["message_id"], &refused["content"]), (&"m1".into(), &"one".into()));
}

/// D14: a message that may have been published is not sent under another session.
#[test]
fn an_unknown_outcome_is_reported_to_the_writer_once_the_session_is_over() {
    let mut client = Client::joined();
    client.submit("m1", "maybe");
    client.submit("m2", "never");
    client.ended(lost("reset"));
    client.wait(200);
    let said = client.ended(refusal(Reason::SessionUnknown, None));
    let unknown =
        "m1: the session was lost before the answer came: the message may or may not have been delivered";
    assert_eq!(said, ["close", unknown, "dial 0", "join at 8"]);
    assert_eq!(client.records("publish_refused")[0]["reason"], "UNCONFIRMED");
    let mut anew = welcome(9, 60, false);
    anew.participants.push(person("p9", "alice"));
    anew.participant_id = "p9".into();
    assert_eq!(client.welcome(anew), ["publish m2 at 62 seen 0", "anew: SESSION_UNKNOWN"]);
}

/// From the answer it is known that the message was not published.
#[test]
fn a_publish_that_finds_no_session_is_sent_under_the_next() {
    let mut client = Client::joined();
    client.submit("m1", "one");
    assert_eq!(client.published(Err(refusal(Reason::SessionUnknown, None))), ["close"]);
    assert_eq!(client.wait(200), ["dial 0", "join at 7"]);
    assert_eq!(client.welcome(welcome(9, 60, false))[0], "publish m1 at 62 seen 0");
}

/// D15: the connection is dropped, and the message keeps its id.
#[test]
fn an_impossible_answer_drops_the_connection() {
    let mut client = Client::joined();
    client.submit("m1", "one");
    let said = client.published(Ok((1, 9)));
    assert!(said[1].starts_with("offline: the service broke the protocol: a message was acknowledged as event 1"));
    client.wait(200);
    assert_eq!(client.welcome(welcome(1, 3, true))[0], "publish m1 at 9 seen 1");
}

/// A lab that holds a participant's messages announces it, and the messages wait for their answers.
#[test]
fn a_lab_that_holds_is_reported_and_no_message_is_lost() {
    let mut client = Client::joined();
    let notice = |faults: &str| Frame::LabNotice(pb::LabNotice { faults: faults.into() });
    assert_eq!(client.frame(notice("publishes held")), ["lab: publishes held"]);
    client.submit("m1", "one");
    assert_eq!(client.submit("m2", "two"), [""; 0]);
    assert_eq!(client.frame(notice("")), ["lab: "]);
    assert_eq!(client.published(Ok((2, 8))), ["m1 is 2", "publish m2 at 10 seen 1"]);
}

/// No message is lost silently.
#[test]
fn a_text_that_is_submitted_after_the_end_is_not_sent() {
    let mut client = Client::joined();
    client.feed(Input::Leave);
    client.left(Ok((2, 8)));
    client.end();
    assert_eq!(client.submit("m1", "late"), ["m1: no longer in the conversation"]);
}
