//! How long each user source takes to say who somebody is: `find`, without the verification of a password.

use std::{
    fs,
    hint::black_box,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use rcgen::{KeyPair, PKCS_ED25519, PublicKeyData as _, SigningKey as _};
use serde_json::{Value, json};
use tidegate_authz::{
    config::Config,
    deadline::Deadline,
    identity::UserName,
    password::{Password, PasswordHash},
    users::{
        open::{open, open_store},
        source::{Login, UserSource},
        store::{Edit, UserEdit},
    },
};
use tidegate_proto::v1::TlsInfo;
use tokio::{runtime::Builder, sync::mpsc, time::sleep};

use super::postgres::Postgres;

const LOGINS: usize = 2_000;
const SECRET: &str = "secret";

/// Measures them one after the other, and prints a line for each.
pub(crate) fn measure() {
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let hash = PasswordHash::of(&Password::new(SECRET.as_bytes())).unwrap();

        let users = format!("[users.alice]\npassword = \"{hash}\"\n");
        fs::write(at("users.toml"), users).unwrap();
        latency(
            "file",
            &*source(folder.path(), "sources = [\"file\"]"),
            alice(),
        )
        .await;

        latency(
            "sqlite",
            &*stored(folder.path(), "sqlite", "", &hash).await,
            alice(),
        )
        .await;
        let server = Postgres::started().await;
        let url = format!("[users.postgres]\nurl = \"{}\"", server.url());
        latency(
            "postgres",
            &*stored(folder.path(), "postgres", &url, &hash).await,
            alice(),
        )
        .await;

        let manager = manager();
        let http = format!("sources = [\"http\"]\n[users.http]\nurl = \"http://{manager}\"");
        latency("http", &*source(folder.path(), &http), alice()).await;

        let (keys, token) = issuer();
        fs::write(at("jwks.json"), keys).unwrap();
        let jwt = "sources = [\"jwt\"]\n[users.jwt]\njwks_file = \"jwks.json\"";
        let password = Password::new(token.as_bytes());
        let login = Login {
            username: Some("token"),
            password: Some(&password),
            ..alice()
        };
        latency("jwt (EdDSA)", &*source(folder.path(), jwt), login).await;

        let tls = TlsInfo {
            peer_verified: true,
            peer_subject: "CN=alice,O=Example".to_owned(),
            ..TlsInfo::default()
        };
        let login = Login {
            tls: Some(&tls),
            ..alice()
        };
        let certificate = "sources = [\"certificate\"]\n[users.certificate]";
        latency("certificate", &*source(folder.path(), certificate), login).await;
    });
}

fn alice() -> Login<'static> {
    static PASSWORD: std::sync::LazyLock<Password> =
        std::sync::LazyLock::new(|| Password::new(SECRET.as_bytes()));
    Login {
        username: Some("alice"),
        password: Some(&PASSWORD),
        client_id: "c1",
        tls: None,
        listener: "mqtt",
    }
}

/// The one source of a configuration; `users` is what is below `[users]`.
fn configuration(folder: &Path, users: &str) -> Config {
    let file = folder.join("authz.toml");
    fs::write(&file, format!("[users]\n{users}\n")).unwrap();
    Config::load(Some(&file), []).unwrap()
}

fn source(folder: &Path, users: &str) -> Box<dyn UserSource> {
    // Nobody has to hear of changes.
    let (changes, _) = mpsc::channel(1);
    let sources = open(&configuration(folder, users), changes).unwrap();
    sources.into_iter().next().unwrap()
}

/// A database with alice.
async fn stored(
    folder: &Path,
    kind: &str,
    section: &str,
    hash: &PasswordHash,
) -> Box<dyn UserSource> {
    let users = format!("sources = [\"{kind}\"]\n{section}");
    let store = open_store(&configuration(folder, &users).users, None).unwrap();
    let name = UserName::new("alice").unwrap();
    let edit = Edit::Add {
        password: hash.clone(),
        superuser: None,
        replace: false,
    };
    store.change(vec![UserEdit { name, edit }]).await.unwrap();
    let source = source(folder, &users);
    while !source.is_ready() {
        sleep(Duration::from_millis(10)).await;
    }
    source
}

async fn latency(name: &str, source: &dyn UserSource, login: Login<'_>) {
    let mut took = Vec::with_capacity(LOGINS);
    for _ in 0..LOGINS {
        let begun = Instant::now();
        let deadline = Deadline::after(Duration::from_secs(10));
        black_box(source.find(&login, deadline).await.unwrap());
        took.push(begun.elapsed());
    }
    took.sort_unstable();
    let [middle, late] = [LOGINS / 2, LOGINS / 100 * 99].map(|at| took[at].as_secs_f64() * 1e6);
    println!("  {name:12} p50 {middle:7.1} µs   p99 {late:7.1} µs");
}

/// A user manager that lets everybody in: it costs a request over loopback, and no more.
fn manager() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for client in listener.incoming() {
            let client = client.unwrap();
            thread::spawn(move || serve(client));
        }
    });
    address
}

fn serve(mut client: TcpStream) -> Option<()> {
    client.set_nodelay(true).ok()?;
    let mut lines = BufReader::new(client.try_clone().ok()?);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            lines.read_line(&mut line).ok().filter(|read| *read > 0)?;
            if line == "\r\n" {
                break;
            }
            if let Some((name, value)) = line.split_once(": ")
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().ok()?;
            }
        }
        lines.read_exact(&mut vec![0; length]).ok()?;
        let body = r#"{"username": "alice"}"#;
        write!(
            client,
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .ok()?;
    }
}

/// A set of keys, and a token of alice.
fn issuer() -> (String, String) {
    let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let x = BASE64.encode(key.der_bytes());
    let set = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "one", "x": x}]});
    let part = |value: &Value| BASE64.encode(value.to_string());
    let header = part(&json!({"alg": "EdDSA", "kid": "one"}));
    let message = format!(
        "{header}.{}",
        part(&json!({"sub": "alice", "exp": 4_000_000_000_u64}))
    );
    let signature = BASE64.encode(key.sign(message.as_bytes()).unwrap());
    (set.to_string(), format!("{message}.{signature}"))
}
