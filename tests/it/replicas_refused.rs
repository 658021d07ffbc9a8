//! Set-ups of replicas that cannot work are refused before anything is served, with what is wrong (R9).

use std::path::Path;

use async_nats::jetstream::stream::{Config, DiscardPolicy};

use crate::replicas::replica_at;
use crate::support::{Nats, Participant, Program, ServerProgram};

/// Starts a replica that cannot start, and answers with what it says.
#[track_caller]
fn refused(urls: &str, journal: &Path, more: &[&str]) -> String {
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
fn says(errors: &str, what: &str) {
    assert!(errors.contains(what), "{what:?} in {errors}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_could_lose_messages_is_refused_r9() {
    let (nats, folder) = (Nats::start(), tempfile::TempDir::new().unwrap());
    let (jetstream, journal) = (nats.jetstream().await, folder.path().join("j.db"));
    nats.make(&jetstream, stream(1)).await;
    says(&refused(&nats.urls(), &journal, &[]), "has 1 replicas, and there are 3 servers");
    jetstream.delete_stream("chitchat").await.unwrap();
    nats.make(&jetstream, Config { deny_delete: false, ..stream(3) }).await;
    says(&refused(&nats.urls(), &journal, &[]), "has deny-delete false, and replicas need true");
    jetstream.delete_stream("chitchat").await.unwrap();
    nats.make(&jetstream, stream(3)).await;
    jetstream.publish("chitchat.commands", "hello".into()).await.unwrap().await.unwrap();
    says(&refused(&nats.urls(), &journal, &[]), "has something else than Chit Chat's commands in it");
    assert!(!journal.exists(), "nothing is left behind");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_and_a_stream_that_do_not_belong_together_are_refused_r9() {
    let nats = Nats::start();
    let mut replica = replica_at(&nats.urls(), "a", &[]);
    let mut anna = Participant::arrive(replica.address, "anna").await;
    anna.publish("one").await;
    anna.hears("one").await;
    let journal = replica.journal();
    replica.program.as_ref().unwrap().signal("TERM");
    replica.program.as_mut().unwrap().end().succeeded();

    // The copy of a replica does not serve alone.
    let alone = ["serve", "--listen", "127.0.0.1:0", "--journal", journal.to_str().unwrap(), "--log-dir"];
    let logs = tempfile::TempDir::new().unwrap();
    let ended = Program::run(&[&alone[..], &[logs.path().to_str().unwrap()]].concat(), &[]);
    assert_eq!(ended.code, Some(1));
    says(&ended.errors, "is the copy of a replica");

    // The stream is created anew, first empty and then by another replica.
    let jetstream = nats.jetstream().await;
    jetstream.delete_stream("chitchat").await.unwrap();
    says(&refused(&nats.urls(), &journal, &[]), "the stream was created anew");
    let other = Nats::start();
    let urls = format!("nats://{},nats://{}", nats.address(0), other.address(0));
    says(&refused(&urls, &logs.path().join("new.db"), &[]), "belong to different clusters");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_journal_of_a_single_service_is_refused_with_what_to_do_r9() {
    let (nats, folder) = (Nats::start(), tempfile::TempDir::new().unwrap());
    let journal = folder.path().join("single.db");
    let mut single = ServerProgram::start(&["--journal", journal.to_str().unwrap()]);
    single.join("anna").quit();
    single.stop("TERM").succeeded();
    says(&refused(&nats.urls(), &journal, &[]), "is the journal of a service without replicas");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permission_that_is_missing_is_named_r9() {
    let users = "authorization { users: [\n\
        { user: all, password: p },\n\
        { user: reads, password: p, permissions: { publish: [\"$JS.API.>\"] } },\n\
        { user: none, password: p, permissions: { publish: [\"nothing\"] } } ] }";
    let (nats, folder) = (Nats::start_with(users), tempfile::TempDir::new().unwrap());
    let journal = folder.path().join("j.db");
    let as_user = |user: &str| nats.urls().replace("nats://", &format!("nats://{user}:p@"));
    let errors = refused(&as_user("none"), &journal, &[]);
    says(&errors, "ermissions Violation");
    assert!(!errors.contains("none:p"), "no password is shown: {errors}");
    let replica = replica_at(&as_user("all"), "a", &[]);
    says(&refused(&as_user("reads"), &journal, &[]), "ermissions Violation");
    drop(replica);
    says(&refused("nats://127.0.0.1:1", &journal, &[]), "no server can be reached");
}
