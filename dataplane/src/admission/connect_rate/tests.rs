use std::net::{Ipv4Addr, Ipv6Addr};

use super::*;

const ONE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// The address of a number.
fn numbered(number: u32) -> IpAddr {
    Ipv4Addr::from(0x0A00_0000 + number).into()
}

/// How many of `count` get in.
fn admitted(rate: &ConnectRate, address: IpAddr, now: Instant, count: usize) -> usize {
    (0..count).filter(|_| rate.admit(address, now)).count()
}

#[test]
fn a_burst_gets_in_and_then_so_many_a_second() {
    let rate = ConnectRate::new(4, 10);
    let mut now = Instant::now();
    assert_eq!(admitted(&rate, ONE, now, 100), 10);
    now += Duration::from_millis(249);
    assert_eq!(admitted(&rate, ONE, now, 100), 0);
    now += Duration::from_millis(1);
    assert_eq!(admitted(&rate, ONE, now, 100), 1);
    now += Duration::from_secs(1);
    assert_eq!(admitted(&rate, ONE, now, 100), 4);
    // What nobody took is kept, up to a burst.
    now += Duration::from_secs(3600);
    assert_eq!(admitted(&rate, ONE, now, 100), 10);
}

#[test]
fn a_burst_may_be_one() {
    let rate = ConnectRate::new(1, 1);
    let now = Instant::now();
    assert_eq!(admitted(&rate, ONE, now, 3), 1);
    assert_eq!(admitted(&rate, ONE, now + Duration::from_secs(1), 3), 1);
}

#[test]
fn each_subscriber_has_a_rate_of_its_own() {
    let rate = ConnectRate::new(1, 2);
    let now = Instant::now();
    assert_eq!(admitted(&rate, ONE, now, 3), 2);
    let mapped = Ipv4Addr::new(192, 0, 2, 1).to_ipv6_mapped();
    assert!(!rate.admit(mapped.into(), now));
    assert!(rate.admit(numbered(1), now));
    let of_one_64 = |host| Ipv6Addr::new(0x2001, 0xDB8, 0, 1, 0, 0, 0, host).into();
    assert!(rate.admit(of_one_64(1), now));
    assert!(rate.admit(of_one_64(2), now));
    assert!(!rate.admit(of_one_64(3), now));
}

#[test]
fn who_has_not_come_lately_is_forgotten() {
    let rate = ConnectRate::new(1, 1);
    let mut now = Instant::now();
    for number in 0..100 * FIRST_SWEEP as u32 {
        now += Duration::from_millis(10);
        assert!(rate.admit(numbered(number), now));
        assert!(rate.full_at.lock().unwrap().own.len() <= FIRST_SWEEP);
    }
}

#[test]
fn a_crowd_of_addresses_is_bounded_and_keeps_nobody_out() {
    let rate = ConnectRate::new(1, 10);
    let mut now = Instant::now();
    let crowd = MAX_ADDRESSES as u32;
    for number in 0..crowd {
        assert_eq!(admitted(&rate, numbered(number), now, 10), 10);
    }
    // Who is known keeps the own bucket, those who are more share some, and all of them have an end.
    assert!(!rate.admit(numbered(0), now));
    let more = (0..4 * crowd).filter(|number| rate.admit(numbered(crowd + number), now));
    let more = more.count();
    assert!(more > 0 && more <= COMMON * 10, "{more}");
    assert_eq!(rate.full_at.lock().unwrap().own.len(), MAX_ADDRESSES);
    // The flood is over.
    now += Duration::from_secs(11);
    assert_eq!(admitted(&rate, numbered(5 * crowd), now, 20), 10);
    assert_eq!(rate.full_at.lock().unwrap().own.len(), 1);
}
