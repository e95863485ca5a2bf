//! TLS: which authorities are trusted, and in what words it gives a connection up.

use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind};

use reqwest::Certificate;

use super::answer::plain;

/// Certificates of authorities that are trusted beside the system's, as texts of PEM.
#[derive(Clone, Default)]
pub(super) struct Roots(Vec<Vec<u8>>);

impl Roots {
    pub(super) fn add(&mut self, pem: &[u8]) {
        self.0.push(pem.to_owned());
    }

    /// The certificates, of which each text must have one: who names a file means what is in it.
    pub(super) fn read(&self) -> Result<Vec<Certificate>, &'static str> {
        let mut certificates = Vec::new();
        for pem in &self.0 {
            match Certificate::from_pem_bundle(pem) {
                Ok(some) if !some.is_empty() => certificates.extend(some),
                _ => return Err("what was given for root certificates holds none in PEM"),
            }
        }
        Ok(certificates)
    }
}

/// Without the texts: somebody may have given a key by mistake.
impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Roots({})", self.0.len())
    }
}

/// What TLS has against the other side, which another attempt would not change; `None` where something else failed.
pub(super) fn objection(error: &reqwest::Error) -> Option<String> {
    if !error.is_connect() {
        return None;
    }
    let mut cause = error.source();
    while let Some(error) = cause {
        let io = error.downcast_ref::<io::Error>();
        // The kind that TLS, of all that a connection is made of, gives its errors.
        if io.is_some_and(|error| error.kind() == ErrorKind::InvalidData) {
            return Some(plain(&error.to_string()));
        }
        // One that was made of another error passes over that as its source.
        cause = match io.and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}
