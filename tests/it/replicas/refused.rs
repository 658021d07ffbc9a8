//! Set-ups of replicas that cannot work are refused before anything is served, with the reason (R9).

use std::path::Path;
use std::time::Duration;

use async_nats::jetstream::stream::{Config, DiscardPolicy, StorageType};

use crate::replicas::replica_at;
use crate::support::{Nats, Participant, Program, ServerProgram};

/// Starts a replica that must fail, and returns its error.
#[track_caller]
pub fn refused(urls: &str, journal: &Path, more: &[&str]) -> String {
    let logs = tempfile::TempDir::new().unwrap();
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--replicate", urls, "--replica-name", "x", "--log-dir"];
    let rest = [logs.path().to_str().unwrap(), "--journal", journal.to_str().unwrap()];
    let ended = Program::run(&[&arguments[..], &rest, more].concat(), &[]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    ended.errors
}

fn stream(replicas: usize) -> Config {
    Config {
        name: "chitchat".into(),
        subjects: vec!["chitchat.commands".into()],
        num_replicas: replicas,
        discard: DiscardPolicy::New,
        deny_delete: true,
        deny_purge: true,
        ..Config::default()
    }
}

#[track_caller]
pub fn assert_contains(errors: &str, what: &str) {
    assert!(errors.contains(what), "{what:?} in {errors}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_could_lose_messages_is_refused_r9() {
    let (nats, folder) = (Nats::start(), tempfile::TempDir::new().unwrap());
    let (jetstream, journal) = (nats.jetstream().await, folder.path().join("j.db"));
    nats.make(&jetstream, stream(1)).await;
    assert_contains(&refused(&nats.urls(), &journal, &[]), "has 1 replicas, but there are 3 servers");
    jetstream.delete_stream("chitchat").await.unwrap();
    for (wrong, why) in [
        (Config { storage: StorageType::Memory, ..stream(3) }, "has storage Memory, but replicas need File"),
        (Config { discard: DiscardPolicy::Old, ..stream(3) }, "has discard Old, but replicas need New"),
        (Config { deny_delete: false, ..stream(3) }, "has deny-delete false, but replicas need true"),
        (Config { deny_purge: false, ..stream(3) }, "has deny-purge false, but replicas need true"),
        (Config { max_age: Duration::from_secs(3_600), ..stream(3) }, "has max-age 3600s, but replicas need none"),
        (Config { max_messages: 1_000, ..stream(3) }, "has max-msgs 1000, but replicas need none"),
        (Config { max_bytes: 1 << 20, ..stream(3) }, "has max-bytes 1048576, but replicas need none"),
        (Config { max_message_size: 1_000, ..stream(3) }, "has max-msg-size 1000, but replicas need none"),
    ] {
        nats.make(&jetstream, wrong).await;
        assert_contains(&refused(&nats.urls(), &journal, &[]), why);
        jetstream.delete_stream("chitchat").await.unwrap();
    }
    nats.make(&jetstream, stream(3)).await;
    jetstream.publish("chitchat.commands", "hello".into()).await.unwrap().await.unwrap();
    assert_contains(&refused(&nats.urls(), &journal, &[]), "contains something other than Chit Chat's commands");
    assert!(!journal.exists(), "nothing is left behind");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_and_a_stream_that_do_not_match_are_refused_r9() {
    let nats = Nats::start();
    let mut replica = replica_at(&nats.urls(), "a", &[]);
    let mut anna = Participant::arrive(replica.address, "anna").await;
    anna.publish("one").await;
    anna.hears("one").await;
    let journal = replica.journal();
    replica.program.as_ref().unwrap().signal("TERM");
    replica.program.as_mut().unwrap().end().succeeded();

    // The copy of a replica cannot be served without the servers.
    let alone = ["serve", "--listen", "127.0.0.1:0", "--journal", journal.to_str().unwrap(), "--log-dir"];
    let logs = tempfile::TempDir::new().unwrap();
    let ended = Program::run(&[&alone[..], &[logs.path().to_str().unwrap()]].concat(), &[]);
    assert_eq!(ended.code, Some(1));
    assert_contains(&ended.errors, "is the copy of a replica");

    // The stream is created anew. Then servers of two clusters are named.
    let jetstream = nats.jetstream().await;
    jetstream.delete_stream("chitchat").await.unwrap();
    assert_contains(&refused(&nats.urls(), &journal, &[]), "the stream was created anew");
    let other = Nats::start();
    let urls = format!("nats://{},nats://{}", nats.address(0), other.address(0));
    assert_contains(&refused(&urls, &logs.path().join("new.db"), &[]), "belong to different clusters");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_journal_of_a_single_service_is_refused_with_what_to_do_r9() {
    let (nats, folder) = (Nats::start(), tempfile::TempDir::new().unwrap());
    let journal = folder.path().join("single.db");
    let mut single = ServerProgram::start(&["--journal", journal.to_str().unwrap()]);
    single.join("anna").quit();
    single.stop("TERM").succeeded();
    assert_contains(&refused(&nats.urls(), &journal, &[]), "is the journal of a service without replicas");
}

/// The stream has what a damaged copy has lost, so the error does not ask for a backup.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_copy_is_refused_with_what_to_do_r9() {
    let nats = Nats::start();
    let mut replica = replica_at(&nats.urls(), "a", &[]);
    Participant::arrive(replica.address, "anna").await.publish("to be changed").await;
    replica.program.as_ref().unwrap().signal("TERM");
    replica.program.as_mut().unwrap().end().succeeded();
    let mut bytes = std::fs::read(replica.journal()).unwrap();
    let at = bytes.windows(13).rposition(|text| text == b"to be changed").unwrap();
    bytes[at] ^= 1;
    std::fs::write(replica.journal(), bytes).unwrap();
    let errors = refused(&nats.urls(), &replica.journal(), &[]);
    assert_contains(&errors, "event 2 is not what was recorded");
    assert_contains(&errors, "remove the journal with the files next to it");
    assert!(!errors.contains("backup"), "{errors}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_permission_is_named_r9() {
    let users = "authorization { users: [\n\
        { user: all, password: p },\n\
        { user: reads, password: p, permissions: { publish: [\"$JS.API.>\"] } },\n\
        { user: none, password: p, permissions: { publish: [\"nothing\"] } } ] }";
    let (nats, folder) = (Nats::start_with(users), tempfile::TempDir::new().unwrap());
    let journal = folder.path().join("j.db");
    let as_user = |user: &str| nats.urls().replace("nats://", &format!("nats://{user}:p@"));
    let errors = refused(&as_user("none"), &journal, &[]);
    assert_contains(&errors, "ermissions Violation");
    assert!(!errors.contains("none:p"), "no password is shown: {errors}");
    let replica = replica_at(&as_user("all"), "a", &[]);
    assert_contains(&refused(&as_user("reads"), &journal, &[]), "ermissions Violation");
    drop(replica);
    assert_contains(&refused("nats://127.0.0.1:1", &journal, &[]), "no NATS server can be reached");
}

/// They are refused before anything is served, and the file's content is not printed.
#[tokio::test(flavor = "multi_thread")]
async fn unusable_credentials_are_refused_and_not_printed_r9() {
    let (nats, folder) = (Nats::start(), tempfile::TempDir::new().unwrap());
    let (journal, file) = (folder.path().join("j.db"), folder.path().join("user.creds"));
    let credentials = ["--replicate-credentials", file.to_str().unwrap()];
    let missing = refused(&nats.urls(), &journal, &credentials);
    assert_contains(&missing, "--replicate-credentials: ");
    assert_contains(&missing, "user.creds cannot be read");
    for text in
        ["not-to-be-shown", "-----BEGIN NATS USER JWT-----\nnot-to-be-shown\n------END NATS USER JWT------\n"]
    {
        std::fs::write(&file, text).unwrap();
        let errors = refused(&nats.urls(), &journal, &credentials);
        assert_contains(&errors, "user.creds");
        assert!(!errors.contains("not-to-be-shown"), "{errors}");
    }
    assert!(!journal.exists());
}

/// A fake server that sends this INFO and answers only pings.
async fn server_that_says(info: &'static str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("nats://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut bytes = [0; 4096];
                let said = format!("INFO {info}\r\n");
                let mut going = socket.write_all(said.as_bytes()).await.is_ok();
                while going {
                    let read = socket.read(&mut bytes).await.unwrap_or(0);
                    let has_ping = bytes[..read].windows(4).any(|word| word == b"PING");
                    going = read > 0 && (!has_ping || socket.write_all(b"PONG\r\n").await.is_ok());
                }
            });
        }
    });
    url
}

/// No older server is available for the test, so a fake claims to be one.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_too_old_or_has_no_jetstream_is_refused_r9() {
    let folder = tempfile::TempDir::new().unwrap();
    let journal = folder.path().join("j.db");
    let old = r#"{"server_id":"x","server_name":"x","version":"2.12.2","proto":1,"host":"x","port":1,"max_payload":1048576,"jetstream":true,"headers":true}"#;
    let errors = refused(&server_that_says(old).await, &journal, &[]);
    assert_contains(&errors, "has version 2.12.2, but replicas need at least 2.12.3");
    let bare = r#"{"server_id":"x","server_name":"x","version":"2.15.1","proto":1,"host":"x","port":1,"max_payload":1048576,"headers":true}"#;
    assert_contains(&refused(&server_that_says(bare).await, &journal, &[]), "does not offer JetStream");
}

/// The messages of a stream.
async fn messages(jetstream: &async_nats::jetstream::Context) -> Vec<bytes::Bytes> {
    let log = jetstream.get_stream("chitchat").await.unwrap();
    let last = log.cached_info().state.last_sequence;
    let mut messages = Vec::new();
    for position in 1..=last {
        messages.push(log.get_raw_message(position).await.unwrap().payload);
    }
    messages
}

/// Replaces the stream with one that has these messages.
async fn replace(nats: &Nats, jetstream: &async_nats::jetstream::Context, messages: &[bytes::Bytes]) {
    jetstream.delete_stream("chitchat").await.unwrap();
    nats.make(jetstream, stream(3)).await;
    for message in messages {
        jetstream.publish("chitchat.commands", message.clone()).await.unwrap().await.unwrap();
    }
}

/// The servers lose the end of the stream or get a different one, while the replica is down and while it runs.
#[tokio::test(flavor = "multi_thread")]
async fn a_shorter_or_different_stream_is_refused_r8_r9() {
    let nats = Nats::start();
    let jetstream = nats.jetstream().await;
    let mut replica = replica_at(&nats.urls(), "a", &[]);
    let anna = Participant::arrive(replica.address, "anna").await;
    anna.publish("one").await;
    anna.publish("two").await;
    replica.program.as_ref().unwrap().signal("TERM");
    replica.program.as_mut().unwrap().end().succeeded();
    let whole = messages(&jetstream).await;
    let end = whole.len() - 1;
    replace(&nats, &jetstream, &whole[..end]).await;
    let errors = refused(&nats.urls(), &replica.journal(), &[]);
    assert_contains(
        &errors,
        &format!("ends with message {end}, but this replica has applied message {}", end + 1),
    );
    let other = [&whole[..end], &[whole[end - 1].clone()]].concat();
    replace(&nats, &jetstream, &other).await;
    assert_contains(
        &refused(&nats.urls(), &replica.journal(), &[]),
        "is not the one that this replica has applied",
    );

    // Now the replica is running when the stream is replaced by a shorter one.
    replace(&nats, &jetstream, &whole).await;
    replica.start_again();
    replace(&nats, &jetstream, &whole[..1]).await;
    let ended = replica.program.as_mut().unwrap().end();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert_contains(&ended.errors, "messages have been lost on the servers");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_is_named_after_its_machine_by_default_r10() {
    let nats = Nats::start();
    let replica = crate::support::DurableServer::start(&["--replicate", &nats.urls()]);
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let safe = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let name: String = host.trim().chars().map(safe).take(64).collect();
    let started = crate::support::records(&replica.log()).remove(0);
    assert_eq!(started["replica"], name.as_str());
}

/// The live replica keeps its name and continues.
#[tokio::test(flavor = "multi_thread")]
async fn the_name_of_a_live_replica_is_refused_r9() {
    let (nats, folder) = (Nats::start(), tempfile::TempDir::new().unwrap());
    let replica = replica_at(&nats.urls(), "x", &[]);
    let anna = Participant::arrive(replica.address, "anna").await;
    // It keeps writing, however slow the machine is.
    let speaking = tokio::spawn(async move {
        loop {
            anna.publish("it is still here").await;
        }
    });
    let errors = refused(&nats.urls(), &folder.path().join("j.db"), &[]);
    assert_contains(&errors, "another replica is running under the name x");
    assert!(!speaking.is_finished(), "every publish was acknowledged");
    speaking.abort();
    let own = crate::support::records(&replica.log());
    assert!(!own.iter().any(|record| record["event"] == "replica_gone"), "{own:?}");
}
