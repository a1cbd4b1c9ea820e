//! Who subscribed to what, and what is retained.

use super::{
    filter,
    packet::{Message, Subscription},
};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::mpsc;

/// Messages that may wait for one client. More are dropped, as by other brokers.
const INBOX: usize = 10_000;

/// What all connections share.
#[derive(Debug, Default)]
pub(super) struct Hub(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    clients: HashMap<String, Client>,
    retained: BTreeMap<String, Arc<Message>>,
    connections: u64,
}

#[derive(Debug)]
struct Client {
    connection: u64,
    inbox: mpsc::Sender<Delivery>,
    subscriptions: Vec<Subscription>,
}

/// A message on its way to one client.
#[derive(Debug, Clone)]
pub(super) struct Delivery {
    pub(super) message: Arc<Message>,
    pub(super) qos: u8,
    pub(super) retain: bool,
}

/// A client's place in the hub.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) client_id: String,
    connection: u64,
}

impl Hub {
    /// Gives a client its place and its inbox, which ends when the place is taken from it by
    /// another connection with the same client id [MQTT-3.1.4-3]. Without an id it gets one.
    pub(super) fn attach(&self, client_id: String) -> (Place, mpsc::Receiver<Delivery>) {
        let (sender, inbox) = mpsc::channel(INBOX);
        let mut state = self.state();
        state.connections += 1;
        let connection = state.connections;
        let client_id = if client_id.is_empty() {
            format!("client-{connection}")
        } else {
            client_id
        };
        let client = Client {
            connection,
            inbox: sender,
            subscriptions: Vec::new(),
        };
        state.clients.insert(client_id.clone(), client);
        let place = Place {
            client_id,
            connection,
        };
        (place, inbox)
    }

    /// Ends what the client had here, unless another connection has taken its place.
    pub(super) fn detach(&self, place: &Place) {
        let mut state = self.state();
        if state.client(place).is_some() {
            state.clients.remove(&place.client_id);
        }
    }

    /// Adds a subscription or replaces the one with the same filter, and returns the retained
    /// messages that the client is to get for it.
    pub(super) fn subscribe(&self, place: &Place, subscription: Subscription) -> Vec<Delivery> {
        let mut state = self.state();
        let Some(client) = state.client(place) else {
            return Vec::new();
        };
        let before = client.subscriptions.len();
        let other = |it: &Subscription| it.filter != subscription.filter;
        client.subscriptions.retain(other);
        let is_new = client.subscriptions.len() == before;
        client.subscriptions.push(subscription.clone());

        if subscription.retain_handling > u8::from(is_new) {
            return Vec::new();
        }
        let retained = state.retained.values();
        let retained = retained.filter(|it| filter::matches(&subscription.filter, &it.topic));
        let deliveries = retained.map(|message| Delivery {
            message: Arc::clone(message),
            qos: message.qos.min(subscription.qos),
            retain: true,
        });
        deliveries.collect()
    }

    /// Ends a subscription. False if there was none.
    pub(super) fn unsubscribe(&self, place: &Place, filter: &str) -> bool {
        let mut state = self.state();
        let Some(client) = state.client(place) else {
            return false;
        };
        let before = client.subscriptions.len();
        client.subscriptions.retain(|it| it.filter != filter);
        client.subscriptions.len() < before
    }

    /// Hands a message to everyone who subscribed to its topic, and keeps it if it says so.
    pub(super) fn publish(&self, from: &Place, message: Message) {
        let mut state = self.state();
        let message = Arc::new(message);
        if message.retain {
            // An empty message only ends the one before it [MQTT-3.3.1-6].
            state.retained.remove(&message.topic);
            if !message.payload.is_empty() {
                let topic = message.topic.clone();
                state.retained.insert(topic, Arc::clone(&message));
            }
        }
        for (client_id, client) in &state.clients {
            if let Some(delivery) = client.delivery(&message, *client_id == from.client_id) {
                // A full inbox loses the message; a closed one belongs to a client that is leaving.
                let _ = client.inbox.try_send(delivery);
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No change here can stop half-way, so a poisoned state is as good as any.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn client(&mut self, place: &Place) -> Option<&mut Client> {
        let client = self.clients.get_mut(&place.client_id)?;
        (client.connection == place.connection).then_some(client)
    }
}

impl Client {
    /// The message as this client gets it: once, at the highest QoS of the filters that match.
    fn delivery(&self, message: &Arc<Message>, own: bool) -> Option<Delivery> {
        let subscriptions = self.subscriptions.iter();
        let matching = subscriptions
            .filter(|it| !(own && it.no_local) && filter::matches(&it.filter, &message.topic));
        let options = matching.map(|it| (it.qos, it.retain_as_published));
        let (qos, as_published) = options.reduce(|a, b| (a.0.max(b.0), a.1 || b.1))?;
        Some(Delivery {
            message: Arc::clone(message),
            qos: message.qos.min(qos),
            retain: message.retain && as_published,
        })
    }
}
