//! Whoever tries to come to the broker by another way.

use std::{
    fs,
    io::ErrorKind,
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use crate::{
    broker::publish,
    stage::{GATE, GATE_ADDRESS, Stage},
};

/// Who is neither the broker nor the gate, nor of their group.
const NOBODY: u32 = 65_534;

/// Ways to the broker other than the gate. None, if all is well.
pub(crate) fn leaks(stage: &Stage) -> Vec<String> {
    let mut leaks = Vec::new();
    let devices = stage
        .alone()
        .map(tidegate_tests::namespace::Namespace::devices);
    for device in devices.unwrap_or_default() {
        leaks.push(format!("the network of the broker has a device, {device}"));
    }
    let sockets = sockets_of(stage.broker().id());
    leaks.extend(
        sockets
            .into_iter()
            .map(|socket| format!("the broker has {socket}")),
    );

    // The gate gets in, so that it is for a reason that others do not.
    let gate = publish(stage.socket(), GATE, GATE).output().unwrap();
    assert!(gate.status.success(), "the gate can't get in: {gate:?}");
    let other = publish(stage.socket(), NOBODY, NOBODY).output().unwrap();
    let said = String::from_utf8_lossy(&other.stderr);
    if other.status.success() {
        leaks.push("somebody else gets in by the socket".to_owned());
    } else if !said.contains("Permission denied") {
        leaks.push(format!("somebody else is kept out by luck: {said}"));
    }
    leaks
}

/// Ports of the gate's machine that somebody on the machine of the clients can connect to.
pub(crate) fn open_ports(stage: &Stage) -> Vec<u16> {
    stage.clients().enter(|| {
        let is_open = |port: &u16| {
            let address = SocketAddr::from((GATE_ADDRESS, *port));
            match TcpStream::connect_timeout(&address, Duration::from_secs(10)) {
                Ok(_) => true,
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => false,
                Err(error) => panic!("{address}: {error}"),
            }
        };
        (1..=u16::MAX).filter(is_open).collect()
    })
}

/// Sockets of a process that are of a network, in whatever state. What is of a path in the file
/// system is no such, but a name in the abstract is: all of a namespace can connect to it.
fn sockets_of(process: u32) -> Vec<String> {
    let own: Vec<String> = fs::read_dir(format!("/proc/{process}/fd"))
        .expect("files of the broker")
        .filter_map(|file| fs::read_link(file.ok()?.path()).ok())
        .filter_map(|target| {
            let inode = target.to_str()?.strip_prefix("socket:[")?;
            Some(inode.strip_suffix(']')?.to_owned())
        })
        .collect();
    assert!(!own.is_empty(), "a broker without any socket");
    let mut found = Vec::new();
    for kind in ["tcp", "tcp6", "udp", "udp6", "raw", "raw6", "unix"] {
        let path = format!("/proc/{process}/net/{kind}");
        // There is none for IPv6 where the kernel has no IPv6.
        let Ok(table) = fs::read_to_string(path) else {
            continue;
        };
        for line in table.lines().skip(1) {
            let fields: Vec<_> = line.split_whitespace().collect();
            let (inode, name) = match kind {
                "unix" => (fields.get(6), fields.get(7).copied().unwrap_or_default()),
                _ => (fields.get(9), "@"),
            };
            let is_own = inode.is_some_and(|inode| own.iter().any(|own| own == inode));
            if is_own && name.starts_with('@') {
                found.push(format!("a socket of {kind}: {line}"));
            }
        }
    }
    found
}
