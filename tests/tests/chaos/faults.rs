//! One service that fails in one way at a time: fault × packet × version.

use tidegate_tests::{
    Topology, Version,
    framed::{Framed, Lie, Play},
    packet::Kind,
    topology::Plan,
    wait::eventually,
};

use crate::{
    cells::{self, End, Sent},
    table::{Table, play_all, whole},
};

/// Times that a cell is played again because its CONNECT came to nothing.
const PATIENCE: usize = 5;

/// A fault, and how a check that meets it is to end.
struct Fault {
    name: String,
    play: Play,
    end: End,
    /// The reasons of which one has to be counted.
    reasons: &'static [&'static str],
    /// Whether nothing happens before the deadline.
    is_slow: bool,
}

fn fault(name: &str, play: Play, end: End, reasons: &'static [&'static str]) -> Fault {
    Fault {
        name: name.to_owned(),
        play,
        end,
        reasons,
        is_slow: matches!(play, Play::Hang | Play::Late | Play::Trickle | Play::Freeze),
    }
}

fn faults() -> Vec<Fault> {
    let lie = |name: &str, lie, reasons| fault(name, Play::Lie(lie), End::Failed, reasons);
    let mut faults = vec![
        fault("none", Play::Allow, End::Allowed, &[""]),
        fault("denial", Play::Deny, End::Denied, &[""]),
        fault("graceful GOAWAY", Play::Retire, End::Allowed, &[""]),
        lie("decision unset", Lie::Unset, &["invalid_result"]),
        lie("wrong ids", Lie::WrongIds, &["missing_result"]),
        lie("ids of 0", Lie::NoIds, &["missing_result"]),
        lie("two results", Lie::Twice, &["invalid_result"]),
        lie("no results", Lie::Missing, &["missing_result"]),
        lie("FAILURE_CODE_INTERNAL", Lie::Failure, &["service_failure"]),
        lie("garbage for a message", Lie::Garbage, &["invalid_result"]),
        lie("compressed, it says", Lie::Compressed, &["invalid_result"]),
        lie("OK without a message", Lie::Nothing, &["invalid_result"]),
        lie("two messages", Lie::TwoMessages, &["invalid_result"]),
        lie(
            "denial with an unknown code",
            Lie::UnknownCode,
            &["invalid_result"],
        ),
    ];
    faults.extend((1..=16).map(|code| {
        let (end, reasons): (_, &[&str]) = match code {
            4 => (End::Failed, &["timeout"]),
            8 => (End::Busy, &["overloaded"]),
            14 => (End::Failed, &["unavailable"]),
            _ => (End::Failed, &["grpc_status"]),
        };
        fault(
            &format!("gRPC status {code:02}"),
            Play::Status(code),
            end,
            reasons,
        )
    }));
    let unavailable: &[_] = &["unavailable"];
    let failed = |name, play, reasons| fault(name, play, End::Failed, reasons);
    faults.extend([
        failed(
            "allow, then status 13",
            Play::AllowThenStatus(13),
            &["grpc_status"],
        ),
        failed("no trailers", Play::NoTrailers, unavailable),
        failed("trailers without status", Play::EmptyTrailers, unavailable),
        failed("HTTP 503", Play::Http(503, "application/grpc"), unavailable),
        failed(
            "HTTP 200, text/html",
            Play::Http(200, "text/html"),
            unavailable,
        ),
        failed("5 MB", Play::Huge, &["invalid_result"]),
        failed("RST_STREAM", Play::Reset, unavailable),
        failed("RST_STREAM midway", Play::ResetMidway, unavailable),
        failed("GOAWAY with an error", Play::GoAway, unavailable),
        failed("TCP reset", Play::Cut, unavailable),
        failed("TCP reset midway", Play::CutMidway, unavailable),
        failed("hang", Play::Hang, &["timeout"]),
        failed("trickle", Play::Trickle, &["timeout"]),
        failed("late", Play::Late, &["timeout"]),
        failed("half-open", Play::Freeze, &["timeout"]),
    ]);
    faults
}

#[test]
fn every_fault_for_every_packet() {
    let faults = faults().into_iter();
    let table = play_all(
        faults.map(|fault| (fault.name.clone(), fault)),
        |_, fault, table| play(fault, table),
    );
    table.finish("What a packet gets that meets a fault of the service");
}

/// Plays a fault to everything. What comes before there is a session has a gate of its own, for with that only
/// may CONNECT have little time.
fn play(fault: &Fault, table: &mut Table) {
    let (first, later) = Sent::ALL.split_at(2);
    let little = if fault.is_slow { "1s" } else { "20s" };
    let plan = |hooks: &[&str], service: &Framed| -> Plan {
        let plan = Topology::scripted()
            .service_at(service.endpoint())
            .set("metrics.bind", "127.0.0.1:0");
        let deadline =
            |plan: Plan, hook: &&str| plan.set(&format!("authz.{hook}.deadline"), little);
        hooks.iter().fold(plan, deadline)
    };
    let service = Framed::start();
    cells_of(
        fault,
        &service,
        &plan(&["connect"], &service).start(),
        first,
        table,
    );
    let topology = plan(&["publish", "subscribe"], &service).start();
    cells_of(fault, &service, &topology, later, table);
}

fn cells_of(
    fault: &Fault,
    service: &Framed,
    topology: &Topology,
    packets: &[Sent],
    table: &mut Table,
) {
    // Sessions that were let in.
    let mut sessions = 0;
    for sent in packets {
        for version in Version::ALL {
            sessions += usize::from(*sent != Sent::Connect);
            let mut got = cell(fault, service, topology, *sent, version);
            for _ in 0..PATIENCE {
                if got == Err(cells::UNASKED.to_owned()) {
                    sessions += 1;
                    got = cell(fault, service, topology, *sent, version);
                }
            }
            table.note(&fault.name, (*sent, version, fault.end), got);
        }
    }
    if fault.end != End::Allowed
        && let Err(error) = saw_nothing(topology, sessions)
    {
        table.fail(&fault.name, error);
    }
}

fn cell(
    fault: &Fault,
    service: &Framed,
    topology: &Topology,
    sent: Sent,
    version: Version,
) -> Result<String, String> {
    service.behave();
    if sent == Sent::Will {
        // Its CONNECT goes the way that the fault has broken before.
        eventually("CONNECT is allowed again", || {
            cells::is_let_in(topology).then_some(())
        });
    }
    let mut client = cells::prepare(topology, sent, version);
    service.play(sent.kind(), fault.play);
    whole(|| cells::play(topology, &mut client, sent, fault.end, fault.reasons))?
}

/// The broker has seen the sessions that were let in, and nothing of what was not.
fn saw_nothing(topology: &Topology, sessions: usize) -> Result<(), String> {
    let broker = topology.recorder();
    if broker.connections() != sessions {
        return Err(format!("the broker has {} sessions", broker.connections()));
    }
    for index in 0..sessions {
        let kinds = broker.kinds(index);
        let innocent = [Kind::Connect, Kind::Pingreq, Kind::Disconnect];
        if kinds.iter().any(|kind| !innocent.contains(kind)) {
            return Err(format!("the broker has seen {kinds:?}"));
        }
    }
    Ok(())
}
