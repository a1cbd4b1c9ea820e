//! What types make of values, and what errors say.
