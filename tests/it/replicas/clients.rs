//! Clients that know the addresses of several replicas (D17) move to the next one and miss nothing.

use tempfile::TempDir;

use crate::replicas::{replica_at, verify};
use crate::support::{DurableServer, Nats, Program};

/// The sequence number in a line of JSON.
fn number(line: &str) -> u64 {
    let record: serde_json::Value = serde_json::from_str(line).unwrap();
    record["sequence"].as_u64().unwrap()
}

fn join(servers: &[&DurableServer], name: &str, logs: &TempDir) -> Program {
    let list: Vec<_> = servers.iter().map(|server| server.url()).collect();
    let folder = logs.path().to_str().unwrap();
    Program::start(&["join", "--json", "--name", name, "--server", &list.join(","), "--log-dir", folder], &[])
}

/// The replica of a client is killed: the client continues at the next one, without a gap. A client that is killed with
/// its replica is started again with the same addresses in another order, and is the same participant.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_with_several_addresses_moves_to_another_replica_and_misses_nothing_d17() {
    let (nats, logs) = (Nats::start(), TempDir::new().unwrap());
    let mut replicas = ["a", "b", "c"].map(|name| replica_at(&nats.urls(), name, &["--grace", "60s"]));
    let [a, b, c] = replicas.each_ref();
    let mut anna = join(&[a, b, c], "anna", &logs);
    anna.notice("* here: ");
    let mut ben = join(&[b, c, a], "ben", &logs);
    ben.notice("* here: ");
    let said = |anna: &mut Program, ben: &Program, text: &str| {
        anna.type_line(text);
        ben.until(text);
        let mut heard = Vec::new();
        loop {
            let line = anna.line();
            heard.push(number(&line));
            if line.contains(text) {
                return heard;
            }
        }
    };
    let mut heard = said(&mut anna, &ben, "I am at a.");
    replicas[0].kill();
    anna.notice("* back");
    heard.extend(said(&mut anna, &ben, "I am at b or c."));
    drop(anna);
    ben.type_line("Anna is not here.");
    ben.until("Anna is not here.");
    let [a, b, c] = replicas.each_ref();
    let mut anna = join(&[c, a, b], "anna", &logs);
    anna.notice("* back as anna");
    let mut after_kill = said(&mut anna, &ben, "I am at c.");
    // The event that was shown last before the kill may be shown twice.
    after_kill.retain(|number| heard.last() != Some(number));
    heard.extend(after_kill);
    let missing: Vec<_> = heard.windows(2).filter(|pair| pair[1] != pair[0] + 1).collect();
    assert_eq!(missing, Vec::<&[u64]>::new(), "{heard:?}");
    for client in [&mut anna, &mut ben] {
        client.type_line("/quit");
        client.end().succeeded();
    }
    replicas[0].start_again();
    for replica in &mut replicas {
        replica.program.as_ref().unwrap().signal("TERM");
        replica.program.as_mut().unwrap().end().succeeded();
    }
    let clients = ["anna", "ben"].map(|name| logs.path().join(chitchat::log::file_name("client", name)));
    let report = verify(&replicas.each_ref(), &clients).join("\n");
    for rule in ["V4 ", "V10 ", "V12 ", "V13 ", "V15 "] {
        let line = report.lines().find(|line| line.starts_with(rule)).unwrap();
        assert!(line.contains("held"), "{report}");
    }
    draw(&replicas, &clients);
}

/// In a diagram, each replica has a lifeline with the events that it applied, and a publish goes to the replica that
/// its participant was connected to.
fn draw(replicas: &[DurableServer], clients: &[std::path::PathBuf]) {
    let logs: Vec<_> = replicas.iter().map(DurableServer::log).chain(clients.iter().cloned()).collect();
    let logs: Vec<_> = logs.iter().map(|log| log.to_str().unwrap()).collect();
    let drawn = |format: &str| {
        Program::run(&[&["diagram", "--format", format], &logs[..]].concat(), &[]).succeeded().output.join("\n")
    };
    let text = drawn("mermaid");
    let lane = |name: &str| {
        let line = text.lines().find(|line| line.ends_with(&format!(" as {name}"))).expect("a lifeline");
        line.trim().split(' ').nth(1).unwrap().to_owned()
    };
    let (anna, a) = (lane("anna"), lane("replica a"));
    let publish = text.lines().find(|line| line.contains("->>") && line.ends_with(" I am at a.")).unwrap();
    assert!(publish.trim().starts_with(&format!("{anna}->>{a}: ")), "{publish}");
    let later = text.lines().find(|line| line.contains("->>") && line.ends_with(" I am at c.")).unwrap();
    assert!(later.trim().starts_with(&format!("{anna}->>{}: ", lane("replica c"))), "{later}");
    let picture = drawn("svg");
    for name in ["replica a", "replica b", "replica c", "anna", "ben"] {
        assert!(picture.matches(&format!(">{name}</text>")).count() >= 2, "{name}");
    }
    assert!(picture.contains("applied by another replica"));
    assert!(drawn("shiviz").contains("replica_a {"));
}
