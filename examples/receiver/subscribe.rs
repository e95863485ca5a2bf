//! Subscribes the receiver to a simulated provider at its start, so that nobody copies a URL or a secret.
//!
//! CasaPay and Diddo make the secret, and show it once: it is in the sink before anything else happens. CasPay is given
//! the receiver's own.

use std::collections::BTreeSet;
use std::env::{self, VarError};
use std::fs::{self, DirBuilder};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use tower_webhook::endpoints::{
    CasPay, CasPaySettings, CasaPay, Change, ClientOptions, Diddo, DiddoSettings, EndpointApi, EndpointError,
    EndpointErrorKind, EndpointManager, FileSink,
};
use tower_webhook::testing::{self, simulator};
use tower_webhook::{BoxError, Provider, Secret, Secrets};

/// The simulator, and where what it hands out is kept.
pub(crate) struct Subscriber {
    api: SocketAddr,
    directory: PathBuf,
    sink: FileSink,
    /// Whether an endpoint had to be created: the provider had not heard of this receiver.
    is_new: bool,
}

/// An endpoint, and the secrets of the provider.
pub(crate) struct Subscription {
    pub(crate) provider: Provider,
    pub(crate) secrets: Secrets,
    /// For the terminal.
    pub(crate) report: String,
}

impl Subscriber {
    /// From the environment; `None` where `PROVIDER_API` is not set.
    pub(crate) fn from_env() -> Result<Option<Self>, BoxError> {
        let Some(url) = variable("PROVIDER_API")? else { return Ok(None) };
        let Some(api) = loopback(&url) else {
            return Err("PROVIDER_API is the URL of `provider`, such as http://127.0.0.1:4000".into());
        };
        let directory = variable("SECRETS_DIR")?.map_or_else(|| default_directory(api), PathBuf::from);
        prepare(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
        Ok(Some(Self { api, sink: FileSink::new(&directory), directory, is_new: false }))
    }

    /// The providers whose secret comes from them: an endpoint is found again at the next start, and brought up to date.
    pub(crate) async fn ensure(
        &mut self,
        name: &str,
        url: &str,
        event_types: Vec<String>,
    ) -> Result<Option<Subscription>, BoxError> {
        let options = ClientOptions::default().allow_loopback();
        let base = format!("http://{}/{name}", self.api);
        match name {
            "casapay" => {
                let key = Secret::new(simulator::CASAPAY_LIVE_KEY)?;
                let provider = tower_webhook::casapay::provider();
                let api = CasaPay::new(&base, key, options)?;
                self.managed(api, provider, url, event_types).await.map(Some)
            }
            "diddo" => {
                // All of it is the simulator's invention. In production it is what you have from Diddo.
                let settings = DiddoSettings::new(simulator::DIDDO_AUTH_HEADER, "/secret")?;
                let provider = simulator::DiddoSettings::provider()?;
                let api = Diddo::new(&base, Secret::new(simulator::DIDDO_KEY)?, settings, options)?;
                self.managed(api, provider, url, event_types).await.map(Some)
            }
            _ => Ok(None),
        }
    }

    async fn managed<A: EndpointApi>(
        &mut self,
        api: A,
        provider: Provider,
        url: &str,
        event_types: Vec<String>,
    ) -> Result<Subscription, BoxError> {
        let name = provider.name();
        let manager = EndpointManager::new(api, self.sink.clone());
        let ensured =
            manager.ensure_endpoint(url, event_types).await.map_err(|error| self.explained(error))?;
        self.is_new |= ensured.change == Change::Created;

        let secrets = self.sink.secrets(name)?;
        let mut report = format!("# {name}: {ensured}");
        if name == "diddo" {
            report.push_str("\n# Its API key's header, its signature and its envelope are INVENTED: Diddo documents none of them");
        }
        // An endpoint that was deleted elsewhere leaves its secret behind. Nothing is thrown away that was shown once.
        let endpoints = manager.api().list().await?;
        let existing: BTreeSet<_> = endpoints.iter().map(|endpoint| endpoint.id()).collect();
        for gone in secrets.labels().filter(|label| !existing.contains(label)) {
            let directory = self.directory.display();
            report.push_str(&format!(
                "\n# {gone} is gone; its secret is still accepted, until you remove it from {directory}"
            ));
        }
        Ok(Subscription { provider, secrets, report })
    }

    /// Creates an endpoint at CasPay for a secret that the receiver accepts already, unless that has been done.
    ///
    /// CasPay documents no way to ask which endpoints there are. So a note is kept of what was created, and is believed
    /// as long as the other platforms of the simulator remember this receiver.
    pub(crate) async fn caspay(
        &self,
        url: &str,
        event_types: &[String],
        secret: &Secret,
    ) -> Result<String, BoxError> {
        let path = self.directory.join("caspay.created");
        let note = self.note(url, event_types, secret)?;
        let created = match fs::read_to_string(&path) {
            Ok(text) => text == note && !self.is_new,
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(error.into()),
        };
        if created {
            let path = path.display();
            return Ok(format!("# caspay: created before, as {path} says"));
        }
        // Path and header are the simulator's invention. In production they are what you have from CasPay.
        let settings = CasPaySettings::new(simulator::CASPAY_CREATE_PATH, simulator::CASPAY_AUTH_HEADER)?;
        let (base, key) = (format!("http://{}/caspay", self.api), Secret::new(simulator::CASPAY_KEY)?);
        let api = CasPay::new(&base, key, settings, ClientOptions::default().allow_loopback())?;
        let endpoint = api.create(url, event_types, secret).await.map_err(|error| self.explained(error))?;
        // Should this fail, the next start creates a second endpoint, with the same secret: each event then comes twice,
        // and is handled once.
        fs::write(&path, note)?;
        Ok(format!("# caspay: endpoint {}: created", endpoint.id.as_deref().unwrap_or("without an id")))
    }

    /// What an endpoint was created with, as a MAC by its secret: of another secret it is another note.
    fn note(&self, url: &str, event_types: &[String], secret: &Secret) -> Result<String, BoxError> {
        let provider = tower_webhook::caspay::provider();
        let what = format!("{} {url} {}", self.api, event_types.join(" "));
        let signed = testing::sign(&provider, secret, what);
        let mac = signed.headers().get(provider.signature_header()).ok_or("a signature has a header")?;
        Ok(mac.to_str()?.to_owned())
    }

    fn explained(&self, error: EndpointError) -> BoxError {
        if error.kind() == EndpointErrorKind::Unreachable {
            return format!("{error}: is `provider` running at {}?", self.api).into();
        }
        error.into()
    }
}

/// The address of an http URL of this machine, which `localhost` is a name of.
fn loopback(url: &str) -> Option<SocketAddr> {
    let api = url.trim_end_matches('/').strip_prefix("http://")?;
    let address: SocketAddr = match api.strip_prefix("localhost:") {
        Some(port) => SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse().ok()?)),
        None => api.parse().ok()?,
    };
    address.ip().is_loopback().then_some(address)
}

/// An environment variable, if it is set.
fn variable(name: &str) -> Result<Option<String>, String> {
    match env::var(name) {
        Ok(text) => Ok(Some(text)),
        Err(VarError::NotPresent) => Ok(None),
        Err(error) => Err(format!("{name}: {error}")),
    }
}

/// A directory below the temporary one, which may be everybody's: one for each user, and for each simulator.
fn default_directory(api: SocketAddr) -> PathBuf {
    #[cfg(unix)]
    let user = rustix::process::geteuid().as_raw().to_string();
    #[cfg(not(unix))]
    let user = "user";
    env::temp_dir().join(format!("tower-webhook-receiver-{user}-{}", api.port()))
}

/// Makes the directory where it is missing, and sees to it that it is nobody else's.
fn prepare(directory: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)?;
    // Not following a link, which somebody else may have put there.
    let metadata = fs::symlink_metadata(directory)?;
    if !metadata.is_dir() {
        return Err(io::Error::other("is no directory"));
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;

        let is_mine = metadata.uid() == rustix::process::geteuid().as_raw();
        if !is_mine || metadata.mode() & 0o077 != 0 {
            return Err(io::Error::other("others may enter: secrets need a directory of your own, 0700"));
        }
    }
    Ok(())
}
