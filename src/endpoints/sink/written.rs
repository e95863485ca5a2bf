//! A secret in a file that a person or a program has written. The library reads its own directory by it, and the program
//! `tower-webhook` whatever file it is given.

/// The secret in the text of a file: without the byte order mark that some editors and shells begin a file with, and
/// without the line ends that they end it with. Neither was meant, and a secret can end with no line end.
pub(crate) fn secret_in(text: &str) -> &str {
    text.trim_start_matches('\u{feff}').trim_end_matches(['\r', '\n'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_typed_is_left_out() {
        for text in ["s3 cret", "\u{feff}s3 cret", "s3 cret\n", "s3 cret\r\n", "\u{feff}s3 cret\r\n\n"] {
            assert_eq!(secret_in(text), "s3 cret", "{text:?}");
        }
        for text in ["", "\n", "\u{feff}", "\u{feff}\r\n"] {
            assert_eq!(secret_in(text), "", "{text:?}");
        }
    }

    #[test]
    fn what_could_have_been_is_not() {
        for text in [" s3", "s3 ", "s3\t", "s\u{feff}3", "s3\u{feff}", "\ns3", "s\n3", " \u{feff}s3"] {
            assert_eq!(secret_in(text), text, "{text:?}");
        }
        assert_eq!(secret_in("s3 \n"), "s3 ", "its user is told of the blank");
    }
}
