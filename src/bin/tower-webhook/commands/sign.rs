//! `sign`: the headers of a body, or a command that sends it.

use std::path::Path;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};
use reqwest::Url;
use serde_json::{Map, Value, json};
use tower_webhook::testing::SignedRequest;

use crate::args::Sign;
use crate::capture;
use crate::client::check_url;
use crate::exit::{Exit, Failure};
use crate::output::{Output, visible};
use crate::platform::Platform;
use crate::secret::Purpose;

pub(crate) fn run(args: &Sign, output: &Output) -> Result<Exit, Failure> {
    args.curl.as_ref().map_or(Ok(()), check_url)?;
    let platform = Platform::new(&args.provider, args.curl.as_ref().map(Url::as_str))?;
    if platform.sends_token() && args.curl.is_none() {
        return Err(Failure::usage(format!(
            "{} signs nothing: the value of its header is the secret itself, which is not printed. --curl prints a \
             command that takes it from {}",
            platform.name(),
            platform.preset.variable("WEBHOOK_SECRET")
        )));
    }
    let variable = if platform.sends_token() { Some(args.secret.variable(&platform)?) } else { None };
    args.curl.as_ref().map_or(Ok(()), |url| platform.check_transport(url))?;
    let given = args.headers.iter().map(|text| header(text)).collect::<Result<Vec<_>, _>>()?;
    let body = Bytes::from(capture::read(&args.data, output)?);
    let headers = if platform.sends_token() {
        let given = given.into_iter();
        HeaderMap::from_iter(given.chain([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]))
    } else {
        let secret = args.secret.signing(&platform, Purpose::Signing, output)?;
        let mut request = SignedRequest::new(&platform.provider, &secret, body.clone());
        for (name, value) in given {
            request = request.with_header(name, value);
        }
        // One that is given as a header is meant.
        if let Some(id) = platform.key_id()?.filter(|_| args.headers.is_empty()) {
            request = request.with_key_id(&id);
        }
        if let Some(seconds) = args.at {
            request = request.at_unix(seconds);
        }
        request.build().into_parts().0.headers
    };
    let headers: Vec<_> =
        headers.iter().map(|(name, value)| (name, String::from_utf8_lossy(value.as_bytes()))).collect();
    if let Some(url) = &args.curl {
        let command = curl(url, &platform, variable.as_deref(), &headers, &args.data, &body)?;
        output.result(|| json!({ "provider": platform.name(), "curl": command }), || command.clone())?;
        return Ok(Exit::Done);
    }
    let signature = headers.iter().filter(|(name, _)| **name != CONTENT_TYPE);
    output.result(
        || {
            let headers = signature.clone().map(|(name, value)| (name.to_string(), value.as_ref().into()));
            let headers: Map<String, Value> = headers.collect();
            json!({ "provider": platform.name(), "headers": headers })
        },
        || signature.clone().map(|(name, value)| format!("{name}: {}\n", visible(value))).collect(),
    )?;
    Ok(Exit::Done)
}

fn header(text: &str) -> Result<(HeaderName, HeaderValue), Failure> {
    let parsed = text.split_once(':').and_then(|(name, value)| {
        Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(value.trim()).ok()?))
    });
    parsed.ok_or_else(|| Failure::usage("--header: expected `name: value`"))
}

/// A command for a POSIX shell. Bodies that are no text have to be in a file.
fn curl<V: AsRef<str>>(
    url: &Url,
    platform: &Platform,
    variable: Option<&str>,
    headers: &[(&HeaderName, V)],
    data: &Path,
    body: &[u8],
) -> Result<String, Failure> {
    let mut command = String::new();
    if let Some(variable) = variable {
        // What the shell hands to curl as an argument is in the list of processes. Its own `printf` is none.
        let header = platform.provider.signature_header();
        command.push_str(&format!(
            "printf '{header}: %s\\n' \"${variable}\" | curl -H @- -i {}",
            quoted(url.as_str())
        ));
    } else {
        command.push_str(&format!("curl -i {}", quoted(url.as_str())));
    }
    for (name, value) in headers {
        command.push_str(&format!(" -H {}", quoted(&format!("{name}: {}", value.as_ref()))));
    }
    if !capture::is_stdin(data) {
        let path = data.to_str().ok_or_else(|| Failure::input("the name of the file is no text"))?;
        command.push_str(&format!(" --data-binary {}", quoted(&format!("@{path}"))));
        return Ok(command);
    }
    match std::str::from_utf8(body) {
        // The text of control characters would steer the terminal that it is printed on.
        Ok(text) if !text.contains(|c: char| c.is_control() && c != '\n' && c != '\t') => {
            command.push_str(&format!(" --data-raw {}", quoted(text)));
            Ok(command)
        }
        _ => Err(Failure::input(
            "the body cannot stand on a command line: put it into a file, and give --data FILE",
        )),
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_takes_quotes_for_what_they_are() {
        assert_eq!(quoted("it's $HOME `x`"), r"'it'\''s $HOME `x`'");
    }
}
