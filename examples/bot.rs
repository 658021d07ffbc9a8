//! A participant that answers: start a service, run this, and say something.
//!
//! `cargo run --example bot -- http://127.0.0.1:50051`

use chitchat::client::{self, Kind, Options, Update};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = std::env::args().nth(1).unwrap_or_else(|| "http://127.0.0.1:50051".into());
    let (chat, mut updates) = client::join(Options::new(server, "echo")).await?;
    while let Some(update) = updates.next().await {
        if let Update::Event(event) = update
            && matches!(event.kind, Kind::Message { .. })
            && event.participant.display_name != "echo"
        {
            chat.publish(format!("{} characters", event.content.chars().count())).await?;
        }
    }
    Ok(())
}
