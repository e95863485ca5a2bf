//! An HTTP server in the place of a provider's API: it answers what the test says, and keeps what it was asked.

use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Value, json};
use tower_webhook::Secret;
use tower_webhook::endpoints::{
    CasPay, CasPaySettings, CasaPay, ClientOptions, Diddo, DiddoSettings, EndpointError,
};
use wiremock::{Mock, MockServer, Request, ResponseTemplate, matchers};

/// What no client may show: the API key.
pub(super) const KEY: &str = "sk_test_key-that-nobody-sees";

/// Nor a signing secret.
pub(super) const WHSEC: &str = "whsec_secret-that-nobody-sees";

pub(super) const URL: &str = "https://shop.example/hooks";

/// An id of Diddo, whose ids are UUIDs.
pub(super) const UUID: &str = "67e55044-10b1-426f-9247-bb680e5fe0c8";

/// A status that no documentation has, for requests that a test does not expect.
const UNEXPECTED: u16 = 418;

pub(super) struct Api {
    server: MockServer,
}

/// A request as it came.
#[derive(Debug)]
pub(super) struct Asked {
    /// Method and path.
    pub(super) line: String,
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: http::HeaderMap,
    /// Null where there is none.
    pub(super) body: Value,
}

impl Api {
    pub(super) async fn with(answer: impl Fn(&Request) -> ResponseTemplate + Send + Sync + 'static) -> Self {
        let server = MockServer::start().await;
        Mock::given(matchers::any()).respond_with(answer).mount(&server).await;
        Self { server }
    }

    /// Answers each request with the next of these.
    pub(super) async fn in_turn(answers: impl IntoIterator<Item = ResponseTemplate>) -> Self {
        let mut answers: Vec<_> = answers.into_iter().collect();
        answers.reverse();
        let answers = Mutex::new(answers);
        Self::with(move |_| {
            answers.lock().unwrap().pop().unwrap_or_else(|| ResponseTemplate::new(UNEXPECTED))
        })
        .await
    }

    pub(super) async fn once(status: u16, body: Value) -> Self {
        Self::in_turn([answer(status, body)]).await
    }

    /// Answers every request in the same way.
    pub(super) async fn always(answer: ResponseTemplate) -> Self {
        Self::with(move |_| answer.clone()).await
    }

    pub(super) fn url(&self) -> String {
        self.server.uri()
    }

    pub(super) async fn asked(&self) -> Vec<Asked> {
        let requests = self.server.received_requests().await.unwrap();
        requests.iter().map(Asked::of).collect()
    }

    /// The one request that came.
    pub(super) async fn asked_once(&self) -> Asked {
        let mut asked = self.asked().await;
        assert_eq!(asked.len(), 1, "{asked:?}");
        asked.remove(0)
    }

    pub(super) fn casapay(&self) -> CasaPay {
        casapay(&self.url(), options())
    }

    pub(super) fn diddo(&self) -> Diddo {
        diddo(&self.url(), options())
    }

    pub(super) fn caspay(&self) -> CasPay {
        caspay(&self.url(), options())
    }
}

impl Asked {
    fn of(request: &Request) -> Self {
        let query = request.url.query_pairs();
        Self {
            line: format!("{} {}", request.method, request.url.path()),
            query: query.map(|(name, value)| (name.into_owned(), value.into_owned())).collect(),
            headers: request.headers.clone(),
            body: match &*request.body {
                b"" => Value::Null,
                body => serde_json::from_slice(body).unwrap(),
            },
        }
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let first = values.next().map(|value| value.to_str().unwrap());
        assert!(values.next().is_none(), "more than one {name}");
        first
    }
}

/// The defaults, without the pauses between attempts.
pub(super) fn options() -> ClientOptions {
    ClientOptions::default().allow_loopback().with_first_pause(Duration::from_millis(1))
}

pub(super) fn key() -> Secret {
    Secret::new(KEY).unwrap()
}

pub(super) fn casapay(url: &str, options: ClientOptions) -> CasaPay {
    CasaPay::new(url, key(), options).unwrap()
}

/// What is undocumented is invented, so that nothing can be guessed right.
pub(super) fn diddo_settings() -> DiddoSettings {
    DiddoSettings::new("x-invented-key", "/signing/secret")
        .unwrap()
        .with_key_prefix("Token ")
        .with_active_filter("is_on")
        .with_event_filter("about")
}

pub(super) fn diddo(url: &str, options: ClientOptions) -> Diddo {
    Diddo::new(url, key(), diddo_settings(), options).unwrap()
}

pub(super) fn caspay(url: &str, options: ClientOptions) -> CasPay {
    let settings = CasPaySettings::new("/invented/hooks", "x-invented-key").unwrap();
    CasPay::new(url, key(), settings, options).unwrap()
}

pub(super) fn answer(status: u16, body: Value) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_json(body)
}

pub(super) fn types(types: &[&str]) -> Vec<String> {
    types.iter().map(|&one| one.to_owned()).collect()
}

/// CasaPay's endpoint object.
pub(super) fn casapay_endpoint(id: &str) -> Value {
    json!({
        "id": id, "object": "webhook_endpoint", "url": URL, "enabled_events": ["invoice.paid", "charge.failed"],
        "status": "enabled", "api_version": "2025-01-15", "description": "shop", "metadata": {"team": "payments"},
        "created": 1_736_899_200,
    })
}

/// The same in the answer to its creation.
pub(super) fn casapay_created(id: &str) -> Value {
    let mut endpoint = casapay_endpoint(id);
    endpoint["secret"] = WHSEC.into();
    endpoint
}

/// An endpoint of Diddo.
pub(super) fn diddo_endpoint(id: &str) -> Value {
    json!({"id": id, "url": URL, "events": ["order.submitted"], "active": true, "description": "shop"})
}

/// The same in the answer to its creation, with the secret where the settings say.
pub(super) fn diddo_created(id: &str) -> Value {
    let mut endpoint = diddo_endpoint(id);
    endpoint["signing"] = json!({"secret": WHSEC});
    endpoint
}

/// Everything that an error says.
pub(super) fn told(error: &(dyn std::error::Error + 'static)) -> String {
    let mut told = format!("{error}\n{error:?}\n{error:#?}");
    let mut source = error.source();
    while let Some(error) = source {
        told += &format!("\n{error}\n{error:?}");
        source = error.source();
    }
    told
}

/// Neither the key nor the secret is in it.
pub(super) fn assert_discreet(text: &str) {
    for hidden in [KEY, "key-that-nobody-sees", WHSEC, "secret-that-nobody-sees"] {
        assert!(!text.contains(hidden), "{text}");
    }
}

/// The error, of which everything that it says has been searched for the key and the secret.
#[track_caller]
pub(super) fn failure<T>(result: Result<T, EndpointError>) -> EndpointError {
    let Err(error) = result else { panic!("it worked") };
    assert_discreet(&told(&error));
    error
}
