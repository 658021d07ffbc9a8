//! Joining, resuming, joining anew, and giving up.

use super::*;
use crate::chat::Sequence;

fn kept() -> KeptSession {
    KeptSession {
        token: "token".into(),
        epoch: "e1".into(),
        participant_id: "p1".into(),
        clock: 30,
        position: Sequence(5),
        shown: Sequence(4),
        chain_hash: vec![4],
    }
}

#[test]
fn a_join_dials_asks_and_is_welcomed() {
    let mut client = Client::with(1, Duration::ZERO, None);
    assert_eq!(client.feed(Input::Join), ["dial 0", "join at 1"]);
    assert_eq!(client.welcome(welcome(1, 3, false)), ["joined as p1"]);
    assert_eq!(client.event(joined(1, 3)), ["event 1"]);
    assert_eq!(client.records("client_started").len(), 1);
    assert_eq!(client.records("event_delivered")[0]["local_time"], 5);
}

/// A request that is never sent must not advance the clock.
#[test]
fn a_connection_that_cannot_be_made_costs_no_tick() {
    let mut client = Client::joined();
    client.dials = false;
    assert_eq!(client.ended(lost("reset")), ["close", "offline: reset"]);
    assert_eq!(client.wait(200), ["dial 0", "close"]);
    client.dials = true;
    assert_eq!(client.wait(400), ["dial 0", "resume at 6 after 1"]);
}

#[test]
fn a_first_join_is_tried_once_or_for_as_long_as_the_program_waits() {
    let mut client = Client::with(1, Duration::ZERO, None);
    client.dials = false;
    let refused = "not joined: cannot reach http://0: connection refused";
    assert_eq!(client.feed(Input::Join), ["dial 0", "close", refused]);
    assert_eq!(client.records("client_stopped")[0]["reason"], "cannot reach http://0: connection refused");
    assert_eq!(client.due(), None);

    let mut client = Client::with(1, Duration::from_secs(1), None);
    client.dials = false;
    client.feed(Input::Join);
    assert_eq!(client.wait(200), ["dial 0", "close"]);
    assert_eq!(client.wait(400), ["dial 0", "close"]);
    assert_eq!(client.due(), Some(Duration::from_millis(400)), "the last attempt is at the end of the wait");
    assert_eq!(client.wait(400), ["dial 0", "close", refused]);
}

#[test]
fn a_refused_join_is_final_and_so_is_one_that_breaks_the_protocol() {
    let mut client = Client::with(1, Duration::from_secs(60), None);
    client.feed(Input::Join);
    assert_eq!(client.ended(refusal(Reason::NameTaken, None)), ["close", "not joined: NAME_TAKEN"]);
    assert_eq!(client.records("client_stopped")[0]["reason"], "NAME_TAKEN");

    let mut client = Client::with(1, Duration::from_secs(60), None);
    client.feed(Input::Join);
    let said = client.event(joined(1, 3));
    assert_eq!(said[1], "not joined: the service broke the protocol: a stream began without a Welcome");
}

/// The name may be held by an earlier request of this client whose answer was lost.
#[test]
fn a_name_that_its_own_lost_request_holds_is_waited_for() {
    let mut client = Client::with(1, Duration::from_secs(60), None);
    client.feed(Input::Join);
    assert_eq!(client.wait(10_000), ["close"], "no answer");
    assert_eq!(client.wait(200), ["dial 0", "join at 2"]);
    assert_eq!(client.ended(refusal(Reason::NameTaken, None)), ["close"]);
    assert_eq!(client.due(), Some(Duration::from_secs(5)));
}

#[test]
fn a_kept_session_is_resumed_and_tried_for_a_grace_period() {
    let mut client = Client::with(1, Duration::ZERO, Some(kept()));
    client.dials = false;
    assert_eq!(client.feed(Input::Join), ["dial 0", "close"]);
    client.dials = true;
    assert_eq!(client.wait(200), ["dial 0", "resume at 31 after 4"]);
    assert_eq!(client.welcome(welcome(6, 40, true)), ["joined as p1"]);
    client.event(message(5, 38));
    assert_eq!(client.event(message(6, 40)), ["continued after 4, Some(2) of 2", "event 5", "event 6"]);
    let delivered = client.records("event_delivered");
    assert_eq!(delivered.len(), 1, "the earlier process has recorded event 5");
    assert_eq!(delivered[0]["sequence"], 6);
}

/// Missed events begin with the participant's own Joined, at any position.
#[test]
fn a_kept_session_without_a_shown_event_continues_with_its_own_join() {
    let nothing = KeptSession { position: Sequence(4), shown: Sequence(0), chain_hash: Vec::new(), ..kept() };
    let mut client = Client::with(1, Duration::ZERO, Some(nothing));
    client.feed(Input::Join);
    client.welcome(welcome(4, 20, true));
    assert_eq!(client.event(joined(4, 20)), [""; 0]);
    let said = client.frame(Frame::CaughtUp(pb::CaughtUp { sequence: 4 }));
    assert_eq!(said, ["continued after 3, Some(0) of 0", "event 4"]);
}

#[test]
fn a_client_whose_kept_session_is_over_joins_anew_with_a_clock_that_the_service_accepts() {
    let mut client = Client::with(1, Duration::ZERO, Some(kept()));
    client.feed(Input::Join);
    let said = client.ended(refusal(Reason::EpochChanged, None));
    assert_eq!(said, ["close", "dial 0", "join at 32"]);
    assert_eq!(client.records("disconnected")[0]["reason"], "EPOCH_CHANGED");
    assert_eq!(client.ended(refusal(Reason::ClockOutOfRange, None)), ["close", "dial 0", "join at 1"]);
    assert_eq!(client.welcome(welcome(1, 3, false)), ["joined anew as p1: EPOCH_CHANGED", "anew: EPOCH_CHANGED"]);
}

/// A service that refuses even a new clock is not asked in a hot loop.
#[test]
fn a_clock_is_restarted_once() {
    let mut client = Client::with(1, Duration::ZERO, Some(kept()));
    client.feed(Input::Join);
    client.ended(refusal(Reason::EpochChanged, None));
    client.ended(refusal(Reason::ClockOutOfRange, None));
    assert_eq!(client.ended(refusal(Reason::ClockOutOfRange, None)), ["close", "not joined: CLOCK_OUT_OF_RANGE"]);
}

#[test]
fn a_lost_stream_is_resumed_where_it_broke_and_what_was_missed_is_counted() {
    let mut client = Client::joined();
    client.event(message(2, 8));
    assert_eq!(client.ended(lost("reset")), ["close", "offline: reset"]);
    client.wait(200);
    client.welcome(welcome(4, 14, true));
    assert_eq!(client.event(message(3, 11)), [""; 0], "counted first");
    assert_eq!(client.event(message(4, 14)), ["back after 200ms, Some(2) of 2", "event 3", "event 4"]);
    assert_eq!(client.records("disconnected")[0]["reason"], "reset");
    assert_eq!(client.records("resumed").len(), 1);
}

/// L6, D7: the resume names the last event that was received, and its chain hash.
#[test]
fn a_resume_names_the_last_event() {
    let mut client = Client::joined();
    client.event(message(2, 8));
    client.ended(lost("reset"));
    client.wait(200);
    let opened = client.outputs.iter().rev().find_map(|output| match output {
        Output::Call(DriverCall::Open { request }) => request.resume.clone(),
        _ => None,
    });
    let resume = opened.unwrap();
    assert_eq!((&*resume.session_token, &*resume.epoch), ("token", "e1"));
    assert_eq!((resume.after_sequence, resume.chain_hash), (2, 2_u64.to_be_bytes().to_vec()));
}

#[test]
fn a_silent_stream_is_lost_and_a_heartbeat_is_a_sign_of_life() {
    let mut client = Client::joined();
    client.wait(34_000);
    client.frame(Frame::Heartbeat(pb::Heartbeat { head_sequence: 1 }));
    assert_eq!(client.wait(34_999), [""; 0]);
    assert_eq!(client.wait(1), ["close", "offline: the service has fallen silent"]);
}

#[test]
fn a_client_that_has_joined_waits_out_the_answers_of_a_proxy() {
    let mut client = Client::joined();
    client.ended(lost("reset"));
    client.wait(200);
    let error = JoinError::Mismatch { address: "http://0".into(), why: "a proxy".into() };
    let proxy =
        Failure { kind: FailureKind::Mismatch, reason: None, message: "a proxy".into(), retry_after: None, error };
    assert_eq!(client.ended(proxy.clone()), ["close"]);
    assert_eq!(client.wait(400), ["dial 0", "resume at 7 after 1"]);
    client.welcome(welcome(1, 3, true));
    assert_eq!(client.ended(proxy), ["close", "ended: http://0: a proxy"], "on an open stream it is final");
}

#[test]
fn a_lasting_refusal_ends_the_client() {
    let mut client = Client::joined();
    client.ended(lost("reset"));
    client.wait(200);
    assert_eq!(client.ended(refusal(Reason::SecretRequired, None)), ["close", "ended: SECRET_REQUIRED"]);
    assert_eq!(client.records("client_stopped")[0]["reason"], "SECRET_REQUIRED");
    assert!(client.machine.is_over());
    assert_eq!(client.wait(60_000), [""; 0]);
}

/// A lab breaks a stream with RetryInfo 0: the client is back after the usual pause.
#[test]
fn a_stream_that_the_lab_breaks_is_resumed() {
    let mut client = Client::joined();
    assert_eq!(client.ended(refusal(Reason::LabDisconnected, Some(0))), ["close", "offline: LAB_DISCONNECTED"]);
    assert_eq!(client.wait(200), ["dial 0", "resume at 6 after 1"]);
}

#[test]
fn a_name_that_is_taken_on_joining_anew_is_waited_for() {
    let mut client = Client::joined();
    client.ended(refusal(Reason::SessionUnknown, None));
    assert_eq!(client.wait(200), ["dial 0", "join at 6"]);
    assert_eq!(client.ended(refusal(Reason::NameTaken, None)), ["close", "offline: NAME_TAKEN"]);
    assert_eq!(client.wait(4_999), [""; 0]);
    assert_eq!(client.wait(1), ["dial 0", "join at 7"]);
    assert_eq!(client.ended(refusal(Reason::NameTaken, None)), ["close"], "reported once");
    client.wait(5_000);
    assert_eq!(client.welcome(welcome(9, 60, false)), ["anew: SESSION_UNKNOWN"]);
}

/// Requests that the client has abandoned may arrive late, once each.
#[test]
fn a_takeover_ends_the_client_unless_by_its_own_late_request() {
    let mut client = Client::joined();
    client.ended(lost("reset"));
    client.wait(200);
    assert_eq!(client.wait(10_000), ["close"], "a resume without an answer");
    client.wait(400);
    client.welcome(welcome(1, 3, true));
    let said = client.ended(refusal(Reason::Replaced, None));
    assert_eq!(said, ["close", "offline: an earlier request of this client arrived late"]);
    client.wait(800);
    client.welcome(welcome(1, 3, true));
    assert_eq!(client.ended(refusal(Reason::Replaced, None)), ["close", "ended: REPLACED"]);
}

#[test]
fn the_next_address_is_tried_after_each_loss_in_turn() {
    let mut client = Client::with(3, Duration::ZERO, None);
    client.feed(Input::Join);
    client.welcome(welcome(1, 3, false));
    client.event(joined(1, 3));
    client.ended(refusal(Reason::ShuttingDown, Some(1_000)));
    assert_eq!(client.due(), Some(Duration::from_millis(200)), "one server's wait does not apply to the next");
    assert_eq!(client.wait(200), ["dial 1", "resume at 6 after 1"]);
    client.ended(lost("reset"));
    client.dials = false;
    assert_eq!(client.wait(400), ["dial 2", "close"]);
    client.dials = true;
    assert_eq!(client.wait(800), ["dial 0", "resume at 7 after 1"]);
    client.welcome(welcome(1, 3, true));
    client.wait(1_000);
    client.ended(lost("reset"));
    assert_eq!(client.wait(200), ["dial 1", "resume at 9 after 1"]);
}

#[test]
fn a_first_join_tries_each_address_once() {
    let mut client = Client::with(2, Duration::ZERO, None);
    client.dials = false;
    assert_eq!(client.feed(Input::Join), ["dial 0", "close"]);
    client.dials = true;
    assert_eq!(client.wait(200), ["dial 1", "join at 1"]);

    let mut client = Client::with(2, Duration::ZERO, None);
    client.dials = false;
    client.feed(Input::Join);
    let said = client.wait(200);
    assert!(
        said[2].starts_with("not joined: cannot reach http://0: connection refused; cannot reach "),
        "{said:?}"
    );

    let mut client = Client::with(2, Duration::ZERO, None);
    client.feed(Input::Join);
    assert_eq!(client.ended(refusal(Reason::NameTaken, None)), ["close", "not joined: NAME_TAKEN"]);
}

#[test]
fn a_failure_of_the_driver_is_reported() {
    let mut client = Client::joined();
    client.submit("m1", "hello");
    let said = client.feed(Input::Failed("a panic".into()));
    let unknown =
        "m1: the session was lost before the answer came: the message may or may not have been delivered";
    assert_eq!(said, ["close", unknown, "ended: the client failed: a panic"]);
}
