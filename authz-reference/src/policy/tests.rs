use std::collections::BTreeMap;

use proptest::{collection::vec, prelude::*, sample::select};

use super::*;
use crate::{
    access::{Access, RoleName, TopicTemplate},
    config::{ClientIds, PolicyConfig, RoleConfig},
    identity::{Principal, UserName},
    policy::rules::Prefix,
};

fn rules(policy: PolicyConfig, roles: &[(&str, Vec<Access>)]) -> Rules {
    let roles: BTreeMap<RoleName, RoleConfig> = roles
        .iter()
        .map(|(name, grants)| {
            let grants = grants.clone();
            (RoleName::new(name).unwrap(), RoleConfig { grants })
        })
        .collect();
    Rules::new(&policy, &roles)
}

fn user(name: &str, roles: &[&str], grants: Vec<Access>) -> Principal {
    Principal::User {
        name: UserName::new(name).unwrap(),
        superuser: name == "root",
        roles: roles
            .iter()
            .map(|name| RoleName::new(name).unwrap())
            .collect(),
        grants,
    }
}

/// `p`ublish, `s`ubscribe, `r`etain, and the highest QoS.
fn access(topic: &str, opens: &str) -> Access {
    Access {
        topic: TopicTemplate::new(topic).unwrap(),
        publish: opens.contains('p'),
        subscribe: opens.contains('s'),
        retain: opens.contains('r'),
        qos: opens.bytes().last().unwrap() - b'0',
    }
}

fn plain(who: &str) -> Permissions {
    let principal = match who {
        "anonymous" => Principal::Anonymous,
        name => user(name, &[], Vec::new()),
    };
    rules(PolicyConfig::default(), &[]).permissions(principal, "c1")
}

fn publication<'a>(topic: &'a str, response_topic: &'a str) -> Publication<'a> {
    Publication {
        topic,
        response_topic,
        qos: 2,
        retain: true,
        origin: Origin::Client,
    }
}

/// The rule, with `!` before it if it refused.
fn said(decided: Result<Grant, Refusal>) -> String {
    match decided {
        Ok(grant) => grant.rule().to_owned(),
        Err(refusal) => format!("!{}", refusal.rule()),
    }
}

fn subscribed(permissions: &Permissions, filter: &str, qos: u32) -> String {
    match permissions.subscribe(&Subscription { filter, qos }) {
        Ok(SubscribeGrant {
            grant,
            max_qos: Some(qos),
        }) => format!("{} {qos}", grant.rule()),
        Ok(SubscribeGrant { grant, .. }) => grant.rule().to_owned(),
        Err(refusal) => format!("!{}", refusal.rule()),
    }
}

#[test]
fn publishing() {
    #[rustfmt::skip]
    let cases = [
        // principal   topic            response topic   expected
        ("alice",      "alice/x",       "",              "own-prefix"),
        ("alice",      "alice/",        "",              "own-prefix"),
        ("alice",      "alice//x",      "",              "own-prefix"),
        ("alice",      "alice/$x",      "",              "own-prefix"),
        ("alice",      "alice",         "",              "!own-prefix"),
        ("alice",      "alice2/x",      "",              "!own-prefix"),
        ("alice",      "alic/x",        "",              "!own-prefix"),
        ("alice",      "Alice/x",       "",              "!own-prefix"),
        ("alice",      "/alice/x",      "",              "!own-prefix"),
        ("alice",      "bob/alice/x",   "",              "!own-prefix"),
        ("alice",      "{username}/x",  "",              "!own-prefix"),
        ("alice",      "anonymous/x",   "",              "!own-prefix"),
        ("alice",      "$SYS/alice",    "",              "!dollar-topic"),
        ("alice",      "$share/g/alice/x", "",           "!dollar-topic"),
        ("alice",      "alice/x",       "alice/answers", "own-prefix"),
        ("alice",      "alice/x",       "bob/door/open", "!response-topic"),
        ("alice",      "alice/x",       "alice",         "!response-topic"),
        ("alice",      "alice/x",       "$SYS/x",        "!response-topic"),
        ("alice",      "bob/x",         "bob/x",         "!own-prefix"),
        ("anonymous",  "anonymous/x",   "",              "own-prefix"),
        ("anonymous",  "alice/x",       "",              "!own-prefix"),
        ("root",       "bob/x",         "carol/x",       "superuser"),
        ("root",       "$SYS/x",        "",              "superuser"),
    ];
    for (who, topic, response_topic, expected) in cases {
        assert_eq!(
            said(plain(who).publish(&publication(topic, response_topic))),
            expected,
            "{who} publishes to {topic}, answers to {response_topic:?}"
        );
    }
}

#[test]
fn subscribing() {
    #[rustfmt::skip]
    let cases = [
        // principal   filter                expected
        ("alice",      "alice/#",            "own-prefix"),
        ("alice",      "alice/+/temp",       "own-prefix"),
        ("alice",      "alice/x",            "own-prefix"),
        ("alice",      "alice",              "own-prefix"),
        ("alice",      "alice2/#",           "!own-prefix"),
        ("alice",      "bob/#",              "!own-prefix"),
        ("alice",      "+/x",                "!own-prefix"),
        ("alice",      "+/#",                "!own-prefix"),
        ("alice",      "#",                  "!own-prefix"),
        ("alice",      "/alice/#",           "!own-prefix"),
        ("alice",      "$SYS/#",             "!dollar-topic"),
        ("alice",      "$share/g/alice/#",   "!dollar-topic"),
        ("alice",      "$queue/alice/#",     "!dollar-topic"),
        ("anonymous",  "anonymous/#",        "own-prefix"),
        ("anonymous",  "alice/#",            "!own-prefix"),
        ("root",       "#",                  "superuser"),
        ("root",       "$SYS/#",             "superuser"),
    ];
    for (who, filter, expected) in cases {
        assert_eq!(
            subscribed(&plain(who), filter, 2),
            expected,
            "{who} subscribes to {filter}"
        );
    }
}

/// Alice, with grants of her own and of two roles, one of which is nobody's.
fn granted() -> Permissions {
    let rules = rules(
        PolicyConfig::default(),
        &[
            (
                "ops",
                vec![
                    access("cmd/+/{username}", "pr1"),
                    access("news/#", "ps0"),
                    access("$SYS/broker/#", "s2"),
                ],
            ),
            ("admins", vec![access("#", "psr2")]),
        ],
    );
    let own = vec![
        access("news/#", "s1"),
        access("dev/{username}/{client_id}/#", "psr2"),
        access("half/a", "s2"),
        access("half/b", "s2"),
    ];
    rules.permissions(user("alice", &["nobody", "ops"], own), "c1")
}

#[test]
fn grants_for_publishing() {
    #[rustfmt::skip]
    let cases = [
        // topic          QoS  retain  expected
        ("cmd/x/alice",   1,   true,   "grant:role:ops"),
        ("cmd/x/alice",   2,   true,   "!grant-qos"),
        ("cmd/x/bob",     0,   false,  "!own-prefix"),
        ("news/a",        0,   false,  "grant:role:ops"), // alice's own is for subscribing
        ("news/a",        0,   true,   "!grant-retain"),
        ("news/a",        1,   false,  "!grant-qos"),
        ("news",          0,   false,  "grant:role:ops"),
        ("dev/alice/c1/x",      2,   true,   "grant:user"),
        ("dev/alice/c2/x",      2,   true,   "!own-prefix"),
        ("half/a",        0,   false,  "!own-prefix"),
        ("admin/x",       0,   false,  "!own-prefix"),    // not her role
        ("$SYS/broker/x", 0,   false,  "!dollar-topic"),  // for subscribing only
        ("alice/x",       2,   true,   "own-prefix"),
    ];
    for (topic, qos, retain, expected) in cases {
        let asked = Publication {
            qos,
            retain,
            ..publication(topic, "")
        };
        assert_eq!(
            said(granted().publish(&asked)),
            expected,
            "{topic} {qos} {retain}"
        );
    }
    let answering = |topic| said(granted().publish(&publication("alice/x", topic)));
    assert_eq!(answering("dev/alice/c1/answers"), "own-prefix");
    assert_eq!(answering("cmd/x/alice"), "own-prefix", "whatever its QoS");
    assert_eq!(answering("half/a"), "!response-topic");
}

#[test]
fn grants_for_subscribing() {
    #[rustfmt::skip]
    let cases = [
        // filter           QoS  expected
        ("news/#",          1,   "grant:user"),
        ("news/#",          2,   "grant:user 1"), // the higher one of the two
        ("news/#",          0,   "grant:user"),
        ("news/a/+",        2,   "grant:user 1"),
        ("dev/alice/c1/#",        2,   "grant:user"),
        ("dev/+/#",         0,   "!own-prefix"),
        ("half/a",          2,   "grant:user"),
        ("half/+",          0,   "!own-prefix"),  // no union of grants
        ("cmd/x/alice",     0,   "!own-prefix"),  // for publishing only
        ("$SYS/broker/#",   2,   "grant:role:ops"),
        ("$SYS/#",          0,   "!dollar-topic"),
        ("#",               0,   "!own-prefix"),
    ];
    for (filter, qos, expected) in cases {
        assert_eq!(
            subscribed(&granted(), filter, qos),
            expected,
            "{filter} {qos}"
        );
    }
}

#[test]
fn a_grant_of_everything_is_none_of_the_brokers_own() {
    let rules = rules(PolicyConfig::default(), &[]);
    let all = rules.permissions(user("alice", &[], vec![access("#", "psr2")]), "c1");
    assert_eq!(subscribed(&all, "#", 2), "grant:user");
    assert_eq!(subscribed(&all, "$SYS/#", 0), "!dollar-topic");
    assert_eq!(
        said(all.publish(&publication("$SYS/x", ""))),
        "!dollar-topic"
    );
}

#[test]
fn anonymous_clients_have_roles_of_the_configuration() {
    let policy = PolicyConfig {
        anonymous: true,
        anonymous_roles: vec![RoleName::new("public").unwrap()],
        ..PolicyConfig::default()
    };
    let rules = rules(policy, &[("public", vec![access("news/#", "s0")])]);
    let permissions = rules.permissions(Principal::Anonymous, "c1");
    assert_eq!(subscribed(&permissions, "news/#", 1), "grant:role:public 0");
    assert_eq!(subscribed(&permissions, "secret/#", 0), "!own-prefix");
}

#[test]
fn prefixes() {
    for good in [
        "{username}/#",
        "tenants/acme/{username}/#",
        "{username}/{client_id}/#",
        "/{username}/#",
        "{client_id}/#",
    ] {
        assert_eq!(Prefix::new(good).unwrap().as_str(), good);
    }
    for bad in [
        "",
        "{username}",
        "{username}/",
        "+/{username}/#",
        "#",
        "/#",
        "all/#",
        "$x/{username}/#",
        "x{username}/#",
    ] {
        assert!(Prefix::new(bad).is_err(), "{bad:?}");
    }
    assert_eq!(Prefix::default(), Prefix::new("{username}/#").unwrap());
}

#[test]
fn a_prefix_of_several_levels() {
    let policy = PolicyConfig {
        prefix: Prefix::new("t/{username}/{client_id}/#").unwrap(),
        ..PolicyConfig::default()
    };
    let rules = rules(policy, &[]);
    let alice = rules.permissions(user("alice", &[], Vec::new()), "c1");
    for (topic, expected) in [
        ("t/alice/c1/x", "own-prefix"),
        ("t/alice/c1", "!own-prefix"),
        ("t/alice/c2/x", "!own-prefix"),
        ("t/bob/c1/x", "!own-prefix"),
        ("alice/c1/x", "!own-prefix"),
    ] {
        assert_eq!(
            said(alice.publish(&publication(topic, ""))),
            expected,
            "{topic}"
        );
    }
    assert_eq!(subscribed(&alice, "t/alice/c1", 0), "own-prefix");
    assert_eq!(subscribed(&alice, "t/alice/+/#", 0), "!own-prefix");

    let admitted = |id| rules.broker_client_id(&user("alice", &[], Vec::new()), id);
    assert_eq!(admitted("c1"), Ok(Some("alice/c1".to_owned())));
    for id in ["a/b", "+", "#", "$SYS", ""] {
        assert_eq!(admitted(id), Err(Refusal::ClientIdNoLevel), "{id:?}");
    }
}

#[test]
fn client_ids() {
    let alice = user("alice", &[], Vec::new());
    let asked = |client_ids, id| {
        let policy = PolicyConfig {
            client_ids,
            ..PolicyConfig::default()
        };
        rules(policy, &[]).broker_client_id(&alice, id)
    };
    assert_eq!(
        asked(ClientIds::Namespaced, "c"),
        Ok(Some("alice/c".to_owned()))
    );
    assert_eq!(asked(ClientIds::Namespaced, ""), Err(Refusal::ClientId));
    assert_eq!(asked(ClientIds::Off, "c"), Ok(None));
    assert_eq!(asked(ClientIds::Bound, "alice"), Ok(None));
    assert_eq!(asked(ClientIds::Bound, "alice/c"), Ok(None));
    for id in ["", "c", "alice2", "bob/alice"] {
        assert_eq!(
            asked(ClientIds::Bound, id),
            Err(Refusal::ClientIdNotOwn),
            "{id:?}"
        );
    }
}

#[test]
fn a_denial_is_never_heard_as_a_failure() {
    for refusal in [Refusal::Retain, Refusal::Qos] {
        assert_eq!(refusal(Origin::Client).code(), ReasonCode::NotAuthorized);
        assert_ne!(refusal(Origin::Will).code(), ReasonCode::NotAuthorized);
    }
}

#[test]
fn the_revision_is_that_of_the_rules() {
    let revision =
        |roles: &[(&str, Vec<Access>)]| rules(PolicyConfig::default(), roles).revision().to_owned();
    assert_eq!(revision(&[]), revision(&[]));
    assert_ne!(revision(&[]), revision(&[("ops", Vec::new())]));
}

/// Section 4.7 of the MQTT standard, written down as naively as possible.
fn matches(filter: &str, topic: &str) -> bool {
    fn levels_match(filter: &[&str], topic: &[&str]) -> bool {
        match (filter, topic) {
            (["#"], _) | ([], []) => true,
            ([f, filter @ ..], [t, topic @ ..]) => {
                (*f == "+" || f == t) && levels_match(filter, topic)
            }
            _ => false,
        }
    }
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let filter: Vec<_> = filter.split('/').collect();
    let topic: Vec<_> = topic.split('/').collect();
    levels_match(&filter, &topic)
}

const LEVELS: &[&str] = &["alice", "alice2", "bob", "$SYS", "", "c1", "{username}"];

fn any_topic() -> impl Strategy<Value = String> {
    vec(select(LEVELS), 1..4)
        .prop_map(|levels| levels.join("/"))
        .prop_filter("there is no empty topic", |topic| !topic.is_empty())
}

fn any_filter() -> impl Strategy<Value = String> {
    let level = prop_oneof![3 => select(LEVELS), 1 => Just("+")];
    (vec(level, 0..4), any::<bool>())
        .prop_map(|(mut levels, open)| {
            levels.extend(open.then_some("#"));
            levels.join("/")
        })
        .prop_filter("there is no empty filter", |filter| !filter.is_empty())
}

fn any_access() -> impl Strategy<Value = Access> {
    let template = any_filter().prop_map(|filter| {
        let filter = filter.replace("c1", "{client_id}");
        TopicTemplate::new(&filter).unwrap()
    });
    (template, any::<[bool; 3]>(), 0..=2_u8).prop_map(
        |(topic, [publish, subscribe, retain], qos)| Access {
            topic,
            publish,
            subscribe,
            retain,
            qos,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Without grants nobody gets outside of their prefix, whatever the filter is made of.
    #[test]
    fn nobody_leaves_their_prefix(filter in any_filter(), topics in vec(any_topic(), 32)) {
        let alice = plain("alice");
        let outside = |topic: &str| !(topic == "alice" || topic.starts_with("alice/"));
        if alice.subscribe(&Subscription { filter: &filter, qos: 0 }).is_ok() {
            for topic in topics.iter().filter(|topic| matches(&filter, topic)) {
                prop_assert!(!outside(topic), "{} lets {} through", filter, topic);
            }
        }
        for topic in &topics {
            if alice.publish(&publication(topic, "")).is_ok() {
                prop_assert!(topic.starts_with("alice/"), "{}", topic);
            }
        }
    }

    /// With grants, what matches an allowed filter is below the prefix, or below one grant for subscribing.
    #[test]
    fn nobody_leaves_their_grants(
        grants in vec(any_access(), 0..4), filter in any_filter(), qos in 0..=2_u32,
        retain in any::<bool>(), topics in vec(any_topic(), 32),
    ) {
        let fill = |access: &Access| {
            let fill = |level| match level { "{username}" => "alice", "{client_id}" => "c1", level => level };
            access.topic.as_str().split('/').map(fill).collect::<Vec<_>>().join("/")
        };
        let policy = PolicyConfig { client_ids: ClientIds::Bound, ..PolicyConfig::default() };
        let alice = rules(policy, &[("r", grants.clone())])
            .permissions(user("alice", &["r"], Vec::new()), "c1");
        let below = |topic: &str, action: fn(&Access) -> bool| {
            matches("alice/#", topic)
                || grants.iter().any(|access| action(access) && matches(&fill(access), topic))
        };
        if let Ok(granted) = alice.subscribe(&Subscription { filter: &filter, qos }) {
            for topic in topics.iter().filter(|topic| matches(&filter, topic)) {
                prop_assert!(below(topic, |access| access.subscribe), "{} lets {} through", filter, topic);
            }
            prop_assert!(granted.max_qos.is_none_or(|max| max < qos));
        }
        for topic in &topics {
            let asked = Publication { qos, retain, ..publication(topic, "") };
            let lines = alice.explain_publish(&asked);
            let decided = alice.publish(&asked);
            prop_assert_eq!(decided.is_ok(), lines.iter().any(|line| line.says.is_yes()));
            if decided.is_ok() {
                prop_assert!(below(topic, |access| access.publish), "{}", topic);
            }
        }
        let asked = Subscription { filter: &filter, qos };
        let yes = alice.explain_subscribe(&asked).iter().any(|line| line.says.is_yes());
        prop_assert_eq!(alice.subscribe(&asked).is_ok(), yes);
    }
}

#[test]
fn a_client_id_that_anybody_may_choose_opens_nothing_by_itself() {
    for (client_ids, alone) in [
        (ClientIds::Namespaced, "!own-prefix"),
        (ClientIds::Off, "!own-prefix"),
        (ClientIds::Bound, "grant:user"),
    ] {
        let policy = PolicyConfig {
            client_ids,
            ..PolicyConfig::default()
        };
        let grants = vec![
            access("dev/{client_id}/#", "psr2"),
            access("both/{username}/{client_id}", "pr2"),
        ];
        let alice = rules(policy, &[]).permissions(user("alice", &[], grants), "bob-sensor");
        let publish = |topic| said(alice.publish(&publication(topic, "")));
        assert_eq!(publish("dev/bob-sensor/x"), alone);
        assert_eq!(publish("both/alice/bob-sensor"), "grant:user");
        assert_eq!(subscribed(&alice, "dev/bob-sensor/#", 1), alone);
    }
}
