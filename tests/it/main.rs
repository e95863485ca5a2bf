//! The one integration binary: the service through `oneshot`, stores, and servers on loopback.

mod support;

mod pipeline;
