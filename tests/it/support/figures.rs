//! What `/metrics` says.

use std::collections::HashMap;
use std::net::SocketAddr;

use super::{Http1, soon};

/// The figures of a service at one time, by name with labels.
#[derive(Debug)]
pub struct Figures(HashMap<String, f64>);

impl Figures {
    pub async fn of(address: SocketAddr) -> Self {
        let answer = Http1::get(address, "/metrics").await;
        let samples = answer.text().lines().filter(|line| !line.starts_with('#'));
        let pairs = samples.map(|line| line.rsplit_once(' ').expect("a name and a figure"));
        Self(pairs.map(|(name, figure)| (name.to_owned(), figure.parse().unwrap())).collect())
    }

    /// Asks until the figures are as they will be: some are counted just after what they count is seen.
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

    /// One figure, without the prefix that all have; 0 where it has not been counted yet.
    pub fn get(&self, name: &str) -> f64 {
        self.0.get(&format!("chitchat_{name}")).copied().unwrap_or_default()
    }
}
