//! Time as a value that can be replaced: wall time for signed timestamps, monotonic time for leases.

use std::time::{Instant, SystemTime};

/// Where the library reads the time.
///
/// Two clocks, because they answer different questions. Wall time judges the timestamp a sender signed and
/// may step in either direction. Monotonic time measures leases and retention inside one process and never
/// goes back.
///
/// The default is [`SystemClock`]. Tests use `testing::ManualClock`.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use tower_webhook::{Clock, SystemClock};
///
/// let clock = SystemClock::default();
/// let started = clock.monotonic();
/// assert!(clock.now() > SystemTime::UNIX_EPOCH);
/// assert!(clock.monotonic().duration_since(started) < Duration::from_secs(60));
/// ```
pub trait Clock: Send + Sync + 'static {
    /// The wall time.
    fn now(&self) -> SystemTime;

    /// A time that never goes back, for measuring durations within this process.
    fn monotonic(&self) -> Instant;
}

impl<C: Clock + ?Sized> Clock for std::sync::Arc<C> {
    fn now(&self) -> SystemTime {
        (**self).now()
    }

    fn monotonic(&self) -> Instant {
        (**self).monotonic()
    }
}

/// The operating system's wall clock and tokio's monotonic clock.
///
/// Tokio's clock is the operating system's, except in a test whose runtime has paused time: there leases
/// and retention follow the paused time, as the timers do.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "a unit: there is nothing to add")]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn monotonic(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }
}

/// Seconds since the Unix epoch; a clock before 1970 counts as 1970.
pub(crate) fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(any(test, feature = "testing"))]
pub(crate) mod manual {
    use super::{Clock, Instant, SystemTime};
    use std::fmt;
    use std::sync::{Arc, Mutex, PoisonError};
    use std::time::Duration;

    /// A clock that moves only when told to. Clones share one time.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tower_webhook::{Clock, testing::ManualClock};
    ///
    /// let clock = ManualClock::at_unix(1_700_000_000);
    /// let (wall, monotonic) = (clock.now(), clock.monotonic());
    /// clock.advance(Duration::from_secs(5));
    /// assert_eq!(clock.now().duration_since(wall).unwrap(), Duration::from_secs(5));
    /// assert_eq!(clock.monotonic() - monotonic, Duration::from_secs(5));
    /// ```
    #[derive(Clone)]
    pub struct ManualClock {
        times: Arc<Mutex<(SystemTime, Instant)>>,
    }

    impl ManualClock {
        /// A clock whose wall time is `seconds` after the Unix epoch.
        #[must_use]
        pub fn at_unix(seconds: u64) -> Self {
            let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            Self { times: Arc::new(Mutex::new((wall, Instant::now()))) }
        }

        /// Moves both clocks forward.
        pub fn advance(&self, by: Duration) {
            let mut times = self.lock();
            times.0 += by;
            times.1 += by;
        }

        /// Sets the wall clock alone, as a time correction does; it may step back.
        pub fn set_unix(&self, seconds: u64) {
            self.lock().0 = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        }

        fn lock(&self) -> std::sync::MutexGuard<'_, (SystemTime, Instant)> {
            self.times.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    impl Clock for ManualClock {
        fn now(&self) -> SystemTime {
            self.lock().0
        }

        fn monotonic(&self) -> Instant {
            self.lock().1
        }
    }

    impl fmt::Debug for ManualClock {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_struct("ManualClock").field("now", &self.now()).finish_non_exhaustive()
        }
    }
}
