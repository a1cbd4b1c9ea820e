//! How cases are drawn: mostly an orderly client of a slow service, and everything else sometimes.

use std::time::Duration;

use gatekeeper::{Deadlines, Limits, OnDenied, OnDeniedV3, OnFailed, Rules, Side, Version};
use proptest::{collection::vec, option, prelude::*, sample::select};

use super::case::{
    Admission, Answer, BrokerId, Case, Dial, First, Greeting, Hello, How, Op, Reply, Reused, Says,
    Step,
};

/// How much goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    /// Refusals, delays and outages, but nothing that ends a session at once: long stories.
    Calm,
    /// Everything.
    Wild,
}

pub(crate) fn cases() -> impl Strategy<Value = Case> {
    prop_oneof![3 => calm_cases(), 2 => cases_of(Mood::Wild)]
}

/// Cases in which nothing ends a session at once.
pub(crate) fn calm_cases() -> impl Strategy<Value = Case> {
    cases_of(Mood::Calm)
}

fn cases_of(mood: Mood) -> impl Strategy<Value = Case> {
    let opening = (
        firsts(mood),
        hellos(),
        admissions(mood),
        dials(mood),
        greetings(mood),
    );
    let lag = (prop_oneof![Just(0), 0..40u64], select(vec![0, 0, 30, 3000]));
    let story = (
        vec(steps(mood), 0..40),
        vec(answers(mood), 1..12),
        vec(replies(mood), 1..12),
    );
    let version = select(vec![Version::V5, Version::V5, Version::V311, Version::V31]);
    (version, rules(mood), opening, lag, story).prop_map(
        |(version, rules, opening, (timer_lag, permit_delay), story)| {
            let (first, hello, admission, dial, greeting) = opening;
            let (steps, answers, replies) = story;
            Case {
                version,
                rules,
                first,
                hello,
                admission,
                dial,
                greeting,
                timer_lag,
                permit_delay,
                steps,
                answers,
                replies,
            }
        },
    )
}

/// What happens in any mood, or in the wild one only.
fn also<T: Clone + std::fmt::Debug + 'static>(
    mood: Mood,
    calm: impl Strategy<Value = T> + 'static,
    weight: u32,
    wild: impl Strategy<Value = T> + 'static,
) -> BoxedStrategy<T> {
    match mood {
        Mood::Calm => calm.boxed(),
        Mood::Wild => prop_oneof![100 - weight => calm, weight => wild].boxed(),
    }
}

fn rules(mood: Mood) -> impl Strategy<Value = Rules> {
    let windows = (
        select(vec![512, 512, 8, 3, 2, 1]),
        select(vec![1 << 20, 1 << 20, 300, 64, 1]),
        (select(vec![32, 32, 2, 0]), any::<bool>()),
        select(vec![1 << 20, 1 << 20, 400]),
        (
            select(vec![1024, 1024, 3, 1]),
            select(vec![8192, 8192, 5, 1]),
        ),
        (
            select(vec![1024, 1024, 3]),
            select(vec![1 << 16, 1 << 16, 12]),
        ),
        select(vec![16, 16, 1, 0]),
        select(vec![0, 0, 1, 3600]),
        select(vec![u32::MAX, u32::MAX, 30, 0]),
    );
    let limits = windows.prop_map(
        |(
            window_packets,
            window_bytes,
            (alias, announce_downlink_size),
            max_packet_size,
            (receive_maximum, max_inflight),
            (max_subscriptions, max_subscription_bytes),
            max_filter_wildcards,
            max_keep_alive,
            max_session_expiry,
        )| Limits {
            window_packets,
            window_bytes,
            topic_alias_maximum: alias,
            announce_downlink_size,
            max_packet_size,
            receive_maximum,
            max_inflight,
            max_subscriptions,
            max_subscription_bytes,
            max_filter_wildcards,
            max_keep_alive,
            max_session_expiry,
            ..Limits::default()
        },
    );
    let denied = || also(mood, Just(OnDenied::Reject), 30, Just(OnDenied::Disconnect));
    let denied_v3 = also(
        mood,
        Just(OnDeniedV3::AckAndDrop),
        30,
        Just(OnDeniedV3::Disconnect),
    );
    let failed = || also(mood, Just(OnFailed::Reject), 50, Just(OnFailed::Disconnect));
    let patience = select(vec![100, 100, 100, 2500]);
    let failures = (failed(), failed());
    (limits, patience, denied(), denied_v3, denied(), failures).prop_map(
        |(limits, patience, publish, publish_v3, subscribe, failures)| Rules {
            limits,
            deadlines: deadlines(patience),
            on_publish_denied: publish,
            on_publish_denied_v3: publish_v3,
            on_subscribe_denied: subscribe,
            on_publish_failed: failures.0,
            on_subscribe_failed: failures.1,
            ..Rules::default()
        },
    )
}

fn deadlines(publish: u64) -> Deadlines {
    Deadlines {
        handshake: Duration::from_secs(1),
        connect: Duration::from_millis(500),
        publish: Duration::from_millis(publish),
        subscribe: Duration::from_millis(200),
        broker_connect: Duration::from_secs(1),
        broker_ping: Duration::from_secs(1),
        linger: Duration::from_millis(80),
    }
}

fn firsts(mood: Mood) -> impl Strategy<Value = First> {
    let others = prop_oneof![
        select(vec![0, 3, 6, 0x7F, 0x84, 0xFF]).prop_map(First::Level),
        Just(First::AuthMethod),
        vec(any::<u8>(), 0..30).prop_map(First::Bytes),
        Just(First::Silence),
    ];
    also(mood, Just(First::Connect), 10, others)
}

fn hellos() -> impl Strategy<Value = Hello> {
    (
        select(vec![0, 0, 1, 2, 60]),
        prop::bool::weighted(0.2),
        prop::bool::weighted(0.1),
        prop::bool::weighted(0.6),
        select(vec![None, None, Some(20), Some(45), Some(200)]),
        prop::bool::weighted(0.7),
        select(vec![None, Some(0), Some(60)]),
        deliveries(),
        select(vec![0, 0, 0, 1, 2]),
    )
        .prop_map(
            |(
                keep_alive,
                will,
                empty_id,
                clean,
                maximum_packet_size,
                explains,
                session_expiry,
                (will_delay, receive_maximum, eager),
                missing,
            )| Hello {
                keep_alive,
                will,
                empty_id,
                clean,
                maximum_packet_size,
                explains,
                session_expiry,
                will_delay,
                receive_maximum,
                eager,
                missing,
            },
        )
}

/// Will delay, Receive Maximum, and whether the client answers at once.
fn deliveries() -> impl Strategy<Value = (Option<u32>, Option<u16>, bool)> {
    (
        select(vec![None, Some(0), Some(20), Some(90)]),
        select(vec![None, Some(1), Some(2), Some(u16::MAX)]),
        prop::bool::weighted(0.4),
    )
}

fn admissions(mood: Mood) -> impl Strategy<Value = Admission> {
    let broker_id = also(
        mood,
        select(vec![BrokerId::Own, BrokerId::Other]),
        10,
        select(vec![BrokerId::TooLong, BrokerId::Nul]),
    );
    let expires_after = also(mood, Just(None), 15, (0..3000u64).prop_map(Some));
    (admission(mood), admission(mood), broker_id, expires_after).prop_map(
        |(connect, will, broker_id, expires_after)| Admission {
            connect,
            will,
            broker_id,
            expires_after,
        },
    )
}

/// An answer about a CONNECT or a will.
fn admission(mood: Mood) -> impl Strategy<Value = Answer> {
    let allow = (0..400u64, prop::bool::weighted(0.1)).prop_map(|(delay, twice)| Answer {
        delay,
        says: Says::Allow,
        twice,
    });
    let any = answers(mood).prop_map(|answer| Answer {
        delay: answer.delay * 5,
        ..answer
    });
    also(mood, allow, 20, any)
}

fn dials(mood: Mood) -> impl Strategy<Value = Dial> {
    let works = (0..200u64).prop_map(|delay| Dial { delay, works: true });
    let late = (900..1200u64, any::<bool>()).prop_map(|(delay, works)| Dial { delay, works });
    also(mood, works, 10, late)
}

fn greetings(mood: Mood) -> impl Strategy<Value = Greeting> {
    let accept = (
        0..200u64,
        select(vec![None, Some(60), Some(250), Some(1 << 21)]),
        select(vec![None, Some(0), Some(7)]),
        select(vec![None, None, None, Some(1)]),
        select(vec![None, None, Some(1), Some(4)]),
        prop::bool::weighted(0.7),
        also(
            mood,
            Just(None),
            10,
            select(vec![0x24, 0x25, 0x28, 0x29, 0x2A]).prop_map(Some),
        ),
    )
        .prop_map(
            |(
                delay,
                maximum_packet_size,
                topic_alias_maximum,
                server_keep_alive,
                receive_maximum,
                keeps_session,
                withholds,
            )| Greeting::Accept {
                delay,
                maximum_packet_size,
                topic_alias_maximum,
                server_keep_alive,
                receive_maximum,
                keeps_session,
                withholds,
            },
        );
    let others = prop_oneof![
        select(vec![0x80, 0x87, 0x88, 0x95, 0x9F, 0x01, 0x05, 0x40]).prop_map(Greeting::Refuse),
        (0..8u8).prop_map(Greeting::OldShape),
        Just(Greeting::Publish),
        Just(Greeting::Close),
        Just(Greeting::Silence),
    ];
    also(mood, accept, 10, others)
}

fn steps(mood: Mood) -> impl Strategy<Value = Step> {
    let after = prop_oneof![8 => Just(0), 8 => 0..40u64, 1 => 0..1000u64];
    let held_back = prop_oneof![6 => Just(0), 4 => 0..60usize];
    (after, ops(mood), held_back).prop_map(|(after, op, held_back)| Step {
        after,
        op,
        held_back,
    })
}

fn ops(mood: Mood) -> impl Strategy<Value = Op> {
    let orderly = prop_oneof![
        60 => publishes(),
        10 => (0..8usize).prop_map(Op::Repeat),
        20 => vec((0..14u8, 0..=2u8), 1..5).prop_map(Op::Subscribe),
        6 => (0..14u8).prop_map(Op::Unsubscribe),
        8 => Just(Op::Ping),
        2 => (1..9u16).prop_map(Op::Release),
        2 => (1..9u16).prop_map(Op::Acknowledge),
        20 => (0..=2u8, sizes()).prop_map(|(qos, size)| Op::BrokerPublishes { qos, size }),
        3 => Just(Op::BrokerRepeats),
        12 => (1..4usize, select(vec![0, 0, 0x10, 0x97]))
            .prop_map(|(count, code)| Op::Answers { count, code }),
        4 => any::<bool>().prop_map(Op::Reading),
        4 => Just(Op::Recheck { even_if_resumed: false }),
        4 => (0..20usize, answers(mood)).prop_map(|(ticket, answer)| Op::Stray { ticket, answer }),
    ];
    let fatal = prop_oneof![
        4 => select(vec![0, 4, 0x80, 0x93, 0x99]).prop_map(Op::Disconnect),
        2 => any::<u8>().prop_map(Op::Illegal),
        16 => (0..4usize, reused()).prop_map(|(nth, what)| Op::Reuse { nth, what }),
        2 => Just(Op::Overrun),
        1 => vec(any::<u8>(), 1..20).prop_map(Op::Garbage),
        2 => (0..40usize, 1..=255u8).prop_map(|(at, xor)| Op::Damage { at, xor }),
        1 => Just(Op::ClientLeaves),
        1 => Just(Op::BrokerLeaves),
        1 => Just(Op::BrokerDisconnects),
        1 => vec(any::<u8>(), 1..20).prop_map(Op::BrokerRaves),
        1 => Just(Op::Drain),
        2 => Just(Op::Recheck { even_if_resumed: true }),
        2 => select(vec![0x98, 0x87, 0x8A, 0x97, 0x9C, 0x00]).prop_map(Op::Terminate),
        1 => select(vec![Side::Client, Side::Broker]).prop_map(Op::Stall),
    ];
    also(mood, orderly, 9, fatal)
}

fn publishes() -> impl Strategy<Value = Op> {
    (
        0..8u8,
        0..=2u8,
        any::<bool>(),
        option::weighted(0.5, 1..4u16),
        prop::bool::weighted(0.7),
        prop::bool::weighted(0.2),
        prop::bool::weighted(0.2),
        option::weighted(0.25, 0..6u32),
        option::weighted(0.1, any::<bool>()),
        sizes(),
    )
        .prop_map(
            |(topic, qos, retain, alias, by_alias, properties, dup, expiry, format, size)| {
                Op::Publish {
                    topic,
                    qos,
                    retain,
                    alias,
                    by_alias,
                    properties,
                    dup,
                    expiry,
                    format,
                    size,
                }
            },
        )
}

fn reused() -> impl Strategy<Value = Reused> {
    prop_oneof![
        1 => (1..=2u8).prop_map(Reused::Publish),
        2 => Just(Reused::Payload),
        4 => Just(Reused::Copy),
        4 => Just(Reused::Release),
        1 => Just(Reused::Subscribe),
        1 => Just(Reused::Unsubscribe),
    ]
}

fn sizes() -> impl Strategy<Value = usize> {
    prop_oneof![10 => 0..8usize, 3 => 8..45usize, 1 => 0..500usize]
}

fn answers(mood: Mood) -> BoxedStrategy<Answer> {
    // Around the deadline of a PUBLISH, and of a SUBSCRIBE.
    let delay = prop_oneof![
        12 => 0..40u64,
        4 => 80..230u64,
        2 => select(vec![99, 100, 199, 200]),
        1 => select(vec![999, 1000, 2400]),
    ];
    (delay, says(mood), prop::bool::weighted(0.1))
        .prop_map(|(delay, says, twice)| Answer { delay, says, twice })
        .boxed()
}

fn says(mood: Mood) -> impl Strategy<Value = Says> {
    let code = prop_oneof![
        3 => Just(None),
        5 => (0x80..=0xA2u8).prop_map(Some),
        1 => any::<u8>().prop_map(Some),
    ];
    let action = also(mood, select(vec![0, 0, 1, 3]), 25, Just(2));
    let reason = prop_oneof![
        4 => Just(None),
        4 => select(vec![1, 40, 300]).prop_map(Some),
        1 => Just(Some(70_000)),
    ];
    let why = also(
        mood,
        select(vec![0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12]),
        20,
        0..14usize,
    );
    prop_oneof![
        20 => Just(Says::Allow),
        12 => (code, action, reason).prop_map(|(code, action, reason)| Says::Deny {
            code,
            action,
            reason,
        }),
        3 => why.prop_map(Says::Unavailable),
        1 => Just(Says::WrongKind),
        1 => Just(Says::Nothing),
    ]
}

fn replies(mood: Mood) -> impl Strategy<Value = Reply> {
    let orderly = prop_oneof![
        40 => Just(How::Rightly),
        6 => Just(How::Refusing),
        3 => Just(How::Oddly),
        1 => Just(How::Never),
    ];
    let how = also(mood, orderly, 5, select(vec![How::Wrongly, How::Closing]));
    (prop_oneof![4 => Just(0), 6 => 0..120u64], how).prop_map(|(delay, how)| Reply { delay, how })
}
