//! How cases are drawn: mostly an orderly client of a slow service, and everything else sometimes.

use std::time::Duration;

use gatekeeper::{Deadlines, Limits, OnDenied, OnDeniedV3, OnFailed, Rules, Version};
use proptest::{collection::vec, option, prelude::*, sample::select};

use super::case::{
    Admission, Answer, BrokerId, Case, Dial, First, Greeting, Hello, How, Op, Reply, Says, Step,
};

pub(crate) fn cases() -> impl Strategy<Value = Case> {
    let session = (admissions(), dials(), greetings(), prop_oneof![Just(0), 0..40u64]);
    let world = (vec(steps(), 0..40), vec(answers(), 1..12), vec(replies(), 1..12));
    (versions(), rules(), firsts(), hellos(), session, world).prop_map(
        |(version, rules, first, hello, session, world)| {
            let (admission, dial, greeting, timer_lag) = session;
            let (steps, answers, replies) = world;
            Case {
                version,
                rules,
                first,
                hello,
                admission,
                dial,
                greeting,
                timer_lag,
                steps,
                answers,
                replies,
            }
        },
    )
}

fn versions() -> impl Strategy<Value = Version> {
    select(vec![Version::V5, Version::V311])
}

fn rules() -> impl Strategy<Value = Rules> {
    let windows = (
        select(vec![512, 8, 3, 2, 1]),
        select(vec![1 << 20, 300, 64, 1]),
        select(vec![32, 2, 0]),
        select(vec![1 << 20, 400]),
    );
    let limits = windows.prop_map(|(window_packets, window_bytes, alias, max_packet_size)| Limits {
        window_packets,
        window_bytes,
        topic_alias_maximum: alias,
        max_packet_size,
        ..Limits::default()
    });
    let denied = || select(vec![OnDenied::Reject, OnDenied::Reject, OnDenied::Disconnect]);
    let denied_v3 = select(vec![OnDeniedV3::AckAndDrop, OnDeniedV3::AckAndDrop, OnDeniedV3::Disconnect]);
    let failed = || select(vec![OnFailed::Reject, OnFailed::Reject, OnFailed::Disconnect]);
    (limits, denied(), denied_v3, denied(), failed(), failed()).prop_map(
        |(limits, publish, publish_v3, subscribe, publish_failed, subscribe_failed)| Rules {
            limits,
            deadlines: deadlines(),
            on_publish_denied: publish,
            on_publish_denied_v3: publish_v3,
            on_subscribe_denied: subscribe,
            on_publish_failed: publish_failed,
            on_subscribe_failed: subscribe_failed,
        },
    )
}

fn deadlines() -> Deadlines {
    Deadlines {
        handshake: Duration::from_secs(1),
        connect: Duration::from_millis(500),
        publish: Duration::from_millis(100),
        subscribe: Duration::from_millis(200),
        broker_connect: Duration::from_secs(1),
        broker_ping: Duration::from_secs(1),
        linger: Duration::from_millis(80),
    }
}

fn firsts() -> impl Strategy<Value = First> {
    prop_oneof![
        40 => Just(First::Connect),
        1 => select(vec![0, 3, 6, 0x7F, 0x84, 0xFF]).prop_map(First::Level),
        1 => Just(First::AuthMethod),
        1 => vec(any::<u8>(), 0..30).prop_map(First::Bytes),
        1 => Just(First::Silence),
    ]
}

fn hellos() -> impl Strategy<Value = Hello> {
    (
        select(vec![0, 0, 1, 2, 60]),
        prop::bool::weighted(0.2),
        prop::bool::weighted(0.2),
        prop::bool::weighted(0.8),
        select(vec![None, None, Some(20), Some(200)]),
        prop::bool::weighted(0.7),
        select(vec![None, Some(0), Some(60)]),
    )
        .prop_map(
            |(keep_alive, will, empty_id, clean, maximum_packet_size, explains, session_expiry)| {
                Hello {
                    keep_alive,
                    will,
                    empty_id,
                    clean,
                    maximum_packet_size,
                    explains,
                    session_expiry,
                }
            },
        )
}

fn admissions() -> impl Strategy<Value = Admission> {
    let broker_id = prop_oneof![
        8 => Just(BrokerId::Own),
        8 => Just(BrokerId::Other),
        1 => Just(BrokerId::TooLong),
        1 => Just(BrokerId::Nul),
    ];
    let expires_after = prop_oneof![6 => Just(None), 1 => (0..3000u64).prop_map(Some)];
    (mostly_allowed(), mostly_allowed(), broker_id, expires_after).prop_map(
        |(connect, will, broker_id, expires_after)| Admission {
            connect,
            will,
            broker_id,
            expires_after,
        },
    )
}

fn mostly_allowed() -> impl Strategy<Value = Answer> {
    prop_oneof![
        12 => (0..400u64, prop::bool::weighted(0.1)).prop_map(|(delay, twice)| Answer {
            delay,
            says: Says::Allow,
            twice,
        }),
        2 => answers().prop_map(|answer| Answer { delay: answer.delay * 5, ..answer }),
    ]
}

fn dials() -> impl Strategy<Value = Dial> {
    (prop_oneof![20 => 0..200u64, 1 => 900..1200u64], prop::bool::weighted(0.95))
        .prop_map(|(delay, works)| Dial { delay, works })
}

fn greetings() -> impl Strategy<Value = Greeting> {
    let accept = (
        0..200u64,
        select(vec![None, None, Some(60), Some(250), Some(1 << 21)]),
        select(vec![None, Some(0), Some(7)]),
        select(vec![None, None, None, Some(1)]),
    )
        .prop_map(|(delay, maximum_packet_size, topic_alias_maximum, server_keep_alive)| {
            Greeting::Accept {
                delay,
                maximum_packet_size,
                topic_alias_maximum,
                server_keep_alive,
            }
        });
    prop_oneof![
        40 => accept,
        1 => select(vec![0x80, 0x87, 0x88, 0x95, 0x9F, 0x01, 0x05, 0x40]).prop_map(Greeting::Refuse),
        1 => (0..8u8).prop_map(Greeting::OldShape),
        1 => Just(Greeting::Publish),
        1 => Just(Greeting::Close),
        1 => Just(Greeting::Silence),
    ]
}

fn steps() -> impl Strategy<Value = Step> {
    let after = prop_oneof![4 => Just(0), 8 => 0..40u64, 1 => 0..2000u64];
    let held_back = prop_oneof![6 => Just(0), 4 => 0..60usize];
    (after, ops(), held_back).prop_map(|(after, op, held_back)| Step {
        after,
        op,
        held_back,
    })
}

fn ops() -> impl Strategy<Value = Op> {
    prop_oneof![
        60 => publishes(),
        8 => (0..8usize).prop_map(Op::Repeat),
        20 => vec((0..12u8, 0..=2u8), 1..5).prop_map(Op::Subscribe),
        6 => (0..12u8).prop_map(Op::Unsubscribe),
        8 => Just(Op::Ping),
        2 => (1..9u16).prop_map(Op::Release),
        2 => (1..9u16).prop_map(Op::Acknowledge),
        8 => (0..=2u8, small_or_large()).prop_map(|(qos, size)| Op::BrokerPublishes { qos, size }),
        2 => select(vec![0, 4, 0x80, 0x93, 0x99]).prop_map(Op::Disconnect),
        2 => any::<u8>().prop_map(Op::Illegal),
        1 => vec(any::<u8>(), 1..20).prop_map(Op::Garbage),
        2 => (0..40usize, 1..=255u8).prop_map(|(at, xor)| Op::Damage { at, xor }),
        1 => Just(Op::ClientLeaves),
        1 => Just(Op::BrokerLeaves),
        1 => Just(Op::BrokerDisconnects),
        1 => vec(any::<u8>(), 1..20).prop_map(Op::BrokerRaves),
        1 => Just(Op::Drain),
        1 => Just(Op::Stall),
        4 => any::<bool>().prop_map(Op::Reading),
        4 => (0..20usize, answers()).prop_map(|(ticket, answer)| Op::Stray { ticket, answer }),
    ]
}

fn publishes() -> impl Strategy<Value = Op> {
    (
        0..8u8,
        0..=2u8,
        any::<bool>(),
        option::weighted(0.4, 1..4u16),
        any::<bool>(),
        prop::bool::weighted(0.2),
        small_or_large(),
    )
        .prop_map(|(topic, qos, retain, alias, by_alias, properties, size)| Op::Publish {
            topic,
            qos,
            retain,
            alias,
            by_alias,
            properties,
            size,
        })
}

fn small_or_large() -> impl Strategy<Value = usize> {
    prop_oneof![8 => 0..8usize, 2 => 0..500usize]
}

fn answers() -> impl Strategy<Value = Answer> {
    // Around the deadline of a PUBLISH, and of a SUBSCRIBE.
    let delay = prop_oneof![6 => 0..40u64, 2 => 80..230u64, 1 => select(vec![99, 100, 199, 200])];
    (delay, says(), prop::bool::weighted(0.1)).prop_map(|(delay, says, twice)| Answer {
        delay,
        says,
        twice,
    })
}

fn says() -> impl Strategy<Value = Says> {
    let code = prop_oneof![3 => Just(None), 4 => (0x80..=0xA2u8).prop_map(Some), 1 => any::<u8>().prop_map(Some)];
    let action = prop_oneof![6 => 0..2u8, 1 => Just(2), 2 => Just(3)];
    let reason = prop_oneof![
        4 => Just(None),
        4 => select(vec![1, 40, 300]).prop_map(Some),
        1 => Just(Some(70_000)),
    ];
    prop_oneof![
        20 => Just(Says::Allow),
        12 => (code, action, reason).prop_map(|(code, action, reason)| Says::Deny {
            code,
            action,
            reason,
        }),
        5 => (0..14usize).prop_map(Says::Unavailable),
        1 => Just(Says::WrongKind),
        2 => Just(Says::Nothing),
    ]
}

fn replies() -> impl Strategy<Value = Reply> {
    let how = prop_oneof![
        40 => Just(How::Rightly),
        6 => Just(How::Refusing),
        2 => Just(How::Never),
        1 => Just(How::Wrongly),
        1 => Just(How::Closing),
    ];
    (prop_oneof![4 => Just(0), 6 => 0..120u64], how).prop_map(|(delay, how)| Reply { delay, how })
}
