//! What the servers of the log report, each asked separately before the stream is opened.

use async_nats::ServerAddr;

use super::{Signals, connect, context, epoch_of, genesis};
use crate::replica::access::{self, Settings, shown};
use crate::replica::error::SetupFault;
use crate::replica::setup;

/// What one server reports about itself and the stream.
struct Surveyed {
    address: String,
    cluster: Option<String>,
    known: usize,
    genesis: Option<String>,
}

/// Asks each server separately, and returns how many servers there are. It fails only if none can be reached, or if
/// they cannot be used together.
pub(super) async fn survey(settings: &Settings) -> Result<usize, SetupFault> {
    access::check_named_once(&settings.servers)?;
    let (mut surveyed, mut unreachable) = (Vec::<Surveyed>::new(), Vec::new());
    for server in &settings.servers {
        match survey_one(settings, server).await {
            Ok(found) => surveyed.push(found),
            Err(SetupFault::Unreachable { why }) => {
                tracing::warn!("a NATS server cannot be reached: {why}");
                unreachable.push(why);
            }
            Err(fault) => return Err(fault),
        }
    }
    let Some((first, others)) = surveyed.split_first() else {
        return Err(SetupFault::Unreachable { why: unreachable.join("; ") });
    };
    for other in others {
        let why = if first.cluster != other.cluster {
            let name = |server: &Surveyed| server.cluster.clone().unwrap_or_else(|| "none".into());
            format!("{} and {}", name(first), name(other))
        } else if first.genesis.is_some() && other.genesis.is_some() && first.genesis != other.genesis {
            format!("each has its own stream {}", settings.stream)
        } else {
            continue;
        };
        let (one, other) = (first.address.clone(), other.address.clone());
        return Err(SetupFault::TwoClusters { one, other, why });
    }
    let known = surveyed.iter().map(|server| server.known).max().unwrap_or(0);
    let servers = known.max(settings.servers.len());
    if servers < 3 {
        tracing::warn!("the common log is on {servers} NATS servers: it takes three to tolerate the loss of one");
    }
    Ok(servers)
}

async fn survey_one(settings: &Settings, server: &ServerAddr) -> Result<Surveyed, SetupFault> {
    let (signals, address) = (Signals::default(), shown(server));
    let client = connect(settings, std::slice::from_ref(server), &signals, Some(1)).await?;
    let info = client.server_info();
    if !setup::is_new_enough(&info.version) {
        let needed = setup::SERVER_VERSION_MIN.map(|number| number.to_string()).join(".");
        return Err(SetupFault::OldServer { server: address, found: info.version, needed });
    }
    if !info.jetstream {
        return Err(SetupFault::NoJetStream { server: address });
    }
    let stream = context(client).get_stream_no_info(&settings.stream).await;
    let found = match stream {
        Ok(stream) => genesis(&stream).await,
        Err(_) => Ok(None),
    };
    if let Some(fault) = signals.forbidden() {
        return Err(fault);
    }
    // Any other request that fails here is repeated, or explained, when the stream is opened.
    let genesis = match found {
        Err(error) if access::lacks_jetstream(&error) => {
            return Err(SetupFault::AccountWithoutJetStream { server: address });
        }
        found => found.ok().flatten(),
    };
    let genesis = genesis.map(|bytes| epoch_of(&settings.stream, &bytes)).transpose()?;
    Ok(Surveyed { address, cluster: info.cluster, known: info.connect_urls.len(), genesis })
}
