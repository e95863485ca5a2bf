//! [`SimulatorBuilder`]: everything that is settled before a simulator starts.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;

use super::log::{Log, Record};
use super::platform::Platform;
use super::schedule::Schedule;
use super::settings::{
    CASAPAY_LIVE_KEY, CASAPAY_TEST_KEY, CasPaySettings, DiddoSettings, ListOrder, Observer, Settings, invalid,
};
use super::shared::Shared;
use super::state::State;
use super::{Simulator, server};
use crate::clock::{Clock, SystemClock};

/// Settings of a [`Simulator`], each with a default.
///
/// ```
/// use std::time::Duration;
/// use tower_webhook::testing::simulator::{Platform, Schedule, Simulator};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let simulator = Simulator::builder()
///     .with_speed(60) // five minutes pass in five seconds
///     .with_schedule(Platform::CasaPay, Schedule::new("once more").with_delays([Duration::from_secs(60)]))
///     .start()
///     .await?;
/// assert!(simulator.url().starts_with("http://127.0.0.1:"));
///
/// let everywhere = Simulator::builder().bind(([0, 0, 0, 0], 0).into()).start().await;
/// assert!(everywhere.is_err());
/// # Ok(())
/// # }
/// ```
#[must_use]
pub struct SimulatorBuilder {
    address: SocketAddr,
    speed: u32,
    require_https: bool,
    schedules: [Schedule; 3],
    casapay_keys: Vec<String>,
    casapay_order: ListOrder,
    diddo: DiddoSettings,
    caspay: CasPaySettings,
    deliver_to: Option<SocketAddr>,
    remote_deliveries: bool,
    clock: Arc<dyn Clock>,
    log_limit: usize,
    observer: Option<Arc<Observer>>,
}

impl SimulatorBuilder {
    pub(super) fn new() -> Self {
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            speed: 1,
            require_https: false,
            schedules: Platform::ALL.map(Schedule::of),
            casapay_keys: vec![CASAPAY_TEST_KEY.to_owned(), CASAPAY_LIVE_KEY.to_owned()],
            casapay_order: ListOrder::default(),
            diddo: DiddoSettings::new(),
            caspay: CasPaySettings::new(),
            deliver_to: None,
            remote_deliveries: false,
            clock: Arc::new(SystemClock),
            log_limit: 10_000,
            observer: None,
        }
    }

    /// Listens on this address of loopback. The default is a free port of `127.0.0.1`.
    pub fn bind(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    /// Divides every waiting time between attempts by this. The default is 1. Times in which a receiver must answer stay
    /// as they are: see [`Schedule::with_answer_timeout`].
    pub fn with_speed(mut self, speed: u32) -> Self {
        self.speed = speed.max(1);
        self
    }

    /// When a platform delivers again. The default is [`Schedule::of`] it; [`Simulator::set_schedule`] changes it later.
    pub fn with_schedule(mut self, platform: Platform, schedule: Schedule) -> Self {
        self.schedules[platform.index()] = schedule;
        self
    }

    /// Refuses endpoints whose URL is `http`, as the platforms do. By default `http` is accepted for loopback, which is
    /// where the receiver of a test is.
    pub fn require_https(mut self) -> Self {
        self.require_https = true;
        self
    }

    /// The bearer keys that CasaPay accepts, each `sk_test_` or `sk_live_` and more. The defaults are
    /// [`CASAPAY_TEST_KEY`] and [`CASAPAY_LIVE_KEY`].
    pub fn with_casapay_keys<K: Into<String>>(mut self, keys: impl IntoIterator<Item = K>) -> Self {
        self.casapay_keys = keys.into_iter().map(Into::into).collect();
        self
    }

    /// In which order CasaPay lists.
    pub fn with_casapay_order(mut self, order: ListOrder) -> Self {
        self.casapay_order = order;
        self
    }

    /// What Diddo's documentation leaves open.
    pub fn with_diddo(mut self, settings: DiddoSettings) -> Self {
        self.diddo = settings;
        self
    }

    /// What CasPay's documentation leaves open.
    pub fn with_caspay(mut self, settings: CasPaySettings) -> Self {
        self.caspay = settings;
        self
    }

    /// Delivers everything to this address in plain HTTP, with the path and the host of the endpoint's URL: so can
    /// endpoints have the `https` URL that they have in production. By default a URL is taken at its word, and
    /// deliveries to `https` fail, since the simulator speaks no TLS.
    pub fn with_delivery_address(mut self, address: SocketAddr) -> Self {
        self.deliver_to = Some(address);
        self
    }

    /// Delivers to other machines too, and accepts endpoints there whose URL is `http`. By default a delivery that would
    /// leave loopback fails.
    pub fn allow_remote_deliveries(mut self) -> Self {
        self.remote_deliveries = true;
        self
    }

    /// Says when things are created, and signs, by this clock: a [`ManualClock`](crate::testing::ManualClock) that the
    /// receiver has too. Waiting times stay real, see [`with_speed`](Self::with_speed). The default is the system's clock.
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Keeps so many calls, and so many attempts. The default is 10,000 of each.
    pub fn with_log_limit(mut self, records: usize) -> Self {
        self.log_limit = records;
        self
    }

    /// Calls this with everything that is logged, as it happens.
    pub fn with_observer(mut self, observer: impl Fn(Record<'_>) + Send + Sync + 'static) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// Listens.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) where the address is not of loopback, or a setting cannot be;
    /// otherwise what the operating system says of the address.
    pub async fn start(self) -> io::Result<Simulator> {
        if !self.address.ip().is_loopback() {
            return Err(invalid("the simulator listens on loopback only: its keys are public"));
        }
        if self.deliver_to.is_some_and(|address| !address.ip().is_loopback()) && !self.remote_deliveries {
            return Err(invalid("the delivery address is not of loopback: allow remote deliveries"));
        }
        let settings = Settings {
            speed: self.speed,
            require_https: self.require_https,
            casapay_order: self.casapay_order,
            deliver_to: self.deliver_to,
            remote_deliveries: self.remote_deliveries,
            clock: self.clock,
            observer: self.observer,
            ..Settings::checked(self.diddo, self.caspay, self.casapay_keys)?
        };
        let listener = TcpListener::bind(self.address).await?;
        let address = listener.local_addr()?;
        let state = State::new(self.schedules, Log::new(self.log_limit));
        let shared = Arc::new(Shared::new(settings, state));
        shared.spawn(server::serve(Arc::clone(&shared), listener));
        Ok(Simulator::new(shared, address))
    }
}

impl fmt::Debug for SimulatorBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimulatorBuilder")
            .field("address", &self.address)
            .field("speed", &self.speed)
            .field("schedules", &self.schedules.each_ref().map(Schedule::name))
            .finish_non_exhaustive()
    }
}
