//! A reader that is further behind than the feed reaches. `benches/far_behind.rs` does this with more events.

use chitchat::server::FEED_WINDOW;
use chitchat::wire::pb;

use crate::support::{DurableServer, Participant, Window, check_transcript};

/// More than the feed keeps.
const EVENTS: u64 = 10_000;
const _: () = assert!(EVENTS > 2 * FEED_WINDOW as u64);
/// How much memory one reader that catches up may cost the service.
const GROWTH_BYTES_MAX: u64 = 64 * 1024 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_far_behind_gets_everything_once_and_memory_stays_bounded_v4() {
    let server = DurableServer::start(&["--publish-rate", "0", "--address-limits", "off", "--grace", "10min"]);
    let reader = Participant::arrive(server.address, "reader").await;
    let resume = Some(reader.resume_point(1));
    drop(reader);
    let publisher = Participant::arrive(server.address, "publisher").await;
    publisher.publish_many(EVENTS).await;

    let before = server.resident_bytes();
    let request = pb::JoinRequest { resume, ..Default::default() };
    let mut reader = Participant::open(server.address, &request, Window::Bytes(65_535)).await.unwrap();
    let (head, mut largest) = (EVENTS + 2, before);
    assert_eq!(reader.welcome.head_sequence, head);
    let mut transcript = Vec::new();
    for n in 2..=head {
        let event = reader.event().await;
        transcript.push((event.sequence, event.logical_time));
        if n % 1000 == 0 {
            largest = largest.max(server.resident_bytes());
        }
    }
    check_transcript(&transcript);
    assert_eq!((transcript[0].0, transcript.len() as u64), (2, head - 1));
    let growth = largest.max(server.resident_bytes()) - before;
    assert!(growth < GROWTH_BYTES_MAX, "{growth} bytes");
    publisher.publish("and on").await;
    assert_eq!(reader.hears("and on").await.sequence, head + 1);
}
