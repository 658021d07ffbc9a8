//! Replicas whose servers have an operator and accounts: `--replicate-credentials` (R9).

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use data_encoding::BASE64URL_NOPAD;
use nkeys::KeyPair;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::refused::{assert_contains, refused};
use super::replica_at;
use crate::support::{Nats, Participant, wait_for_record};

/// The permissions that a replica needs once the stream exists, as docs/replicas.md lists them.
const LEAST: [&str; 5] = [
    "chitchat.commands",
    "$JS.API.STREAM.INFO.chitchat",
    "$JS.API.STREAM.MSG.GET.chitchat",
    "$JS.API.CONSUMER.CREATE.chitchat",
    "$JS.API.CONSUMER.MSG.NEXT.chitchat.>",
];

/// An operator, its accounts, and users with their credentials, as `nsc` makes them.
struct Operator {
    keys: KeyPair,
    system: KeyPair,
    account: KeyPair,
    without_jetstream: KeyPair,
    folder: TempDir,
}

/// Signs a claim (a JWT of NATS).
fn sign(issuer: &KeyPair, subject: &KeyPair, expires: Option<u64>, claims: Value) -> String {
    let issued = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let subject = subject.public_key();
    let mut body = json!({"jti": subject, "iat": issued, "iss": issuer.public_key(), "name": "x", "sub": subject,
        "nats": claims});
    if let Some(expires) = expires {
        body["exp"] = json!(expires);
    }
    let encode = |part: &[u8]| BASE64URL_NOPAD.encode(part);
    let header = json!({"typ": "JWT", "alg": "ed25519-nkey"}).to_string();
    let signed = format!("{}.{}", encode(header.as_bytes()), encode(body.to_string().as_bytes()));
    let signature = issuer.sign(signed.as_bytes()).unwrap();
    format!("{signed}.{}", encode(&signature))
}

impl Operator {
    fn new() -> Self {
        let [system, account, without_jetstream] = [(); 3].map(|()| KeyPair::new_account());
        let folder = TempDir::new().unwrap();
        Self { keys: KeyPair::new_operator(), system, account, without_jetstream, folder }
    }

    /// The servers' configuration for it, with the credentials of one user revoked.
    fn configuration(&self, revoked: Option<&str>) -> String {
        let system = self.system.public_key();
        let own = json!({"type": "operator", "version": 2, "system_account": system});
        let own = sign(&self.keys, &self.keys, None, own);
        let accounts = [(&self.system, false), (&self.account, true), (&self.without_jetstream, false)];
        let preload = accounts.map(|(account, has_jetstream)| {
            let mut limits = json!({"subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1,
                "wildcards": true, "conn": -1, "leaf": -1});
            if has_jetstream {
                for limit in ["mem_storage", "disk_storage", "streams", "consumer"] {
                    limits[limit] = json!(-1);
                }
            }
            let revoked = revoked.map(|user| (user.to_owned(), u32::MAX)).into_iter().collect::<HashMap<_, _>>();
            let claims = json!({"type": "account", "version": 2, "limits": limits, "revocations": revoked});
            format!("{}: {}\n", account.public_key(), sign(&self.keys, account, None, claims))
        });
        let preload = preload.concat();
        format!("operator: {own}\nsystem_account: {system}\nresolver: MEMORY\nresolver_preload: {{\n{preload}}}")
    }

    /// The credentials of a new user.
    fn user(&self, name: &str, account: &KeyPair, expires: Option<u64>, publish: &[&str]) -> String {
        self.user_with(&KeyPair::new_user(), name, account, expires, publish)
    }

    fn user_with(
        &self,
        keys: &KeyPair,
        name: &str,
        account: &KeyPair,
        expires: Option<u64>,
        publish: &[&str],
    ) -> String {
        let mut claims = json!({"type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1});
        claims["pub"] = json!({"allow": publish});
        claims["sub"] = json!({"allow": ["_INBOX.>"]});
        let token = sign(account, keys, expires, claims);
        let seed = keys.seed().unwrap();
        let file: PathBuf = self.folder.path().join(format!("{name}.creds"));
        let text = format!(
            "-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        );
        std::fs::write(&file, text).unwrap();
        file.to_str().unwrap().into()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn valid_credentials_are_accepted_and_others_refused_with_the_reason_r9() {
    let operator = Operator::new();
    let mut nats = Nats::start_with(&operator.configuration(None));
    let journal = operator.folder.path().join("j.db");
    let (urls, account) = (nats.urls(), &operator.account);
    let with = |file: &str| ["--replicate-credentials", file].map(str::to_owned);
    let refused = |file: &str| refused(&urls, &journal, &with(file).each_ref().map(String::as_str));

    let errors = super::refused::refused(&urls, &journal, &[]);
    assert_contains(&errors, "access refused: they require credentials");
    let foreign = operator.user("foreign", &KeyPair::new_account(), None, &[">"]);
    assert_contains(&refused(&foreign), "foreign.creds are not valid there");
    let expired = operator.user("expired", account, Some(1_700_000_000), &[">"]);
    assert_contains(&refused(&expired), "expired.creds expired at 2023-11-14T22:13:20Z");
    let bare = operator.user("bare", &operator.without_jetstream, None, &[">"]);
    assert_contains(&refused(&bare), "not to the account of these credentials");
    let mute = operator.user("mute", account, None, &["chitchat.commands"]);
    assert_contains(
        &refused(&mute),
        "a permission is missing: Permissions Violation for Publish to \"$JS.API.STREAM",
    );
    assert!(!journal.exists(), "a refused replica leaves nothing behind");

    // One replica may create the stream; the other has only the permissions that it needs.
    let user = KeyPair::new_user();
    let right = with(&operator.user_with(&user, "right", account, None, &[">"]));
    let first = replica_at(&urls, "a", &right.each_ref().map(String::as_str));
    let least = with(&operator.user("least", account, None, &LEAST));
    let second = replica_at(&urls, "b", &least.each_ref().map(String::as_str));
    let anna = Participant::arrive(first.address, "anna").await;
    let mut ben = Participant::arrive(second.address, "ben").await;
    anna.publish("hello").await;
    ben.hears("hello").await;
    let reads = operator.user("reads", account, None, &LEAST[1..]);
    assert_contains(
        &refused(&reads),
        "a permission is missing: Permissions Violation for Publish to \"chitchat.commands\"",
    );

    // The user of the first replica is revoked: it reports that, and continues once the file is renewed.
    let revoked = operator.configuration(Some(&user.public_key()));
    for n in 0..3 {
        nats.start_changed(n, |config| {
            let at = config.find("operator: ").unwrap();
            format!("{}{revoked}\n", &config[..at])
        });
    }
    let log = first.log();
    first.program.as_ref().unwrap().notice("right.creds are not valid there");
    wait_for_record(&log, |record| record["event"] == "replica_unavailable");
    operator.user("right", account, None, &[">"]);
    wait_for_record(&log, |record| record["event"] == "replica_available");
    Participant::arrive(first.address, "cleo").await.publish("back again").await;
}
