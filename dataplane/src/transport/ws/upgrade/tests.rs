use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

use super::*;

const HEAD: &str = "GET /mqtt HTTP/1.1\r\n\
    Host: gate.example:9001\r\n\
    Upgrade: websocket\r\n\
    Connection: keep-alive, Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\n";

const MQTT_OFFERED: &str = "Sec-WebSocket-Protocol: chat, mqtt\r\n";

/// What is answered, and what the service is told, if it is granted.
async fn answer(settings: &config::WebSocket, request: &str) -> (String, Option<Presented>) {
    let upgrade = Upgrade::new(settings.clone(), false);
    answer_by(&upgrade, request).await
}

async fn answer_by(upgrade: &Upgrade, request: &str) -> (String, Option<Presented>) {
    let (server, mut client) = duplex(64 * 1024);
    client.write_all(request.as_bytes()).await.unwrap();
    let mut presented = Presented::default();
    let asked = async {
        let mut text = String::new();
        client.read_to_string(&mut text).await.unwrap();
        drop(client);
        text
    };
    let granted = async { upgrade.accept(server, &mut presented).await.is_ok() };
    let (granted, text) = tokio::join!(granted, asked);
    (text, granted.then_some(presented))
}

fn request(more: &str) -> String {
    format!("{HEAD}{more}\r\n")
}

#[tokio::test]
async fn mqtt_is_granted_and_nothing_else() {
    let settings = config::WebSocket::default();
    let offers = format!("{MQTT_OFFERED}Sec-WebSocket-Extensions: permessage-deflate\r\n");
    let (text, granted) = answer(&settings, &request(&offers)).await;
    assert!(granted.is_some());
    assert!(text.starts_with("HTTP/1.1 101 "), "{text}");
    let text = text.to_ascii_lowercase();
    assert!(
        text.contains("\r\nsec-websocket-protocol: mqtt\r\n"),
        "{text}"
    );
    assert!(
        text.contains("\r\nsec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n"),
        "{text}"
    );
    assert!(!text.contains("deflate"), "{text}");
}

#[tokio::test]
async fn refusals() {
    let good = request(MQTT_OFFERED);
    let settings = config::WebSocket::default();
    for (status, request) in [
        (400, request("")),
        (400, request("Sec-WebSocket-Protocol: mqttv3.1, MQTT\r\n")),
        (404, good.replace("/mqtt ", "/mqtt/ ")),
        (404, good.replace("/mqtt ", "/ ")),
        (400, good.replace("GET", "POST")),
        (400, good.replace("HTTP/1.1", "HTTP/1.0")),
        (426, good.replace("Version: 13", "Version: 8")),
        (400, good.replace("Host: gate.example:9001\r\n", "")),
        (400, good.replace("Host: ", "Host: other.example\r\nHost: ")),
        (400, good.replace("dGhlIHNhbXBsZSBub25jZQ==", "short")),
        (426, good.replace("Upgrade: websocket\r\n", "")),
        (400, good.replace("keep-alive, Upgrade", "close")),
        (400, format!("{good}early")),
        (400, "\x10\x20\0\x04MQTT\r\n\r\n".to_owned()),
        (431, format!("{HEAD}X: {}\r\n", "x".repeat(9000))),
        (
            403,
            request(&format!("{MQTT_OFFERED}Origin: http://evil.example\r\n")),
        ),
        (403, request(&format!("{MQTT_OFFERED}Origin: null\r\n"))),
    ] {
        let (text, granted) = answer(&settings, &request).await;
        assert!(
            text.starts_with(&format!("HTTP/1.1 {status} ")),
            "{request:?}: {text}"
        );
        assert!(granted.is_none());
    }
}

#[tokio::test]
async fn pages_of_allowed_origins_may() {
    let own = config::WebSocket::default();
    let listed = config::WebSocket {
        origins: vec!["https://app.example".to_owned()],
        ..config::WebSocket::default()
    };
    let all = config::WebSocket {
        origins: vec!["*".to_owned()],
        ..config::WebSocket::default()
    };
    for (settings, is_tls, origin, is_welcome) in [
        (&own, true, "https://gate.example:9001", true),
        (&own, true, "HTTPS://GATE.example:9001", true),
        (&own, true, "http://gate.example:9001", false),
        (&own, true, "https://gate.example", false),
        (&own, true, "https://app.example", false),
        // Without a certificate, whoever owns a name may lead it here.
        (&own, false, "http://gate.example:9001", false),
        (&listed, false, "https://app.example", true),
        (&listed, false, "https://app.example:443", true),
        (&listed, false, "https://app.example:84430", false),
        (&listed, false, "https://app.example.evil", false),
        (&listed, false, "http://app.example", false),
        (&listed, true, "https://gate.example:9001", true),
        (&all, false, "null", true),
    ] {
        let request = request(&format!("{MQTT_OFFERED}Origin: {origin}\r\n"));
        let (text, granted) = answer_by(&Upgrade::new(settings.clone(), is_tls), &request).await;
        assert_eq!(granted.is_some(), is_welcome, "{origin}, {is_tls}: {text}");
    }
}

#[tokio::test]
async fn the_service_sees_the_headers_that_were_selected() {
    let settings = config::WebSocket {
        headers: vec!["Cookie".to_owned(), "X-Absent".to_owned()],
        path: "/a".to_owned(),
        ..config::WebSocket::default()
    };
    let request = request(&format!(
        "{MQTT_OFFERED}cookie: a=b\r\nX: y\r\nCookie: c=d\r\n"
    ));
    let (_, granted) = answer(&settings, &request.replace("/mqtt ", "/a?x=y ")).await;
    let headers = granted.unwrap().http_headers;
    let headers: Vec<_> = headers
        .iter()
        .map(|header| (&*header.key, &*header.value))
        .collect();
    assert_eq!(headers, [("cookie", "a=b"), ("cookie", "c=d")]);
}

#[tokio::test(start_paused = true)]
async fn a_head_that_does_not_end_is_not_waited_for() {
    let (server, mut client) = duplex(1024);
    let begun = tokio::time::Instant::now();
    let upgrade = Upgrade::new(config::WebSocket::default(), false);
    let dribble = tokio::spawn(async move {
        for _ in 0..100 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if client.write_all(b"G").await.is_err() {
                return;
            }
        }
    });
    assert!(
        upgrade
            .accept(server, &mut Presented::default())
            .await
            .is_err()
    );
    assert_eq!(begun.elapsed(), HEAD_DEADLINE + FAREWELL);
    dribble.await.unwrap();
}
