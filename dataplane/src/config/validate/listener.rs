//! Rules for one listener.

use ipnet::IpNet;
use tidegate_settings::Error;

use super::{Checks, MAX_CONNECTIONS};
use crate::{
    config::{ClientCertificates, Listener, ListenerTls, ProxyVersion, Transport, WebSocket},
    mount::Template,
    transport,
};

/// The key of a setting of the listener, by its name there.
type Key<'a> = &'a dyn Fn(&str) -> String;

/// More than any kernel keeps waiting.
const MAX_BACKLOG: u32 = 65_535;

/// Largest message of WebSocket that may be allowed: one packet of MQTT.
const MAX_MESSAGE: usize = 268_435_460;

impl Checks<'_> {
    pub(super) fn listener(&self, listener: &Listener, key: Key<'_>) -> Result<(), Error> {
        if !(1..=MAX_CONNECTIONS).contains(&listener.max_connections) {
            return self.refuse(
                &key("max_connections"),
                &listener.max_connections,
                &format!("1 to {MAX_CONNECTIONS}"),
            );
        }
        if let Some(rate) = listener.accept_rate
            && !(1..=1_000_000).contains(&rate)
        {
            return self.refuse(&key("accept_rate"), &rate, "1 to 1000000");
        }
        if !(1..=MAX_BACKLOG).contains(&listener.backlog) {
            let expected = format!("1 to {MAX_BACKLOG}");
            return self.refuse(&key("backlog"), &listener.backlog, &expected);
        }
        if let Some(mount) = &listener.mount
            && let Err(error) = mount.parse::<Template>()
        {
            let found = format!("{mount:?}");
            return self.refuse(&key("mount"), &found, &error.to_string());
        }
        self.proxy_protocol(listener, key)?;
        self.listener_tls(listener, key)?;
        self.websocket(listener, key)
    }

    fn proxy_protocol(&self, listener: &Listener, key: Key<'_>) -> Result<(), Error> {
        let proxy = &listener.proxy_protocol;
        for (index, text) in proxy.trusted.iter().enumerate() {
            if !transport::network(text).is_some_and(can_match) {
                return self.refuse(
                    &key(&format!("proxy_protocol.trusted.{index}")),
                    &format!("{text:?}"),
                    "an address or a network, such as \"10.0.0.0/8\"; IPv4 as such, not within IPv6",
                );
            }
        }
        match (proxy.version, proxy.trusted.is_empty()) {
            (ProxyVersion::Off, false) => self.refuse(
                &key("proxy_protocol.trusted"),
                &"it",
                "`proxy_protocol.version`, too",
            ),
            (ProxyVersion::V1 | ProxyVersion::V2, true) => self.refuse(
                &key("proxy_protocol.trusted"),
                &"none",
                "who may say where clients come from",
            ),
            _ => Ok(()),
        }
    }

    fn listener_tls(&self, listener: &Listener, key: Key<'_>) -> Result<(), Error> {
        let is_tls = listener.transport.is_tls();
        let Some(tls) = &listener.tls else {
            return match is_tls {
                true => self.no_certificate(key),
                false => Ok(()),
            };
        };
        if !is_tls {
            let expected = "a `transport` with TLS (\"tls\" or \"wss\") to use it";
            return self.refuse(&key("tls"), &"another", expected);
        }
        if tls.certificates.is_empty() {
            return self.no_certificate(key);
        }
        self.alpn(listener.transport, tls, key)?;
        self.client_certificates(tls, key)
    }

    /// Protocols of ALPN (RFC 7301): 1 to 255 bytes. HTTP/2 would be taken, and not spoken.
    fn alpn(&self, transport: Transport, tls: &ListenerTls, key: Key<'_>) -> Result<(), Error> {
        for (index, word) in tls.alpn.iter().flatten().enumerate() {
            let key = key(&format!("tls.alpn.{index}"));
            let found = format!("{word:?}");
            if !(1..=255).contains(&word.len()) {
                return self.refuse(&key, &found, "1 to 255 bytes");
            }
            if transport.is_websocket() && word == "h2" {
                return self.refuse(
                    &key,
                    &found,
                    "\"http/1.1\": WebSocket is not spoken over HTTP/2 here",
                );
            }
        }
        Ok(())
    }

    /// Never plain text instead.
    fn no_certificate(&self, key: Key<'_>) -> Result<(), Error> {
        let expected =
            "at least one certificate, such as { cert = \"tls.crt\", key = \"tls.key\" }";
        self.refuse(&key("tls.certificates"), &"none", expected)
    }

    /// Settings of client certificates that would be of no use were meant to be of some.
    fn client_certificates(&self, tls: &ListenerTls, key: Key<'_>) -> Result<(), Error> {
        let asked = tls.client_certificates != ClientCertificates::None;
        if asked && tls.client_ca.is_none() {
            return self.refuse(
                &key("tls.client_ca"),
                &"none",
                "the authorities whose client certificates are good",
            );
        }
        let set = [
            ("tls.client_ca", tls.client_ca.is_some()),
            ("tls.client_crl", tls.client_crl.is_some()),
            ("tls.forward_certificate", tls.forward_certificate),
        ];
        if !asked && let Some((name, _)) = set.iter().find(|(_, is_set)| *is_set) {
            let expected = "`tls.client_certificates` \"optional\" or \"required\" to use it";
            return self.refuse(&key(name), &"\"none\"", expected);
        }
        Ok(())
    }

    fn websocket(&self, listener: &Listener, key: Key<'_>) -> Result<(), Error> {
        let default = WebSocket::default();
        let is_set = listener.websocket.is_some();
        let websocket = listener.websocket.as_ref().unwrap_or(&default);
        if !listener.transport.is_websocket() {
            if !is_set {
                return Ok(());
            }
            let expected = "a `transport` with WebSocket (\"ws\" or \"wss\") to use it";
            return self.refuse(&key("websocket"), &"another", expected);
        }
        let WebSocket {
            path,
            origins,
            headers,
            max_message_size,
        } = websocket;
        if !path.starts_with('/') || path.contains(['?', '#', ' ']) || !path.is_ascii() {
            let found = format!("{path:?}");
            return self.refuse(&key("websocket.path"), &found, "a path, such as \"/mqtt\"");
        }
        for (index, origin) in origins.iter().enumerate() {
            if origin != "*" && (origin.contains('*') || !transport::is_origin(origin)) {
                return self.refuse(
                    &key(&format!("websocket.origins.{index}")),
                    &format!("{origin:?}"),
                    "\"*\" alone, or scheme and host, such as \"https://app.example\"",
                );
            }
        }
        for (index, header) in headers.iter().enumerate() {
            if header.parse::<http::HeaderName>().is_err() {
                return self.refuse(
                    &key(&format!("websocket.headers.{index}")),
                    &format!("{header:?}"),
                    "the name of a header",
                );
            }
        }
        if !(1024..=MAX_MESSAGE).contains(max_message_size) {
            return self.refuse(
                &key("websocket.max_message_size"),
                max_message_size,
                &format!("1024 to {MAX_MESSAGE}"),
            );
        }
        // Many clients send each packet as one message, and are told that they may send packets of that size.
        let packet = self.config.limits.max_packet_size;
        if *max_message_size < packet {
            return self.refuse(
                &key("websocket.max_message_size"),
                max_message_size,
                &format!("at least `limits.max_packet_size`, {packet}"),
            );
        }
        Ok(())
    }
}

/// Peers are compared as IPv4 if they are, however the socket calls them.
fn can_match(network: IpNet) -> bool {
    match network {
        IpNet::V4(_) => true,
        IpNet::V6(network) => {
            network.prefix_len() < 96 || network.network().to_ipv4_mapped().is_none()
        }
    }
}

#[cfg(test)]
mod tests;
