//! RFC 6901 pointers through objects.

use crate::error::ConfigError;

/// The member names that `path` goes through.
pub(crate) fn parse(path: &str) -> Result<Vec<String>, ConfigError> {
    let invalid = |problem| ConfigError::InvalidPath { path: path.to_owned(), problem };
    let tokens = path.strip_prefix('/').ok_or_else(|| invalid("expected a pointer such as `/data/id`"))?;
    tokens
        .split('/')
        .map(|token| unescape(token).ok_or_else(|| invalid("`~` is followed by `0` or `1`")))
        .collect()
}

fn unescape(token: &str) -> Option<String> {
    let mut pieces = token.split('~');
    let mut name = pieces.next()?.to_owned();
    for piece in pieces {
        let (escaped, rest) = match piece.as_bytes().first()? {
            b'0' => ('~', &piece[1..]),
            b'1' => ('/', &piece[1..]),
            _ => return None,
        };
        name.push(escaped);
        name.push_str(rest);
    }
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_unescaped() {
        assert_eq!(parse("/id").unwrap(), ["id"]);
        assert_eq!(parse("/data/object").unwrap(), ["data", "object"]);
        assert_eq!(parse("/a~1b/m~0n/~01").unwrap(), ["a/b", "m~n", "~1"]);
        assert_eq!(parse("/").unwrap(), [""]);
    }

    #[test]
    fn what_is_no_pointer_is_refused() {
        for path in ["", "id", "data/id", "/a~", "/a~2", "/~~"] {
            assert!(parse(path).is_err(), "{path}");
        }
    }
}
