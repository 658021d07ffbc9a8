//! The metrics at `/metrics`.

use std::collections::HashMap;
use std::net::SocketAddr;

use super::{Http1, soon};

/// The metrics of a service at one moment, by name with labels.
#[derive(Debug)]
pub struct Figures(HashMap<String, f64>);

impl Figures {
    pub async fn of(address: SocketAddr) -> Self {
        let answer = Http1::get(address, "/metrics").await;
        let samples = answer.text().lines().filter(|line| !line.starts_with('#'));
        let pairs = samples.map(|line| line.rsplit_once(' ').expect("a name and a figure"));
        Self(pairs.map(|(name, figure)| (name.to_owned(), figure.parse().unwrap())).collect())
    }

    /// Polls until the condition holds: some metrics are counted just after their effect can be seen.
    #[track_caller]
    pub fn when(address: SocketAddr, condition: impl Fn(&Self) -> bool) -> impl Future<Output = Self> {
        soon(async move {
            loop {
                let figures = Self::of(address).await;
                if condition(&figures) {
                    return figures;
                }
            }
        })
    }

    /// One figure, by its name without the common prefix; 0 if it has not been counted yet.
    pub fn get(&self, name: &str) -> f64 {
        self.0.get(&format!("chitchat_{name}")).copied().unwrap_or_default()
    }
}
