//! The bare call: what a decision takes without a gate around it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tidegate_proto::v1::{
    AuthorizePublishRequest, CheckMetadata, DataPlane, ProtocolVersion, PublishCheck, Session,
    authorization_service_client::AuthorizationServiceClient,
};
use tokio::time::{MissedTickBehavior, interval};
use tonic::transport::{Channel, Endpoint};

use super::tally::Tally;
use crate::clock;

pub(super) async fn connect(
    service: SocketAddr,
) -> anyhow::Result<AuthorizationServiceClient<Channel>> {
    let channel = Endpoint::try_from(format!("http://{service}"))?
        .tcp_nodelay(true)
        .connect()
        .await?;
    Ok(AuthorizationServiceClient::new(channel))
}

pub(super) async fn run(
    mut client: AuthorizationServiceClient<Channel>,
    per_second: u32,
    payload: usize,
    tally: &Arc<Tally>,
) {
    let mut turns = interval(Duration::from_secs(1) / per_second.max(1));
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let request = request(payload);
    while !tally.is_over() {
        turns.tick().await;
        let request = request.clone();
        let begin = clock::now_ns();
        match client.authorize_publish(request).await {
            Ok(_) => {
                tally.took(clock::now_ns() - begin);
                tally.acked(1);
            }
            Err(_) => tally.broken(),
        }
    }
}

/// What the gate asks for a publish of the load, about.
fn request(payload: usize) -> AuthorizePublishRequest {
    AuthorizePublishRequest {
        data_plane: Some(DataPlane {
            instance_id: "bench".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..DataPlane::default()
        }),
        checks: vec![PublishCheck {
            metadata: Some(CheckMetadata {
                item_id: 1,
                sequence: 1,
                ..CheckMetadata::default()
            }),
            session: Some(Session {
                session_id: "5a1b7c1e-0000-4000-8000-000000000000".to_owned(),
                client_id: "bench-00000".to_owned(),
                listener: "mqtt".to_owned(),
                principal: "bench-00000".to_owned(),
                protocol_version: ProtocolVersion::Mqtt311.into(),
                ..Session::default()
            }),
            topic: "anonymous/bench/00000".to_owned(),
            payload_size: u32::try_from(payload).unwrap_or(u32::MAX),
            ..PublishCheck::default()
        }],
    }
}
