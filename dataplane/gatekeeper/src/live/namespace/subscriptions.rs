//! The filters of one connection, and in which form each stands at the broker.
//!
//! Filters are kept as keyed fingerprints: 64 bits that nobody outside can aim at, instead of up to
//! 65,535 bytes.

#[cfg(test)]
mod tests;

use std::{
    collections::{
        HashMap,
        hash_map::{Entry, RandomState},
    },
    hash::BuildHasher,
    num::NonZeroU16,
};

use bytestring::ByteString;

use crate::reason::ReasonCode;

/// Where a filter of the client stands at the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Form {
    /// Below the mount.
    Below,
    /// Where the client sees it.
    Plain,
}

impl Form {
    pub(super) const BELOW: &'static [Self] = &[Self::Below];
    pub(super) const PLAIN: &'static [Self] = &[Self::Plain];
    pub(super) const BOTH: &'static [Self] = &[Self::Below, Self::Plain];
}

/// The fingerprint of a filter.
type Filter = u64;

#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    hasher: RandomState,
    /// What the broker has, or may have by now, and the SUBSCRIBE that said so last.
    known: HashMap<(Filter, Form), Step>,
    /// How many of them are plain.
    plain: usize,
    joining: HashMap<NonZeroU16, Joining>,
    leaving: HashMap<NonZeroU16, Leaving>,
    step: Step,
}

/// Numbers SUBSCRIBE and UNSUBSCRIBE packets in the order in which they leave.
type Step = u64;

/// A SUBSCRIBE at the broker.
#[derive(Debug)]
struct Joining {
    step: Step,
    /// Each filter in its form, and whether it was new.
    filters: Vec<(Filter, Form, bool)>,
}

/// An UNSUBSCRIBE at the broker.
#[derive(Debug)]
struct Leaving {
    step: Step,
    filters: Vec<(Filter, &'static [Form])>,
}

impl Subscriptions {
    fn knows(&self, filter: &str, form: Form) -> bool {
        self.known.contains_key(&(self.fingerprint(filter), form))
    }

    /// Whether any stands where the client sees it.
    pub(super) fn has_plain(&self) -> bool {
        self.plain > 0
    }

    /// The forms in which a filter is known; both if it is not known at all.
    pub(super) fn forms(&self, filter: &str) -> &'static [Form] {
        match (
            self.knows(filter, Form::Below),
            self.knows(filter, Form::Plain),
        ) {
            (true, false) => Form::BELOW,
            (false, true) => Form::PLAIN,
            (true, true) | (false, false) => Form::BOTH,
        }
    }

    /// A SUBSCRIBE is about to leave with these filters.
    pub(super) fn join<'a>(
        &mut self,
        id: NonZeroU16,
        filters: impl Iterator<Item = (&'a ByteString, Form)>,
    ) {
        self.step += 1;
        let step = self.step;
        let filters = filters
            .map(|(filter, form)| {
                let filter = self.fingerprint(filter);
                let before = self.known.insert((filter, form), step);
                if before.is_none() {
                    self.plain += usize::from(form == Form::Plain);
                }
                (filter, form, before.is_none())
            })
            .collect();
        self.joining.insert(id, Joining { step, filters });
    }

    /// The broker has answered it. What it refused is forgotten, unless it was there before.
    pub(super) fn joined(&mut self, id: NonZeroU16, codes: &[u8]) {
        let Some(Joining { step, filters }) = self.joining.remove(&id) else {
            return;
        };
        for ((filter, form, is_new), code) in filters.into_iter().zip(codes) {
            if ReasonCode::new(*code).is_refusal() {
                if is_new {
                    self.forget(filter, form, |known| known == step);
                }
            } else if let Entry::Vacant(vacant) = self.known.entry((filter, form)) {
                // The same filter once more in one packet, refused there.
                vacant.insert(step);
                self.plain += usize::from(form == Form::Plain);
            }
        }
    }

    /// An UNSUBSCRIBE is about to leave with each of these filters in these forms.
    pub(super) fn leave<'a>(
        &mut self,
        id: NonZeroU16,
        filters: impl IntoIterator<Item = (&'a ByteString, &'static [Form])>,
    ) {
        self.step += 1;
        let filters = filters
            .into_iter()
            .map(|(filter, forms)| (self.fingerprint(filter), forms))
            .collect();
        let step = self.step;
        self.leaving.insert(id, Leaving { step, filters });
    }

    /// The broker has answered one, with a code for each form of each filter; there are none on
    /// MQTT 3.x. Yields one code per filter of the client's packet.
    pub(super) fn left(&mut self, id: NonZeroU16, codes: Option<&[u8]>) -> Vec<u8> {
        let Some(Leaving { step, filters }) = self.leaving.remove(&id) else {
            return Vec::new();
        };
        let mut rest = codes.unwrap_or_default();
        let mut merged = Vec::with_capacity(filters.len());
        for (filter, forms) in filters {
            let (own, others) = rest.split_at_checked(forms.len()).unwrap_or_default();
            rest = others;
            for (index, form) in forms.iter().enumerate() {
                let code = own.get(index).copied().map(ReasonCode::new);
                if !code.is_some_and(ReasonCode::is_refusal) {
                    // What was subscribed to again in the meantime stays.
                    self.forget(filter, *form, |known| known < step);
                }
            }
            merged.extend(merge(own));
        }
        merged
    }

    fn forget(&mut self, filter: Filter, form: Form, is_meant: impl FnOnce(Step) -> bool) {
        if self
            .known
            .get(&(filter, form))
            .copied()
            .is_some_and(is_meant)
        {
            self.known.remove(&(filter, form));
            self.plain -= usize::from(form == Form::Plain);
        }
    }

    fn fingerprint(&self, filter: &str) -> Filter {
        self.hasher.hash_one(filter)
    }
}

/// One code for a filter that was left in several forms: it was there in one of them, or the broker
/// refused, or it was never there (MQTT 5.0 table 3-9). `None` of none.
fn merge(codes: &[u8]) -> Option<u8> {
    let success = ReasonCode::SUCCESS.get();
    let absent = ReasonCode::NO_SUBSCRIPTION_EXISTED.get();
    let refusal = codes
        .iter()
        .find(|code| ReasonCode::new(**code).is_refusal());
    codes
        .iter()
        .find(|code| **code == success)
        .or(refusal)
        .copied()
        .or((!codes.is_empty()).then_some(absent))
}
