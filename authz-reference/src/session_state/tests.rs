use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{
    access::{Access, RoleName, TopicTemplate},
    identity::UserName,
};

const S1: Binding<'_> = Binding {
    session_id: "s1",
    client_id: "c1",
};
const DAY: Duration = Duration::from_secs(86_400);

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123)
}

fn keys(secret: u8) -> Keys {
    Keys::sealing_with(&[secret; 32]).unwrap()
}

fn sealer() -> Sealer {
    Sealer::new(keys(7), DAY)
}

fn user(name: &str, superuser: bool, roles: Vec<RoleName>, grants: Vec<Access>) -> Claims {
    Claims {
        principal: Principal::User {
            name: UserName::new(name).unwrap(),
            superuser,
            roles,
            grants,
        },
        stored: Some(stored("file", 1)),
        oracle: false,
        ends: None,
    }
}

fn stored(source: &str, credential: u64) -> Stored {
    Stored {
        source: source.into(),
        credential: HashId(credential),
    }
}

fn alice() -> Claims {
    user("alice", false, Vec::new(), Vec::new())
}

fn sealed(claims: &Claims) -> Bytes {
    sealer().seal(claims, S1, now()).unwrap()
}

fn opens(state: &[u8], binding: Binding<'_>) -> Result<Opened, InvalidState> {
    sealer().open(state, binding, now())
}

const FOREIGN: Result<Opened, InvalidState> = Err(InvalidState::Foreign);

#[test]
fn every_cut_and_every_flipped_bit_is_noticed() {
    let state = sealed(&alice());
    for length in 0..state.len() {
        assert_eq!(opens(&state[..length], S1), FOREIGN, "cut to {length}");
    }
    for bit in 0..state.len() * 8 {
        let mut altered = state.to_vec();
        altered[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(opens(&altered, S1), FOREIGN, "bit {bit} flipped");
    }
}

#[test]
fn no_age_but_the_permitted_one() {
    let state = sealed(&alice());
    let at = |time| sealer().open(&state, S1, time).map(|_| ());
    let millisecond = Duration::from_millis(1);
    assert_eq!(at(now() + DAY), Ok(()));
    assert_eq!(at(now() + DAY + millisecond), Err(InvalidState::Expired));
    assert_eq!(at(now() - CLOCKS_APART), Ok(()), "clocks may differ");
    assert_eq!(
        at(now() - CLOCKS_APART - millisecond),
        Err(InvalidState::Foreign)
    );
}

#[test]
fn ends_with_the_credentials() {
    let state = sealed(&Claims {
        ends: Some(now() + DAY / 2),
        ..alice()
    });
    let at = |time| sealer().open(&state, S1, time).map(|_| ());
    assert_eq!(at(now() + DAY / 2 - Duration::from_millis(1)), Ok(()));
    assert_eq!(at(now() + DAY / 2), Err(InvalidState::Expired));
}

#[test]
fn ends_before_it_is_too_old() {
    for number in 0..100 {
        let binding = Binding {
            session_id: &number.to_string(),
            ..S1
        };
        let state = sealer().seal(&alice(), binding, now()).unwrap();
        let end = sealer().end(&state, now()).unwrap();
        assert!(end <= now() + DAY && end >= now() + DAY / 10 * 9);
    }
}

#[test]
fn what_is_too_large_is_not_sealed() {
    let grant = |number: usize| Access {
        topic: TopicTemplate::new(&format!("some/topic/{number}/#")).unwrap(),
        publish: true,
        subscribe: true,
        retain: true,
        qos: 2,
    };
    for count in [100, 300] {
        let claims = user("alice", false, Vec::new(), (0..count).map(grant).collect());
        let error = sealer().seal(&claims, S1, now()).unwrap_err();
        assert!(error.bytes > MAX_STATE_BYTES);
        assert!(error.to_string().contains("roles"), "{error}");
    }
}

#[test]
fn a_rotated_key_opens_what_it_sealed() {
    let state = sealed(&alice());
    let rotated = |keys: Keys| Sealer::new(keys, DAY).open(&state, S1, now());
    let ring = keys(8).opening_with(&[7; 32]).unwrap();
    assert_eq!(rotated(ring).map(|opened| opened.claims), Ok(alice()));
    assert_eq!(rotated(keys(8)), FOREIGN);
    assert_eq!(rotated(Keys::random().unwrap()), FOREIGN);
    let ring = Sealer::new(keys(8).opening_with(&[7; 32]).unwrap(), DAY);
    let new = ring.seal(&alice(), S1, now()).unwrap();
    assert_eq!(opens(&new, S1), FOREIGN, "the first key seals");
}

#[test]
fn the_texts_under_the_seal_do_not_run_together() {
    let state = sealed(&alice());
    for (session_id, client_id) in [("s1c", "1"), ("s", "1c1"), ("s1c1", ""), ("", "s1c1")] {
        let binding = Binding {
            session_id,
            client_id,
        };
        assert_eq!(opens(&state, binding), FOREIGN, "{binding:?}");
    }
    let (sealed, seal) = state.split_at(state.len() - SEAL_BYTES);
    let longer = [sealed, b"s", seal].concat();
    let binding = Binding {
        session_id: "1",
        ..S1
    };
    assert_eq!(opens(&longer, binding), FOREIGN);
}

#[test]
fn a_future_layout_is_not_misread() {
    let keys = keys(7);
    let key = keys.sealing();
    let reseal = |sealed: &[u8]| [sealed, &key.seal(sealed, S1)].concat();
    let state = sealed(&alice());
    let sealed = &state[..state.len() - SEAL_BYTES];
    assert!(opens(&reseal(sealed), S1).is_ok());

    let flags = HEADER_BYTES + 8;
    for (index, value) in [
        (0, 1),
        (0, 2),
        (0, 4),
        (flags, 16),
        (flags, 0b011),
        (flags, 0b010),
    ] {
        let mut other = sealed.to_vec();
        other[index] = value;
        assert_eq!(opens(&reseal(&other), S1), FOREIGN, "{index} is {value}");
    }
    assert_eq!(
        opens(&reseal(&[sealed, &[0]].concat()), S1),
        FOREIGN,
        "more"
    );
    for length in 0..sealed.len() {
        assert_eq!(opens(&reseal(&sealed[..length]), S1), FOREIGN, "{length}");
    }
}

#[test]
fn a_short_secret_is_refused() {
    let short = KeyError::TooShort(31).to_string();
    assert_eq!(Keys::sealing_with(&[7; 31]).unwrap_err().to_string(), short);
    assert_eq!(
        keys(7).opening_with(&[7; 31]).unwrap_err().to_string(),
        short
    );
}

fn any_claims() -> impl Strategy<Value = Claims> {
    let role = "[a-z]{1,12}".prop_map(|name| RoleName::new(&name).unwrap());
    let topic = "[a-c+]{1}(/[a-c]{0,4}){0,3}(/#)?"
        .prop_filter_map("no filter", |text| TopicTemplate::new(&text).ok());
    let grant = (topic, any::<[bool; 3]>(), 0..=2_u8).prop_map(
        |(topic, [publish, subscribe, retain], qos)| Access {
            topic,
            publish,
            subscribe,
            retain,
            qos,
        },
    );
    let user = (
        "[^\\$/+#\\p{C}\\s]{1,24}",
        any::<bool>(),
        vec(role, 0..6),
        vec(grant, 0..12),
    )
        .prop_filter_map("no user name", |(name, superuser, roles, grants)| {
            let name = UserName::new(&name).ok()?;
            Some(Principal::User {
                name,
                superuser,
                roles,
                grants,
            })
        });
    let principal = prop_oneof![1 => Just(Principal::Anonymous), 9 => user];
    let store = ("[a-z]{1,12}", any::<u64>()).prop_map(|(name, id)| stored(&name, id));
    let store = prop::option::of(store);
    let ends = prop::option::of(
        (1_u64..1 << 40).prop_map(|millis| now() + DAY + Duration::from_millis(millis)),
    );
    (principal, store, any::<bool>(), ends).prop_map(|(principal, stored, oracle, ends)| Claims {
        principal,
        stored,
        oracle,
        ends,
    })
}

proptest! {
    #[test]
    fn opens_what_it_sealed(claims in any_claims(), session_id in ".{1,40}", client_id in ".{0,40}") {
        let binding = Binding { session_id: &session_id, client_id: &client_id };
        let state = sealer().seal(&claims, binding, now()).unwrap();
        prop_assert!(state.len() <= MAX_STATE_BYTES);
        let opened = sealer().open(&state, binding, now() + DAY / 2).unwrap();
        prop_assert_eq!(opened, Opened { claims, sealed_at: now() });
    }

    #[test]
    fn opens_nothing_else(
        claims in any_claims(), session_id in "[a-c]{1,4}", client_id in "[a-c]{0,4}",
        other_session in "[a-c]{1,4}", other_client in "[a-c]{0,4}",
        index in any::<prop::sample::Index>(), flip in 1_u8.., cut in any::<prop::sample::Index>(),
    ) {
        let binding = Binding { session_id: &session_id, client_id: &client_id };
        let state = sealer().seal(&claims, binding, now()).unwrap();
        let other = Binding { session_id: &other_session, client_id: &other_client };
        prop_assert_eq!(opens(&state, other).is_ok(), other == binding);
        prop_assert_eq!(opens(&state[..cut.index(state.len())], binding), FOREIGN);
        let mut altered = state.to_vec();
        *index.get_mut(&mut altered) ^= flip;
        prop_assert_eq!(opens(&altered, binding), FOREIGN);
        let foreign = Sealer::new(keys(8), DAY).open(&state, binding, now());
        prop_assert_eq!(foreign, FOREIGN);
    }

    #[test]
    fn noise_does_not_open(state in vec(any::<u8>(), 0..1_100)) {
        prop_assert_eq!(opens(&state, S1), FOREIGN);
    }

    #[test]
    fn noise_is_read_without_a_panic(content in vec(any::<u8>(), 0..200)) {
        let _ = layout::read(&content);
    }
}
