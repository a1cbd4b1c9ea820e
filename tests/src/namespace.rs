//! Network namespaces of Linux: machines that share nothing but a cable.
//!
//! They need root, `ip` and `unshare`.

use std::{
    fs::File,
    io::ErrorKind,
    net::Ipv4Addr,
    os::fd::AsFd as _,
    process::{Command, Stdio},
    thread,
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::process::Program;

/// A network of its own, with nothing but a loopback device, until there is a [`cable`](Self::cable).
#[derive(Debug)]
pub struct Namespace {
    /// Keeps it alive.
    holder: Program,
    link: File,
}

impl Namespace {
    /// Why there can't be any here, if so.
    #[must_use]
    pub fn obstacle() -> Option<String> {
        if !rustix::process::geteuid().is_root() {
            return Some("it needs root".to_owned());
        }
        for (program, arguments) in [
            ("ip", ["-Version"].as_slice()),
            ("setpriv", &["--version"]),
            ("unshare", &["--net", "true"]),
        ] {
            match Command::new(program).args(arguments).output() {
                Ok(done) if done.status.success() => {}
                Ok(done) => {
                    let said = String::from_utf8_lossy(&done.stderr);
                    return Some(format!("`{program}` fails: {}", said.trim()));
                }
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    return Some(format!(
                        "it needs `{program}` (`apt-get install iproute2 util-linux`)"
                    ));
                }
                Err(error) => return Some(format!("`{program}`: {error}")),
            }
        }
        None
    }

    /// A new one.
    ///
    /// # Panics
    /// If there is an [`obstacle`](Self::obstacle).
    #[must_use]
    #[track_caller]
    pub fn new() -> Self {
        let mut unshare = Command::new("unshare");
        // In the namespace as soon as it says so, for as long as it isn't killed.
        unshare.args(["--net", "sh", "-c", "echo ready; exec sleep infinity"]);
        let holder = Program::start("a namespace", &mut unshare);
        holder.wait_for("it is there", |line| (line == "ready").then_some(()));
        let link = File::open(format!("/proc/{}/ns/net", holder.id()));
        Self {
            holder,
            link: link.expect("the namespace of a process"),
        }
    }

    /// Does something as if on this machine: connections, and programs that are started, are of here.
    ///
    /// # Panics
    /// If what it does panics.
    #[track_caller]
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        // Of a thread of its own, which is gone afterwards: it would not find home again.
        let done = thread::scope(|scope| {
            let thread = scope.spawn(|| {
                move_into_link_name_space(self.link.as_fd(), Some(LinkNameSpaceType::Network))
                    .expect("root may enter a namespace");
                work()
            });
            thread.join()
        });
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Switches the loopback device on.
    #[track_caller]
    pub fn loopback(&self) {
        self.enter(|| ip(&["link", "set", "lo", "up"]));
    }

    /// Lays a cable to another one. Both ends get an address of one network of 256.
    #[track_caller]
    pub fn cable(&self, own: Ipv4Addr, other: &Self, others: Ipv4Addr) {
        let names = ["near", "far"];
        let [near, far] = names;
        self.enter(|| {
            let there = other.holder.id().to_string();
            ip(&[
                "link", "add", near, "type", "veth", "peer", "name", far, "netns", &there,
            ]);
        });
        for (namespace, device, address) in [(self, near, own), (other, far, others)] {
            namespace.enter(|| {
                ip(&["address", "add", &format!("{address}/24"), "dev", device]);
                ip(&["link", "set", device, "up"]);
            });
        }
    }

    /// Its devices, without the loopback device.
    #[must_use]
    #[track_caller]
    pub fn devices(&self) -> Vec<String> {
        let path = format!("/proc/{}/net/dev", self.holder.id());
        let table = std::fs::read_to_string(path).expect("a table of devices");
        let names = table.lines().filter_map(|line| line.split_once(':'));
        let names = names.map(|(name, _)| name.trim().to_owned());
        names.filter(|name| name != "lo").collect()
    }
}

impl Default for Namespace {
    fn default() -> Self {
        Self::new()
    }
}

#[track_caller]
fn ip(arguments: &[&str]) {
    let done = Command::new("ip")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("`ip` is there");
    assert!(done.status.success(), "ip {arguments:?}: {done:?}");
}
