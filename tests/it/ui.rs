//! Programs that must not compile, and what the compiler says about them.

pub(crate) fn fails_to_compile(_pattern: &str) {}
