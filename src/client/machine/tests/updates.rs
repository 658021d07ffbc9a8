//! Updates that wait for the program: backpressure, deliveries and notices.

use super::*;

fn slow() -> Client {
    let mut client = Client::joined();
    client.takes = false;
    (0..256).for_each(|n| drop(client.event(message(2 + n, 8 + 3 * n))));
    client
}

/// T1: while the program does not read, neither does the client, so the silence is its own.
#[test]
fn a_program_that_takes_nothing_stops_the_stream_and_not_the_connection() {
    let mut client = slow();
    assert!(!client.machine.has_room());
    assert_eq!(client.due(), None, "no silence is measured");
    assert_eq!(client.wait(600_000), [""; 0]);
    assert_eq!(client.feed(Input::Take), ["event 2"]);
    assert!(client.machine.has_room());
    assert_eq!(client.due(), Some(Duration::from_secs(35)), "from when it is read again");
}

#[test]
fn a_slow_consumer_resumes_after_what_it_received_and_takes_everything_in_order() {
    let mut client = slow();
    assert_eq!(client.ended(refusal(Reason::SlowConsumer, Some(0))), ["close"]);
    assert_eq!(client.wait(200), ["dial 0", "resume at 6 after 257"]);
    client.welcome(welcome(258, 2_000, true));
    client.takes = true;
    let taken = client.event(message(258, 2_000));
    assert_eq!((&*taken[0], &*taken[255], taken.len()), ("event 2", "event 257", 259));
    assert_eq!(taken[256..], ["offline: SLOW_CONSUMER", "back after 200ms, Some(1) of 1", "event 258"]);
}

#[test]
fn an_event_is_delivered_when_it_is_taken() {
    let mut client = Client::joined();
    client.takes = false;
    client.event(message(2, 8));
    assert_eq!(client.records("event_delivered").len(), 1);
    client.feed(Input::Take);
    let delivered = &client.records("event_delivered")[1];
    assert_eq!((&delivered["sequence"], &delivered["local_time"]), (&2.into(), &9.into()));
}

/// The waiting updates belong to the membership that is over.
#[test]
fn waiting_events_are_recorded_before_another_membership_begins() {
    let mut client = Client::joined();
    client.takes = false;
    client.event(message(2, 8));
    client.ended(refusal(Reason::SessionUnknown, None));
    assert_eq!(client.records("event_delivered").len(), 2);
    assert_eq!(client.feed(Input::Take), ["event 2"]);
    assert_eq!(client.records("event_delivered").len(), 2, "once");
}

#[test]
fn a_program_that_takes_no_more_updates_stays() {
    let mut client = slow();
    client.feed(Input::Unread);
    assert_eq!(client.records("event_delivered").len(), 257);
    assert!(client.machine.has_room());
    client.event(message(258, 2_000));
    assert_eq!(client.records("event_delivered").len(), 258);
}

/// A connection that breaks again and again does not fill the queue.
#[test]
fn the_newest_notice_replaces_those_before_it_when_many_wait() {
    let mut client = Client::joined();
    client.takes = false;
    for _ in 0..600 {
        client.ended(lost("reset"));
        client.wait(10_000);
        client.welcome(welcome(1, 3, true));
    }
    assert_eq!(client.machine.updates_waiting(), 512);
    client.takes = true;
    client.feed(Input::Tick);
    client.event(message(2, 99_999));
    assert_eq!(client.records("event_delivered").len(), 2);
}

/// IR2: a hint, not an event.
#[test]
fn presence_is_a_hint_that_moves_no_clock() {
    let mut client = Client::joined();
    let presence = |participant_id: &str, connected| {
        Frame::Presence(pb::Presence { participant_id: participant_id.into(), connected })
    };
    assert_eq!(client.frame(presence("p2", false)), ["p2 connected: false"]);
    assert_eq!(client.frame(presence("p2", false)), [""; 0]);
    assert_eq!(client.frame(presence("p7", false)), [""; 0], "not a participant");
    assert_eq!(client.submit("m1", "one"), ["publish m1 at 6 seen 1"]);
}

/// Listing earlier events is not a delivery.
#[test]
fn earlier_events_are_listed_and_touch_no_clock() {
    let mut client = Client::joined();
    let ask = |ticket, before, count| Input::List(ListRequest { ticket, before: Sequence(before), count });
    assert_eq!(client.feed(ask(1, 1, 10)), ["listed 0"], "there is nothing before");
    assert_eq!(client.feed(ask(2, 9, 3)), ["list 3 after 5"]);
    let request = pb::ListEventsRequest { after_sequence: 5, page_size: 3, ..Default::default() };
    let events = vec![message(6, 20), message(7, 23), message(8, 26)];
    let result = Ok(pb::ListEventsResponse { events, has_more: true });
    assert_eq!(client.feed(Input::Listed { ticket: 2, request, result }), ["listed 3"]);
    client.ended(lost("reset"));
    client.feed(ask(3, 9, 3));
    assert_eq!(client.feed(ask(4, 9, 3)), ["list: no longer in the conversation"], "a newer request replaces it");
    client.wait(200);
    assert_eq!(client.welcome(welcome(1, 3, true))[0], "list 3 after 5");
    assert_eq!(client.records("event_delivered").len(), 1);
}

#[test]
fn a_session_that_can_no_longer_be_kept_is_reported() {
    let mut client = Client::joined();
    assert_eq!(client.feed(Input::NotKept("disk full".into())), ["not kept: disk full"]);
}

/// D16: what is recorded is kept before anything is sent.
#[test]
fn the_state_is_kept_before_a_request_is_made() {
    let mut client = Client::joined();
    client.submit("m1", "one");
    let last: Vec<_> = client.outputs.iter().rev().take(2).collect();
    assert!(
        matches!(last[1], Output::Keep(Keep::Save { clock: LogicalTime(6), position: Sequence(1) })),
        "{last:?}"
    );
    assert!(matches!(last[0], Output::Call(DriverCall::Publish { .. })), "{last:?}");
}
