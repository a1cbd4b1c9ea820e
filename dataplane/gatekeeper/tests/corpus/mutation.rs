//! Inputs that are made from others.

/// Bytes and strings that mean something in MQTT: types, properties, wildcards, lengths.
const TOKENS: &[&[u8]] = &[
    b"\0\x04MQTT\x04\x02\0\x3C",
    b"\0\x04MQTT\x05\x02\0\x3C\0",
    b"\0\x06MQIsdp\x03\x02\0\x3C",
    b"\x30\x05\0\x01a",
    b"\xC0\0",
    b"\xE0\0",
    b"\0\x01#",
    b"\0\x01+",
    b"$share/g/",
    b"$SYS/",
    b"\x23\0\x01",
    b"\x26\0\x01k\0\x01v",
    b"\x0B\x01",
    b"\x02\0\0\0\x01",
    b"\x27\0\0\0\x20",
    b"\xFF\xFF\xFF\x7F",
    b"\x80\x80\x80\x01",
    b"\xEF\xBB\xBF",
    b"\xED\xA0\x80",
    b"\xC0\x80",
    b"\0",
    b"\x80",
    b"\xFF",
];

/// No input grows beyond it.
const LONGEST: usize = 2048;

/// Chance from a seed (SplitMix64).
pub(crate) struct Mutator(u64);

impl Mutator {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).unwrap_or_default()
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// One of the inputs with a few changes.
    pub(crate) fn mutated(&mut self, inputs: &[&[u8]]) -> Vec<u8> {
        let mut input = self.pick(inputs).to_vec();
        for _ in 0..=self.below(6) {
            self.change(&mut input, inputs);
        }
        input.truncate(LONGEST);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>, inputs: &[&[u8]]) {
        let len = input.len();
        let at = self.below(len);
        let until = (at + 1 + self.below(8)).min(len);
        let byte = self.next().to_le_bytes()[0];
        match self.below(9) {
            0 => input.insert(at, byte),
            1 => {
                let token = *self.pick(TOKENS);
                input.splice(at..at, token.iter().copied());
            }
            // The head of one and the tail of another.
            2 => {
                let other = *self.pick(inputs);
                let from = self.below(other.len());
                input.splice(at.., other[from..].iter().copied());
            }
            3 => {
                let other = *self.pick(inputs);
                input.extend_from_slice(other);
            }
            _ if len == 0 => {}
            4 => input[at] ^= 1 << (byte & 7),
            5 => input[at] = byte,
            6 => input[at] = input[at].wrapping_add(if byte & 1 == 0 { 1 } else { 0xFF }),
            7 => drop(input.drain(at..until)),
            _ => {
                let part = input[at..until].to_vec();
                input.splice(at..at, part);
            }
        }
    }
}
