//! The embedded broker: MQTT 3.1, 3.1.1 and 5.0, in memory, for as long as the quick start runs.
//!
//! Why not a broker that exists as a crate? Three were tried in November 2026. Each takes five to six
//! minutes of processor time to build, nearly as much as all the rest. `mqtt5` 0.49 also brings
//! `ring`, a second TLS provider, into the tree, and adds a user property with the publisher's
//! client id to every message. `rmqtt` 0.24 brings `ring` and a second `prost`. `rumqttd` 0.20 brings
//! a second `hyper` and serves MQTT 3.1.1 and 5.0 on different ports only. What a first look at
//! Tidegate needs of a broker compiles in seconds; for all else there is `--broker mosquitto`.
//!
//! What it does: QoS 0, 1 and 2, retained messages, wills, takeover, overlapping filters, and
//! MQTT 5's subscription options, properties and flow control. What it doesn't, it says in CONNACK:
//! sessions end with their connection, and there are no shared subscriptions, subscription
//! identifiers or topic aliases.
//!
//! * [`connection`] serves one client: its packets in, its messages out.
//! * [`hub`] knows who subscribed to what, and what is retained.
//! * [`outgoing`] numbers what goes to a client and keeps within its Receive Maximum.
//! * [`packet`], on [`fields`], is the wire format. [`filter`] says which topics a filter matches.

mod connection;
mod fields;
mod filter;
mod hub;
mod outgoing;
mod packet;
#[cfg(test)]
mod tests;

use crate::report;
use hub::Hub;
use std::{io, net::Ipv4Addr, sync::Arc, time::Duration};
use tokio::net::TcpListener;

/// Serves clients on a free port of 127.0.0.1, which it reports, until the process ends.
pub(crate) async fn run() -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    report::listening(listener.local_addr()?);
    serve(listener).await
}

async fn serve(listener: TcpListener) -> io::Result<()> {
    let hub = Arc::new(Hub::default());
    loop {
        let (stream, _) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, most likely: do not spin until there are some.
                report::warning(&format!("cannot accept a client: {error}"));
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        stream.set_nodelay(true)?;
        let hub = Arc::clone(&hub);
        tokio::spawn(async move {
            if let Err(error) = connection::serve(stream, &hub).await {
                report::warning(&format!("a client's connection failed: {error}"));
            }
        });
    }
}
