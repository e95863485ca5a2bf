//! A platform's API, as an operator calls it: without the gate, and without a manager.

use tower_webhook::endpoints::{
    CasaPay, ClientOptions, Diddo, DiddoSettings, EndpointApi, EndpointError, Registered,
};
use tower_webhook::testing::simulator::{CASAPAY_TEST_KEY, DIDDO_AUTH_HEADER, DIDDO_KEY, Platform};
use tower_webhook::{Provider, Secret, casapay};

pub(super) fn casapay(port: u16) -> CasaPay {
    let url = format!("http://127.0.0.1:{port}/casapay");
    CasaPay::new(&url, Secret::new(CASAPAY_TEST_KEY).unwrap(), options()).unwrap()
}

pub(super) fn diddo(port: u16) -> Diddo {
    let url = format!("http://127.0.0.1:{port}/diddo");
    // The names that the simulator has invented.
    let settings = DiddoSettings::new(DIDDO_AUTH_HEADER, "/secret").unwrap();
    Diddo::new(&url, Secret::new(DIDDO_KEY).unwrap(), settings, options()).unwrap()
}

/// A call that is held is not to run out.
fn options() -> ClientOptions {
    let minutes = std::time::Duration::from_secs(300);
    ClientOptions::default().allow_loopback().with_attempt_timeout(minutes).with_deadline(minutes)
}

/// How a platform signs.
pub(super) fn preset(platform: Platform) -> Provider {
    match platform {
        Platform::CasaPay => casapay::provider(),
        _ => tower_webhook::testing::simulator::DiddoSettings::provider().unwrap(),
    }
}

pub(super) enum Account {
    CasaPay(CasaPay),
    Diddo(Diddo),
}

impl Account {
    pub(super) fn new(platform: Platform, port: u16) -> Self {
        match platform {
            Platform::CasaPay => Self::CasaPay(casapay(port)),
            _ => Self::Diddo(diddo(port)),
        }
    }

    /// The endpoints of a URL.
    pub(super) async fn endpoints(&self, url: &str) -> Vec<Registered> {
        let all = match self {
            Self::CasaPay(api) => EndpointApi::list(api).await,
            Self::Diddo(api) => EndpointApi::list(api).await,
        };
        let mut all = all.unwrap();
        all.retain(|endpoint| endpoint.url() == url);
        all
    }

    pub(super) async fn delete(&self, id: &str) {
        let deleted: Result<(), EndpointError> = match self {
            Self::CasaPay(api) => EndpointApi::delete(api, id).await,
            Self::Diddo(api) => EndpointApi::delete(api, id).await,
        };
        deleted.unwrap();
    }
}
