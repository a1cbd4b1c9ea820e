//! A case: all that the client, the service, the broker and the operator are going to do.
//!
//! Plain data, so that a failure shrinks and can be read. What is said here in small numbers gets
//! its meaning in `client`, `service` and `broker`.

use gatekeeper::{Rules, Side, Version};

/// A whole life of a session.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) version: Version,
    pub(crate) rules: Rules,
    pub(crate) first: First,
    pub(crate) hello: Hello,
    pub(crate) admission: Admission,
    pub(crate) dial: Dial,
    pub(crate) greeting: Greeting,
    /// How late the driver's timer fires, in milliseconds.
    pub(crate) timer_lag: u64,
    /// How long an end that needs a permit has to wait for it, in milliseconds.
    pub(crate) permit_delay: u64,
    pub(crate) steps: Vec<Step>,
    /// Verdicts by ticket, over and over.
    pub(crate) answers: Vec<Answer>,
    /// Answers of the broker by packet, over and over.
    pub(crate) replies: Vec<Reply>,
}

/// The client's first packet.
#[derive(Debug, Clone)]
pub(crate) enum First {
    Connect,
    /// A protocol level that is not spoken.
    Level(u8),
    /// Enhanced authentication.
    AuthMethod,
    /// Anything else.
    Bytes(Vec<u8>),
    /// Nothing for a long time.
    Silence,
}

/// What the CONNECT says.
#[derive(Debug, Clone)]
pub(crate) struct Hello {
    pub(crate) keep_alive: u16,
    pub(crate) will: bool,
    pub(crate) empty_id: bool,
    pub(crate) clean: bool,
    pub(crate) maximum_packet_size: Option<u32>,
    pub(crate) explains: bool,
    pub(crate) session_expiry: Option<u32>,
    pub(crate) will_delay: Option<u32>,
    pub(crate) receive_maximum: Option<u16>,
    /// Whether the client answers deliveries at once, or only when it comes to it.
    pub(crate) eager: bool,
    /// How many of the password and the user name are announced and missing, on MQTT 3.1, where that is
    /// legal.
    pub(crate) missing: usize,
}

/// What the service says about the CONNECT and its will.
#[derive(Debug, Clone)]
pub(crate) struct Admission {
    pub(crate) connect: Answer,
    pub(crate) will: Answer,
    pub(crate) broker_id: BrokerId,
    /// Milliseconds from the answer.
    pub(crate) expires_after: Option<u64>,
}

/// The client identifier that the service asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum BrokerId {
    Own,
    Other,
    /// More than a length field can say.
    TooLong,
    /// A character that no string may hold.
    Nul,
}

/// How reaching the broker ends.
#[derive(Debug, Clone)]
pub(crate) struct Dial {
    pub(crate) delay: u64,
    pub(crate) works: bool,
}

/// What the broker does about the CONNECT.
#[derive(Debug, Clone)]
pub(crate) enum Greeting {
    Accept {
        delay: u64,
        maximum_packet_size: Option<u32>,
        topic_alias_maximum: Option<u16>,
        server_keep_alive: Option<u16>,
        receive_maximum: Option<u16>,
        /// Whether it kept a session, if the client wants one.
        keeps_session: bool,
        /// The property of what it does not offer.
        withholds: Option<u8>,
    },
    Refuse(u8),
    /// A refusal in the form of MQTT 3.1.1.
    OldShape(u8),
    /// Something else than a CONNACK.
    Publish,
    Close,
    Silence,
}

/// One thing that happens on its own, `after` milliseconds after the one before.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) after: u64,
    pub(crate) op: Op,
    /// Bytes at the end of the client's stream that stay under way.
    pub(crate) held_back: usize,
}

/// What happens.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    Publish {
        topic: u8,
        qos: u8,
        retain: bool,
        alias: Option<u16>,
        /// Leave the topic to the alias, if it is set.
        by_alias: bool,
        properties: bool,
        /// As if a former connection had sent it already.
        dup: bool,
        /// Message Expiry Interval.
        expiry: Option<u32>,
        /// Payload Format Indicator, and whether it is true.
        format: Option<bool>,
        size: usize,
    },
    /// The nth PUBLISH that is not acknowledged yet, again, with DUP; on MQTT 3.1 the nth packet of any
    /// kind.
    Repeat(usize),
    /// Something else under the nth identifier in use.
    Reuse {
        nth: usize,
        what: Reused,
    },
    /// A PUBLISH, whatever Receive Maximum says.
    Overrun,
    Subscribe(Vec<(u8, u8)>),
    Unsubscribe(u8),
    Ping,
    /// A PUBREL that belongs to nothing.
    Release(u16),
    /// A PUBACK that belongs to nothing.
    Acknowledge(u16),
    /// The client answers so many of the deliveries that it owes an answer, the first with this code.
    Answers {
        count: usize,
        code: u8,
    },
    Disconnect(u8),
    /// A packet that no client may send.
    Illegal(u8),
    Garbage(Vec<u8>),
    /// The next packet has a byte changed.
    Damage {
        at: usize,
        xor: u8,
    },
    ClientLeaves,
    BrokerLeaves,
    BrokerPublishes {
        qos: u8,
        size: usize,
    },
    /// The last delivery again, with DUP.
    BrokerRepeats,
    BrokerDisconnects,
    BrokerRaves(Vec<u8>),
    Drain,
    /// The service ends the session with this code.
    Terminate(u8),
    /// The service wants to be asked again, though it may end the session.
    Recheck {
        even_if_resumed: bool,
    },
    Stall(Side),
    /// The driver stops reading the client, or goes on.
    Reading(bool),
    /// A verdict that nobody waits for (any more, or yet).
    Stray {
        ticket: usize,
        answer: Answer,
    },
}

/// What comes under an identifier in use.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Reused {
    Publish(u8),
    /// The same message with another payload.
    Payload,
    /// The same message, though it may have been released.
    Copy,
    /// A PUBREL, though there may have been no PUBREC.
    Release,
    Subscribe,
    Unsubscribe,
}

/// What the service does about a question.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) delay: u64,
    pub(crate) says: Says,
    /// And the same again, as an allow, a little later.
    pub(crate) twice: bool,
}

/// What the service says.
#[derive(Debug, Clone)]
pub(crate) enum Says {
    Allow,
    Deny {
        code: Option<u8>,
        action: u8,
        reason: Option<usize>,
    },
    Unavailable(usize),
    /// The allow of another kind of question.
    WrongKind,
    Nothing,
}

/// What the broker does about a packet that wants an answer.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) delay: u64,
    pub(crate) how: How,
}

/// How the broker answers.
#[derive(Debug, Clone, Copy)]
pub(crate) enum How {
    Rightly,
    /// With a code that says no, where the packet has one.
    Refusing,
    /// With one that no packet of the kind may have, where the packet has one.
    Oddly,
    Never,
    /// With something that is not the answer.
    Wrongly,
    Closing,
}
