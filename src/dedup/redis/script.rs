//! One transition as a script: sent by its digest, and whole where the server does not know it yet.

use std::sync::OnceLock;

use redis::aio::ConnectionLike;
use redis::{Cmd, ErrorKind, FromRedisValue, RedisError, ServerErrorKind, ToRedisArgs};
use sha1::{Digest as _, Sha1};

use crate::dedup::StoreError;

/// Puts what all transitions share in front of one.
macro_rules! transition {
    ($file:literal) => {
        Script::new(concat!(include_str!("mark.lua"), include_str!($file)))
    };
}

pub(super) static CLAIM: Script = transition!("claim.lua");
pub(super) static COMPLETE: Script = transition!("complete.lua");
pub(super) static RELEASE: Script = transition!("release.lua");
pub(super) static FORGET: Script = transition!("forget.lua");

/// The number of keys, a fence and a duration, in digits.
const MAX_ARGUMENTS: usize = 1 + 16 + 20;

/// A script that works on one key.
pub(super) struct Script {
    source: &'static str,
    digest: OnceLock<String>,
}

impl Script {
    const fn new(source: &'static str) -> Self {
        Self { source, digest: OnceLock::new() }
    }

    /// Runs it: one round trip. A server that was started, flushed or promoted since then has never seen the script;
    /// that costs a second one, once.
    ///
    /// Not by `SCRIPT LOAD`: in a cluster that goes to nodes of its own choice, while both of these go to the key's.
    pub(super) async fn run<C, T>(
        &self,
        connection: &C,
        key: &str,
        arguments: impl ToRedisArgs,
    ) -> Result<T, StoreError>
    where
        C: ConnectionLike + Clone,
        T: FromRedisValue,
    {
        // A connection is a handle: the clone speaks over the same socket.
        let mut connection = connection.clone();
        let known = self.command("EVALSHA", self.digest(), key, &arguments);
        let answer = match known.query_async(&mut connection).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                self.command("EVAL", self.source, key, &arguments).query_async(&mut connection).await
            }
            answer => answer,
        };
        answer.map_err(failed)
    }

    fn digest(&self) -> &str {
        self.digest.get_or_init(|| const_hex::encode(Sha1::digest(self.source)))
    }

    fn command(&self, name: &str, script: &str, key: &str, arguments: &impl ToRedisArgs) -> Cmd {
        let mut command = Cmd::with_capacity(6, name.len() + script.len() + key.len() + MAX_ARGUMENTS);
        command.arg(name).arg(script).arg(1).arg(key).arg(arguments);
        command
    }
}

/// What a caller may know of an error. Its text is the server's or the system's; a URL is in neither.
pub(super) fn failed(error: RedisError) -> StoreError {
    match error.code() {
        // The first is the scripts' own word, the second the server's for a list or a hash.
        Some("CORRUPT" | "WRONGTYPE") => StoreError::corrupt(error),
        _ if error.is_timeout() => StoreError::timeout(),
        _ => StoreError::unavailable(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_apart() {
        let server = |code: &'static str| {
            let text = format!("-{code} in words\r\n");
            redis::parse_redis_value(text.as_bytes()).unwrap().extract_error().unwrap_err()
        };
        for code in ["CORRUPT", "WRONGTYPE"] {
            assert!(failed(server(code)).is_corrupt(), "{code}");
        }
        for code in ["ERR", "OOM", "LOADING", "READONLY", "MISCONF", "NOSCRIPT", "CLUSTERDOWN", "NOAUTH"] {
            let error = failed(server(code));
            assert!(error.is_unavailable(), "{code}");
            assert!(std::error::Error::source(&error).unwrap().to_string().contains("in words"), "{code}");
        }
        let io = |kind: std::io::ErrorKind| failed(std::io::Error::from(kind).into());
        assert!(io(std::io::ErrorKind::TimedOut).is_timeout());
        assert!(io(std::io::ErrorKind::ConnectionRefused).is_unavailable());
        let strange = redis::from_redis_value::<(u64, u64)>(redis::Value::Okay).unwrap_err();
        assert!(failed(strange.into()).is_unavailable());
    }

    #[test]
    fn every_script_is_its_own() {
        let digests = [&CLAIM, &COMPLETE, &RELEASE, &FORGET].map(Script::digest);
        for (index, digest) in digests.iter().enumerate() {
            assert_eq!((digest.len(), digests[..index].contains(digest)), (40, false));
        }
    }
}
