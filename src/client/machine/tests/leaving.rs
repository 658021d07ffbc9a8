//! Leaving: what a leave waits for, and how long.

use super::*;

const UNACKNOWLEDGED: &str =
    "leave: could not reach the service; the others will see you leave when the grace period ends";

#[test]
fn a_leave_is_acknowledged_and_the_stream_is_read_to_its_end() {
    let mut client = Client::joined();
    assert_eq!(client.feed(Input::Leave), ["leave at 6"]);
    assert_eq!(client.left(Ok((3, 10))), ["left as 3"]);
    assert_eq!(client.event(message(2, 8)), ["event 2"]);
    assert_eq!(client.end(), ["close"]);
    assert!(client.machine.is_over());
    assert_eq!(client.records("client_stopped").len(), 1);
    assert!(client.records("disconnected").is_empty());
    assert!(client.outputs.iter().any(|output| matches!(output, Output::Keep(Keep::Remove))));
}

#[test]
fn a_leave_waits_for_what_was_submitted() {
    let mut client = Client::joined();
    client.submit("m1", "one");
    client.submit("m2", "two");
    assert_eq!(client.feed(Input::Leave), [""; 0]);
    assert_eq!(client.submit("m3", "late"), ["m3: no longer in the conversation"]);
    assert_eq!(client.published(Ok((2, 8))), ["m1 is 2", "publish m2 at 10 seen 1"]);
    assert_eq!(client.published(Ok((3, 12))), ["m2 is 3", "leave at 14"]);
}

/// Each answer extends the deadline.
#[test]
fn a_leave_gives_up_after_ten_seconds_without_an_answer() {
    let mut client = Client::joined();
    client.submit("m1", "one");
    client.submit("m2", "two");
    client.feed(Input::Leave);
    assert_eq!(client.wait(9_999), [""; 0]);
    client.published(Ok((2, 8)));
    assert_eq!(client.wait(9_999), [""; 0]);
    let unknown =
        "m2: the session was lost before the answer came: the message may or may not have been delivered";
    assert_eq!(client.wait(1), ["close", unknown, UNACKNOWLEDGED]);
}

#[test]
fn a_client_that_is_offline_can_leave() {
    let mut client = Client::joined();
    client.ended(lost("reset"));
    client.submit("m1", "waits");
    client.feed(Input::Leave);
    client.dials = false;
    client.wait(9_000);
    assert_eq!(client.wait(1_000), ["m1: no longer in the conversation", UNACKNOWLEDGED]);
    assert_eq!(client.feed(Input::Leave), ["leave: no longer in the conversation"]);
}

#[test]
fn a_leave_whose_connection_breaks_is_sent_again_on_the_next() {
    let mut client = Client::joined();
    client.feed(Input::Leave);
    client.ended(lost("reset"));
    client.wait(200);
    assert_eq!(client.welcome(welcome(1, 3, true))[0], "leave at 9");
}

/// The membership is over in any case.
#[test]
fn a_client_whose_session_ends_while_it_leaves_has_left() {
    let mut client = Client::joined();
    client.feed(Input::Leave);
    let said = client.left(Err(refusal(Reason::SessionUnknown, None)));
    assert_eq!(said, ["close", "leave: no longer in the conversation"]);
    assert!(client.machine.is_over());

    let mut client = Client::joined();
    client.feed(Input::Leave);
    client.ended(lost("reset"));
    client.wait(200);
    assert_eq!(
        client.ended(refusal(Reason::EpochChanged, None)),
        ["close", "leave: no longer in the conversation"]
    );
}

#[test]
fn the_answer_to_a_leave_is_awaited_after_the_end_of_the_stream() {
    let mut client = Client::joined();
    client.feed(Input::Leave);
    assert_eq!(client.end(), [""; 0]);
    assert_eq!(client.due(), Some(Duration::from_secs(10)));
    assert_eq!(client.left(Ok((2, 8))), ["left as 2", "close"]);
}

#[test]
fn a_leave_with_an_impossible_answer_is_sent_again() {
    let mut client = Client::joined();
    client.feed(Input::Leave);
    assert!(client.left(Ok((0, 8)))[1].starts_with("offline: the service broke the protocol"));
    client.wait(200);
    assert_eq!(client.welcome(welcome(1, 3, true))[0], "leave at 9");
}

/// Without that record, an acknowledged leave would mean that the client had received everything up to its Left (V9).
#[test]
fn a_stream_that_was_not_read_to_its_end_is_in_the_log() {
    let mut slow = Client::joined();
    slow.takes = false;
    slow.feed(Input::Leave);
    slow.left(Ok((4, 10)));
    slow.event(message(2, 8));
    assert_eq!(slow.wait(10_000), ["close"]);
    // The program takes what was read before.
    slow.takes = true;
    assert_eq!(slow.feed(Input::Tick), ["event 2"]);
    let records: Vec<_> = slow.outputs.iter().filter_map(record).collect();
    let names: Vec<_> = records.iter().map(|record| record["event"].as_str().unwrap()).collect();
    assert!(names.ends_with(&["event_delivered", "disconnected", "client_stopped"]), "{names:?}");

    let mut unanswered = Client::joined();
    unanswered.feed(Input::Leave);
    unanswered.wait(10_000);
    let mut given_up = Client::joined();
    given_up.feed(Input::GiveUp);
    let mut offline = Client::joined();
    offline.ended(lost("reset"));
    offline.feed(Input::GiveUp);
    let mut ended = Client::joined();
    ended.feed(Input::Leave);
    ended.end();
    ended.wait(10_000);
    let cut = Some("the stream was not read to its end");
    for (client, expected) in
        [(slow, cut), (unanswered, cut), (given_up, cut), (offline, Some("reset")), (ended, None)]
    {
        assert!(client.machine.is_over());
        let records = client.records("disconnected");
        let reasons: Vec<_> = records.iter().map(|record| &record["reason"]).collect();
        assert_eq!(reasons, Vec::from_iter(expected));
    }
}

#[test]
fn giving_up_waits_for_nothing() {
    let mut client = Client::joined();
    client.submit("m1", "one");
    client.submit("m2", "two");
    let unknown =
        "m1: the session was lost before the answer came: the message may or may not have been delivered";
    let said = client.feed(Input::GiveUp);
    assert_eq!(said, ["close", unknown, "m2: no longer in the conversation", UNACKNOWLEDGED]);
}
