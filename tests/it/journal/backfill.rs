//! The service's log after a crash has every durable event.

use std::fs;

use crate::journal::service::export;
use crate::support::{DurableServer, Participant, Record, records};

fn broadcasts(records: &[Record]) -> Vec<&Record> {
    let broadcast = |record: &&Record| record["event"].as_str().unwrap().ends_with("_broadcast");
    records.iter().filter(broadcast).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_lacks_its_end_after_a_crash_is_completed_from_the_journal_v1() {
    let mut server = DurableServer::start(&["--log-level", "info"]);
    let alice = Participant::arrive(server.address, "alice").await;
    for text in ["one", "two", "three"] {
        alice.publish(text).await;
    }
    let bob = Participant::arrive(server.address, "bob").await;
    bob.leave().await.unwrap();
    server.kill();

    // As if the process had been killed in the middle of the record of the third event.
    let text = fs::read_to_string(server.log()).unwrap();
    let third = text.lines().find(|line| line.contains("\"sequence\":3,")).unwrap();
    let cut = text.find(third).unwrap() + third.len() / 2;
    fs::write(server.log(), &text[..cut]).unwrap();
    server.start_again();
    let alice = alice.resume(server.address, 6).await.unwrap();
    alice.publish("four").await;

    let text = fs::read_to_string(server.log()).unwrap();
    let (good, bad): (Vec<_>, Vec<_>) =
        text.lines().map(serde_json::from_str::<Record>).partition(|line| line.is_ok());
    assert_eq!(bad.len(), 1, "only the cut line");
    let good: Vec<Record> = good.into_iter().map(Result::unwrap).collect();
    let found = broadcasts(&good);
    let events = export(&server.journal());
    assert_eq!((found.len(), events.len()), (7, 7));
    for (found, event) in found.iter().zip(&events) {
        let recovered = (3..=6).contains(&event["sequence"].as_u64().unwrap());
        let mut found = found.as_object().unwrap().clone();
        assert_eq!(found.remove("recovered"), recovered.then_some(true.into()), "{event}");
        assert_eq!(found.remove("recipients").is_some(), !recovered, "{event}");
        assert!(found.remove("run").is_some(), "only records of a process have a run: {event}");
        let mut event = event.as_object().unwrap().clone();
        // A recovered record has the time of its writing, not that of the event.
        for record in [&mut found, &mut event] {
            record.remove("timestamp").unwrap();
        }
        assert_eq!(found, event);
    }
    let starts = good.iter().filter(|record| record["event"] == "server_started");
    assert_eq!(starts.map(|record| &record["sequence"]).collect::<Vec<_>>(), [0, 6]);
    let order = |what: &str, sequence: u64| {
        let mut events = good.iter().map(|record| (&record["event"], &record["sequence"]));
        events.rposition(|(event, at)| event == what && *at == sequence).unwrap()
    };
    assert!(order("leave_broadcast", 6) < order("server_started", 6), "the log is completed before anything new");

    server.kill();
    server.start_again();
    let later = fs::read_to_string(server.log()).unwrap();
    let since = later.strip_prefix(&text).unwrap();
    assert!(since.contains("server_started") && !since.contains("_broadcast\""), "nothing was missing: {since}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_log_is_not_backfilled_and_a_notice_names_the_export_command() {
    let mut server = DurableServer::start(&[]);
    let alice = Participant::arrive(server.address, "alice").await;
    alice.publish("hello").await;
    server.kill();
    fs::remove_file(server.log()).unwrap();
    server.start_again_with_notice("chitchat journal export");
    let alice = alice.resume(server.address, 2).await.unwrap();
    alice.publish("and on").await;
    let records = records(&server.log());
    let found: Vec<_> = broadcasts(&records).iter().map(|record| record["sequence"].clone()).collect();
    assert_eq!(found, [3]);
}
