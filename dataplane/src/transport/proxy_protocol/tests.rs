use tokio::{io::AsyncWriteExt, net::TcpListener};

use super::*;

/// A connection on which these bytes come, in pieces, and then the end.
async fn sent(pieces: Vec<Vec<u8>>) -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut sender = TcpStream::connect(address).await.unwrap();
        sender.set_nodelay(true).unwrap();
        for piece in pieces {
            let _ = sender.write_all(&piece).await;
            tokio::task::yield_now().await;
        }
    });
    listener.accept().await.unwrap().0
}

async fn rest(mut stream: TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    rest
}

fn from(client: &str, gate: &str) -> Header {
    Header::From {
        client: client.parse().unwrap(),
        gate: gate.parse().unwrap(),
    }
}

fn v2(version: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [&SIGNATURE[..], &[version, family], &length, rest].concat()
}

#[tokio::test]
async fn a_line_is_read_and_nothing_behind_it() {
    for (line, expected) in [
        (
            "PROXY TCP4 192.0.2.1 192.0.2.2 4711 8883\r\n",
            from("192.0.2.1:4711", "192.0.2.2:8883"),
        ),
        (
            "PROXY TCP6 2001:db8::1 ::1 1 65535\r\n",
            from("[2001:db8::1]:1", "[::1]:65535"),
        ),
        ("PROXY UNKNOWN\r\n", Header::Unknown),
        ("PROXY UNKNOWN whatever it says\r\n", Header::Unknown),
    ] {
        let whole = [line.as_bytes(), b"\x10\x00\n"].concat();
        let bytes = whole.iter().map(|byte| vec![*byte]).collect();
        for pieces in [vec![whole.clone()], bytes] {
            let mut stream = sent(pieces).await;
            assert_eq!(read_v1(&mut stream).await.unwrap(), expected, "{line}");
            assert_eq!(rest(stream).await, b"\x10\x00\n");
        }
    }
}

#[tokio::test]
async fn what_is_no_line_is_refused() {
    let long = format!("PROXY TCP4 {}\r\n", "1".repeat(200));
    for line in [
        "",
        "\x10\x10",
        "PROXY",
        "PROXY \r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 4711 8883\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 4711\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 4711 8883 1\r\n",
        "PROXY TCP4 ::1 ::1 4711 8883\r\n",
        "PROXY TCP6 192.0.2.1 192.0.2.2 4711 8883\r\n",
        "PROXY TCP4  192.0.2.1 192.0.2.2 4711 8883\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 +711 8883\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 04711 8883\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 65536 8883\r\n",
        "PROXY UDP4 192.0.2.1 192.0.2.2 4711 8883\r\n",
        &long,
    ] {
        let mut stream = sent(vec![line.into()]).await;
        assert!(read_v1(&mut stream).await.is_err(), "{line:?}");
    }
}

#[tokio::test]
async fn a_header_is_read_and_nothing_behind_it() {
    let four = [&[192, 0, 2, 1, 192, 0, 2, 2][..], &[0x12, 0x67, 0x22, 0xB3]].concat();
    let six = {
        let [client, gate] =
            ["2001:db8::1", "2001:db8::2"].map(|text| text.parse::<Ipv6Addr>().unwrap().octets());
        [&client[..], &gate, &[0, 1, 0, 2]].concat()
    };
    let with_tlv = [&four[..], &[0x04, 0, 1, 0]].concat();
    for (header, expected) in [
        (
            v2(0x21, 0x11, &four),
            from("192.0.2.1:4711", "192.0.2.2:8883"),
        ),
        (
            v2(0x21, 0x11, &with_tlv),
            from("192.0.2.1:4711", "192.0.2.2:8883"),
        ),
        (
            v2(0x21, 0x21, &six),
            from("[2001:db8::1]:1", "[2001:db8::2]:2"),
        ),
        (v2(0x20, 0x11, &four), Header::Local),
        (v2(0x20, 0x00, &[]), Header::Local),
        (v2(0x21, 0x00, &[]), Header::Unknown),
        (v2(0x21, 0x31, &[0; 216]), Header::Unknown),
    ] {
        let whole = [&header[..], b"\x10"].concat();
        let mut stream = sent(whole.chunks(5).map(<[u8]>::to_vec).collect()).await;
        assert_eq!(read_v2(&mut stream).await.unwrap(), expected, "{header:?}");
        assert_eq!(rest(stream).await, b"\x10");
    }
}

#[tokio::test]
async fn what_is_no_header_is_refused() {
    let mut other = v2(0x21, 0x11, &[0; 12]);
    other[3] = b' ';
    let mut long = v2(0x21, 0x11, &[0; 4097]);
    long.truncate(16);
    for header in [
        Vec::new(),
        b"PROXY TCP4 192.0.2.1 192.0.2.2 4711 8883\r\n".to_vec(),
        other,
        long,
        v2(0x11, 0x11, &[0; 12]),
        v2(0x22, 0x11, &[0; 12]),
        v2(0x21, 0x12, &[0; 12]),
        v2(0x21, 0x11, &[0; 11]),
        v2(0x21, 0x21, &[0; 35]),
        v2(0x21, 0x11, &[0; 12])[..20].to_vec(),
    ] {
        let mut stream = sent(vec![header.clone()]).await;
        assert!(read_v2(&mut stream).await.is_err(), "{header:?}");
    }
}
