//! Credentials for the servers, as `nsc generate creds` writes them: a token (JWT) and the seed of its key.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use async_nats::Auth;
use data_encoding::BASE64URL_NOPAD;
use nkeys::KeyPair;

/// The contents of a credentials file.
pub(super) struct Credentials {
    token: String,
    keys: KeyPair,
}

impl Credentials {
    /// Reads a file. Errors never quote its contents.
    pub(super) fn read(file: &Path) -> Result<Self, String> {
        Self::parse(&fs::read_to_string(file).map_err(|error| error.to_string())?)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let after = |begin: &str| {
            let mut lines = text.lines().map(str::trim).skip_while(|line| !line.contains(begin)).skip(1);
            lines.find(|line| !line.is_empty() && !line.starts_with('-')).map(str::to_owned)
        };
        let token = after("BEGIN NATS USER JWT").ok_or("it has no user JWT")?;
        let seed = after("BEGIN USER NKEY SEED").ok_or("it has no seed of a user's nkey")?;
        let keys = KeyPair::from_seed(&seed).map_err(|_| "its seed is damaged")?;
        Ok(Self { token, keys })
    }

    /// When they expire, if the token states that.
    pub(super) fn expires(&self) -> Option<SystemTime> {
        let claims = BASE64URL_NOPAD.decode(self.token.split('.').nth(1)?.as_bytes()).ok()?;
        let claims: serde_json::Value = serde_json::from_slice(&claims).ok()?;
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(claims.get("exp")?.as_u64()?))
    }

    /// The answer to a server's challenge: the token, and the server's nonce signed with the key.
    pub(super) fn show(&self, nonce: &[u8]) -> Result<Auth, String> {
        let mut auth = Auth::new();
        auth.signature = Some(self.keys.sign(nonce).map_err(|_| "its seed cannot sign")?);
        auth.jwt = Some(self.token.clone());
        Ok(auth)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_parsed_and_faults_are_named_r9() {
        let claims = BASE64URL_NOPAD.encode(br#"{"exp":1700000000}"#);
        let seed = KeyPair::new_user().seed().unwrap();
        let token = format!("-----BEGIN NATS USER JWT-----\r\nx.{claims}.y\r\n------END NATS USER JWT------\r\n");
        let begin =
            "************************* IMPORTANT *************************\n\n-----BEGIN USER NKEY SEED-----\n";
        let credentials = Credentials::parse(&format!("{token}\n{begin}{seed}\n")).unwrap();
        assert_eq!(credentials.expires(), Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)));
        assert!(credentials.show(b"nonce").unwrap().signature.is_some());
        for (text, why) in [
            (String::new(), "it has no user JWT"),
            (token.clone(), "it has no seed of a user's nkey"),
            (format!("{begin}{seed}\n"), "it has no user JWT"),
            (format!("{token}{begin}{}\n", &seed[1..]), "its seed is damaged"),
        ] {
            assert_eq!(Credentials::parse(&text).err().as_deref(), Some(why));
        }
    }
}
