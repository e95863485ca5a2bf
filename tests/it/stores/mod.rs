//! Every store, beyond what the conformance suite asks: what holds after any sequence of operations.

mod model;
