//! Requests that providers' own packages sign, and requests of ours that they check: see `tests/sdk/README.md`.
//!
//! Where the packages are not installed, the tests say so and do not run, unless `TOWER_WEBHOOK_SDKS` is `require`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, HeaderValue, Request};
use serde::{Deserialize, Serialize};
use tower_webhook::provider::find;
use tower_webhook::testing::{SignedRequest, verifying_secret};
use tower_webhook::{Provider, RejectionReason, Secret, Secrets, Verifier};

/// What signs with other people's code.
#[derive(Clone, Copy, Debug)]
enum Packages {
    Npm,
    PyPi,
}

impl Packages {
    const ALL: [Self; 2] = [Self::Npm, Self::PyPi];

    fn folder() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk")
    }

    fn command(self) -> Command {
        let mut command = match self {
            Self::Npm => Command::new("node"),
            Self::PyPi => Command::new(Self::folder().join("venv/bin/python")),
        };
        let script = match self {
            Self::Npm => "sign.mjs",
            Self::PyPi => "sign.py",
        };
        command.arg(script).current_dir(Self::folder());
        command
    }

    /// Whether `setup.sh` has installed them.
    fn are_installed(self) -> bool {
        let stamp = match self {
            Self::Npm => "node_modules/.installed",
            Self::PyPi => "venv/.installed",
        };
        Self::folder().join(stamp).exists()
    }

    /// Those that can run.
    #[allow(clippy::print_stderr, reason = "a test that does not run says so")]
    fn installed() -> Vec<Self> {
        let required = std::env::var_os("TOWER_WEBHOOK_SDKS").is_some_and(|value| value == "require");
        let (installed, missing): (Vec<_>, Vec<_>) =
            Self::ALL.into_iter().partition(|packages| packages.are_installed());
        for packages in missing {
            assert!(!required, "{packages:?} packages are required: run tests/sdk/setup.sh");
            eprintln!("!!! SKIPPED: the {packages:?} packages are not installed; tests/sdk/setup.sh does it");
        }
        installed
    }

    /// The lines that a run prints.
    fn run<T: for<'de> Deserialize<'de>>(self, arguments: &[&str], input: String) -> Vec<T> {
        let mut child = self
            .command()
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{self:?}: {error}"));
        let mut stdin = child.stdin.take().unwrap();
        let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{self:?}: {}: {errors}", output.status);
        let lines = String::from_utf8(output.stdout).unwrap();
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// A request that a package has signed, or that it is to check.
#[derive(Clone, Deserialize, Serialize)]
struct Line {
    #[serde(default)]
    id: usize,
    #[serde(default)]
    sdk: String,
    preset: String,
    secret: String,
    headers: Vec<(String, String)>,
    body_b64: String,
    now: u64,
    url: Option<String>,
}

#[derive(Deserialize)]
struct Answer {
    id: usize,
    accepted: bool,
    #[serde(default)]
    sdk: String,
    unfit: Option<String>,
}

impl Line {
    /// The preset that receives it. None has Twilio's scheme as data.
    fn provider(&self) -> Option<Provider> {
        let name = match self.preset.as_str() {
            "twilio" => return None,
            "standard-webhooks" if self.secret.starts_with("whpk_") => "standard-webhooks-v1a",
            name => name,
        };
        let provider = find(name).unwrap_or_else(|| panic!("{name} is no preset")).provider();
        Some(match &self.url {
            Some(url) => provider.with_public_url(url).unwrap(),
            None => provider,
        })
    }

    /// The verifier of a receiver that has this secret.
    fn verifier(&self, provider: &Provider, secret: &str) -> Verifier {
        // Where the request names its key, that is the label.
        let named = self.headers.iter().find(|(name, _)| name == "x-pusher-key");
        let label = named.map_or("current", |(_, key)| key.as_str()).to_owned();
        let secrets = Secrets::labelled([(label, Secret::weak(secret).unwrap())]);
        provider.verifier(secrets.unwrap()).unwrap()
    }

    fn request(&self) -> Request<Vec<u8>> {
        let mut request = Request::post("/").body(STANDARD.decode(&self.body_b64).unwrap()).unwrap();
        for (name, value) in &self.headers {
            let name = HeaderName::try_from(name).unwrap();
            request.headers_mut().append(name, HeaderValue::from_str(value).unwrap());
        }
        request
    }

    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(self.now)
    }
}

/// With one bit of the body flipped; an empty body is one no longer.
fn with_other_body(mut request: Request<Vec<u8>>) -> Request<Vec<u8>> {
    let middle = request.body().len() / 2;
    match request.body_mut().get_mut(middle) {
        Some(byte) => *byte ^= 1,
        None => request.body_mut().push(b' '),
    }
    request
}

/// With another digit within the signature, which ends the header.
fn with_other_signature(mut request: Request<Vec<u8>>, provider: &Provider) -> Request<Vec<u8>> {
    let value = request.headers_mut().get_mut(provider.signature_header()).unwrap();
    let mut text = value.as_bytes().to_vec();
    let digit = text.len() - 8;
    text[digit] = if text[digit] == b'b' { b'c' } else { b'b' };
    *value = HeaderValue::from_bytes(&text).unwrap();
    request
}

/// The names without the versions: what counts as one package.
fn distinct<'a>(names: impl IntoIterator<Item = &'a String>) -> BTreeSet<&'a str> {
    names.into_iter().map(String::as_str).filter(|name| !name.is_empty() && *name != "python nacl").collect()
}

#[test]
fn what_packages_sign_is_accepted() {
    let installed = Packages::installed();
    let mut lines = Vec::<Line>::new();
    for packages in &installed {
        lines.extend(packages.run::<Line>(&["9", "receiver"], String::new()));
    }
    let (mut ran, mut skipped) = (BTreeMap::<_, usize>::new(), BTreeSet::new());
    for (index, line) in lines.iter().enumerate() {
        let Some(provider) = line.provider() else {
            skipped.insert(line.preset.as_str());
            continue;
        };
        let context = format!("{} request {index} for {}", line.sdk, line.preset);
        let verify = |request: Request<Vec<u8>>, secret: &str| {
            let proof = line.verifier(&provider, secret).verify_request(&request, line.now());
            proof.map(|_| ()).map_err(|rejection| rejection.reason())
        };
        assert_eq!(verify(line.request(), &line.secret), Ok(()), "{context}");
        let wrong = Err(RejectionReason::SignatureMismatch);
        assert_eq!(verify(with_other_body(line.request()), &line.secret), wrong, "{context}, other body");
        let other_signature = with_other_signature(line.request(), &provider);
        assert_eq!(verify(other_signature, &line.secret), wrong, "{context}, other signature");
        // A secret of the same form, which the same package has signed another request with.
        let same = |other: &&Line| other.sdk == line.sdk && other.preset == line.preset;
        let others = lines.iter().filter(same).map(|other| &other.secret);
        let other = others.into_iter().find(|secret| **secret != line.secret).unwrap();
        assert_eq!(verify(line.request(), other), wrong, "{context}, other secret");
        *ran.entry(&line.sdk).or_default() += 1;
    }
    assert!(skipped.iter().all(|preset| *preset == "twilio"), "{skipped:?}");
    if installed.len() == Packages::ALL.len() {
        let packages = distinct(ran.keys().copied());
        assert!(packages.len() >= 20, "{packages:?}");
        assert!(ran.values().all(|count| count % 9 == 0), "{ran:?}");
    }
}

/// A request that is signed here as the preset of `sample` does, for the packages to check.
fn signed_here(id: usize, sample: &Line, body: &str) -> Line {
    let provider = sample.provider().unwrap();
    // The public key of a sample is no key to sign with; any 32 bytes are.
    let signing = match sample.preset.as_str() {
        "discord" => "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        _ => &sample.secret,
    };
    let signing = Secret::weak(signing).unwrap();
    let mut signed = SignedRequest::new(&provider, &signing, body.to_owned()).at_unix(sample.now);
    for (name, value) in &sample.headers {
        if name == "x-pusher-key" {
            let value = HeaderValue::from_str(value).unwrap();
            signed = signed.with_header(HeaderName::from_static("x-pusher-key"), value);
        }
    }
    let request = signed.build();
    let headers = request.headers().iter();
    Line {
        id,
        secret: verifying_secret(&provider, &signing).unwrap().expose().to_owned(),
        headers: headers
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect(),
        body_b64: STANDARD.encode(body),
        ..sample.clone()
    }
}

#[test]
fn what_is_signed_here_is_accepted_by_packages() {
    // As JSON.stringify writes them, so that packages which write the body again can judge them too.
    const BODIES: [&str; 3] = [
        r#"{"id":"evt_1","type":"payment.completed"}"#,
        r#"{"id":"évènement","note":"😀 \\ / \n\u0000","amount":1.5}"#,
        r#"{"id":"evt_3","list":[1,2,{"deep":null}]}"#,
    ];
    let installed = Packages::installed();
    let mut samples = BTreeMap::new();
    for packages in &installed {
        for line in packages.run::<Line>(&["1", "sender"], String::new()) {
            // The packages know no other signature of Standard Webhooks than the symmetric one.
            if line.provider().is_some() && !line.secret.starts_with("whpk_") {
                samples.entry(line.preset.clone()).or_insert(line);
            }
        }
    }
    // An even line is as it was signed; the body of an odd one is another's.
    let mut lines = Vec::new();
    for (sample, body) in samples.values().flat_map(|sample| BODIES.map(|body| (sample, body))) {
        let signed = signed_here(lines.len(), sample, body);
        let other = BODIES[usize::from(body == BODIES[0])];
        let altered = Line { id: lines.len() + 1, body_b64: STANDARD.encode(other), ..signed.clone() };
        lines.extend([signed, altered]);
    }
    let input: String = lines.iter().map(|line| serde_json::to_string(line).unwrap() + "\n").collect();
    let (mut judged, mut sdks) = (BTreeSet::new(), BTreeSet::new());
    for packages in &installed {
        let answers: Vec<Answer> = packages.run(&["check"], input.clone());
        assert_eq!(answers.len(), lines.len());
        for (line, answer) in lines.iter().zip(answers) {
            assert_eq!(answer.id, line.id);
            if let Some(unfit) = answer.unfit {
                assert!(unfit.starts_with("no "), "{} cannot judge {}: {unfit}", answer.sdk, line.preset);
                continue;
            }
            assert_eq!(answer.accepted, line.id % 2 == 0, "{}: {} line {}", answer.sdk, line.preset, line.id);
            judged.insert(line.preset.as_str());
            sdks.insert(answer.sdk);
        }
    }
    let unjudged: Vec<_> = samples.keys().filter(|preset| !judged.contains(preset.as_str())).collect();
    assert!(unjudged.is_empty(), "nobody judged {unjudged:?}");
    if installed.len() == Packages::ALL.len() {
        assert!(sdks.len() >= 20, "{sdks:?}");
    }
}
