//! What a lab prints when it starts, and its configuration.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;

use crate::cli::common::access::read_secret;
use crate::cli::serve::listen::Invitation;
use crate::lab::{Place, Scenario, Stage, StageConfig};
use crate::server::{LabConfig, LabStage, Secret, SecretFault};
use crate::terminal::{self, notice};

/// The limits of a lab.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) struct LabLimits {
    pub(in crate::cli) companions_max: usize,
    pub(in crate::cli) proof_logs_bytes_max: u64,
}

/// What people need to use the lab.
pub(in crate::cli) struct LabInvitation {
    /// `None` if everybody may use it.
    key: Option<String>,
    secret: Option<Secret>,
    scenarios: Vec<Scenario>,
    limits: LabLimits,
}

impl LabInvitation {
    /// For a lab with this key; `None` for a lab that everybody may use.
    pub(in crate::cli) fn new(
        key: Option<String>,
        scenarios: Vec<Scenario>,
        limits: LabLimits,
    ) -> Result<Self, SecretFault> {
        let secret = key.as_deref().map(Secret::parse).transpose()?;
        Ok(Self { key, secret, scenarios, limits })
    }

    /// The lab's configuration for the service. Companions connect to it like other clients on this machine.
    pub(in crate::cli) fn config(
        &self,
        invitation: &Invitation,
        log_folder: &Path,
    ) -> Result<LabConfig, Box<dyn Error>> {
        let read =
            |path: &PathBuf| fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()));
        let place = Place {
            server: invitation.url(),
            secret: invitation.secret_file.as_deref().map(read_secret).transpose()?.map(|(text, _)| text),
            certificate_authority: invitation.certificate.as_ref().map(read).transpose()?,
            log_folder: log_folder.to_owned(),
        };
        let LabLimits { companions_max, proof_logs_bytes_max } = self.limits;
        let scenarios = self.scenarios.clone();
        let config = StageConfig { place, companions_max, proof_logs_bytes_max, scenarios };
        let stage: Arc<dyn LabStage> = Arc::new(Stage::new(config));
        Ok(LabConfig { key: self.secret.clone(), stage: Some(stage) })
    }

    /// Prints the teacher's URL, the commands, and for phones a QR code of the address on the network. The code does not
    /// contain the key, since everybody scans it.
    pub(in crate::cli) fn show(&self, invitation: &Invitation) {
        let url = invitation.url();
        let mut options = invitation.files();
        if let Some(key) = &self.key {
            notice(&format!("Teacher, with the lab's key: {url}/#lab-key={key}"));
            options += &format!(" --lab-key {key}");
        }
        notice(&format!("Set faults with: chitchat fault --server {url}{options} NAME --hold deliveries"));
        notice(&format!("Play a scenario with: chitchat scenario --server {url}{options} crossing"));
        if let Some(code) = invitation.network_url().and_then(|url| qr_code(&url)) {
            terminal::write_stderr(code.into_bytes());
        }
    }
}

/// A QR code as text, with the URL below it; `None` if the URL is too long for one.
fn qr_code(url: &str) -> Option<String> {
    let code = QrCode::new(url).ok()?;
    let code = code.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build();
    Some(format!("{code}\n{url}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// C13: the code is square, and has a margin.
    #[test]
    fn a_qr_code_is_a_square_of_half_blocks() {
        let code = qr_code("http://192.0.2.1:50051").unwrap();
        let lines: Vec<&str> = code.lines().collect();
        let (url, rows) = lines.split_last().unwrap();
        assert_eq!(*url, "http://192.0.2.1:50051");
        let width = rows[0].chars().count();
        assert!(rows.iter().all(|row| row.chars().count() == width));
        assert_eq!(rows.len(), width.div_ceil(2));
        assert!(rows[0].chars().all(|c| c == '\u{2588}'), "the margin is light: {:?}", rows[0]);
        assert!(code.chars().all(|c| " \n\u{2580}\u{2584}\u{2588}".contains(c) || c.is_ascii()));
    }
}
