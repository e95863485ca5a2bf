//! The clients of the endpoint APIs against the simulated platforms, which were written by the documentation alone.

mod casapay;
mod caspay;
mod catch_up;
mod diddo;
mod faults;
mod managed;

use tower_webhook::Secret;
use tower_webhook::endpoints::{
    CasPay, CasPaySettings, CasaPay, ClientOptions, Diddo, DiddoSettings, EndpointError,
};
use tower_webhook::testing::simulator::{
    CASAPAY_TEST_KEY, CASPAY_AUTH_HEADER, CASPAY_CREATE_PATH, CASPAY_KEY, DIDDO_AUTH_HEADER, DIDDO_KEY,
    Operation, Simulator,
};

/// Nobody listens there: nothing is delivered in these tests, but where they say so.
const URL: &str = "https://shop.example/webhooks";

fn options() -> ClientOptions {
    ClientOptions::default().allow_loopback().with_first_pause(std::time::Duration::from_millis(1))
}

fn key(text: &str) -> Secret {
    Secret::new(text).unwrap()
}

fn casapay_with(simulator: &Simulator, api_key: &str) -> CasaPay {
    CasaPay::new(&simulator.casapay_url(), key(api_key), options()).unwrap()
}

fn casapay(simulator: &Simulator) -> CasaPay {
    casapay_with(simulator, CASAPAY_TEST_KEY)
}

/// The names that the simulator has invented.
fn diddo_settings() -> DiddoSettings {
    let settings = DiddoSettings::new(DIDDO_AUTH_HEADER, "/secret").unwrap();
    settings.with_active_filter("active").with_event_filter("event")
}

fn diddo_with(simulator: &Simulator, api_key: &str) -> Diddo {
    Diddo::new(&simulator.diddo_url(), key(api_key), diddo_settings(), options()).unwrap()
}

fn diddo(simulator: &Simulator) -> Diddo {
    diddo_with(simulator, DIDDO_KEY)
}

fn caspay(simulator: &Simulator) -> CasPay {
    let settings = CasPaySettings::new(CASPAY_CREATE_PATH, CASPAY_AUTH_HEADER).unwrap();
    CasPay::new(&simulator.caspay_url(), key(CASPAY_KEY), settings, options()).unwrap()
}

/// How often an operation was asked for.
fn count(simulator: &Simulator, operation: Operation) -> usize {
    simulator.calls().iter().filter(|call| call.operation == Some(operation)).count()
}

fn failed<T>(result: Result<T, EndpointError>) -> EndpointError {
    match result {
        Ok(_) => panic!("it went well"),
        Err(error) => error,
    }
}
