//! Signing secrets: checked when built, redacted when printed, wiped when dropped.

use std::env::{self, VarError};
use std::fmt;
use std::time::SystemTime;

use zeroize::Zeroizing;

use super::awaiting::Awaiting;
use crate::error::ConfigError;

/// A secret under 128 bits can be guessed offline from one captured request.
pub(crate) const MIN_SECRET_BYTES: usize = 16;

/// What a secret is labelled that is given alone.
pub(crate) const SOLE_LABEL: &str = "current";

/// Prefixes that providers put before a secret to make it recognisable. A secret that is nothing else is
/// empty.
const KNOWN_PREFIXES: [&str; 2] = ["whsec_", "whpk_"];

/// A signing secret as the provider shows it.
///
/// Give every provider and every endpoint a secret of its own. Under a shared one a signature that was made for
/// one scheme is right for other bytes in another: what CasaPay signs as `t.body` is, whole, a body that CasPay
/// could have signed. [`docs::threats`](crate::docs::threats#one-secret-one-scheme) shows it.
///
/// Its text never appears in `Debug` output and is wiped from memory when dropped. The layer keeps only the
/// keyed hash state that is computed from it.
///
/// ```
/// use tower_webhook::{ConfigError, Secret};
///
/// let secret = Secret::new("whsec_5f2a9c61d0e84b7733aa")?;
/// assert_eq!(format!("{secret:?}"), "Secret(redacted)");
///
/// assert_eq!(Secret::new("").unwrap_err(), ConfigError::EmptySecret);
/// assert_eq!(Secret::new("line from a file...\n").unwrap_err(), ConfigError::WhitespaceInSecret);
/// assert_eq!(Secret::new("\u{feff}from an editor...").unwrap_err(), ConfigError::ByteOrderMarkInSecret);
/// assert_eq!(Secret::new("hunter2").unwrap_err(), ConfigError::ShortSecret { length: 7 });
/// # Ok::<(), ConfigError>(())
/// ```
pub struct Secret {
    text: Zeroizing<String>,
    weak: bool,
    validity: Validity,
}

/// When a secret is accepted, both ends included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Validity {
    not_before: Option<SystemTime>,
    not_after: Option<SystemTime>,
}

impl Validity {
    pub(crate) fn is_always(self) -> bool {
        self == Self::default()
    }

    pub(crate) fn contains(self, now: SystemTime) -> bool {
        self.not_before.is_none_or(|begin| begin <= now) && self.not_after.is_none_or(|end| now <= end)
    }
}

impl Secret {
    /// A secret of at least 16 bytes.
    ///
    /// # Errors
    ///
    /// [`ConfigError::EmptySecret`] where there is nothing but a prefix such as `whsec_`,
    /// [`ConfigError::WhitespaceInSecret`] where white space stands at either end (it would become part of
    /// the key, and every delivery would be refused), [`ConfigError::ByteOrderMarkInSecret`] where the mark of a
    /// file does (so would that), [`ConfigError::ShortSecret`] under 16 bytes without the prefix. Where the provider's keys are encoded, the decoded bytes are counted once more when the two meet.
    pub fn new(text: impl Into<String>) -> Result<Self, ConfigError> {
        let secret = Self { weak: false, ..Self::weak(text)? };
        let length = without_known_prefix(&secret.text).len();
        if length < MIN_SECRET_BYTES {
            return Err(ConfigError::ShortSecret { length });
        }
        Ok(secret)
    }

    /// A secret of any length but zero, for the provider that hands out short ones and for published test
    /// vectors. A secret under 16 bytes can be guessed from one captured request.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new), without [`ConfigError::ShortSecret`].
    ///
    /// ```
    /// use tower_webhook::Secret;
    ///
    /// assert!(Secret::weak("hunter2").is_ok());
    /// assert!(Secret::weak("whsec_").is_err());
    /// ```
    pub fn weak(text: impl Into<String>) -> Result<Self, ConfigError> {
        let text = Zeroizing::new(text.into());
        if without_known_prefix(text.trim()).is_empty() {
            return Err(ConfigError::EmptySecret);
        }
        if text.trim().len() != text.len() {
            return Err(ConfigError::WhitespaceInSecret);
        }
        if text.starts_with('\u{feff}') {
            return Err(ConfigError::ByteOrderMarkInSecret);
        }
        Ok(Self { text, weak: true, validity: Validity::default() })
    }

    /// Accepts nothing by this secret before `time`: for one that is deployed ahead of the switch.
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    /// use tower_webhook::{RejectionReason, Secret, caspay, testing};
    ///
    /// let switch = SystemTime::now();
    /// let text = "a-signing-secret";
    /// let verifier = caspay::provider().verifier(Secret::new(text)?.with_not_before(switch))?;
    /// let request = testing::sign(&caspay::provider(), &Secret::new(text)?, "{}");
    ///
    /// let verify = |now| verifier.verify(request.headers(), b"{}", now).map_err(|rejection| rejection.reason());
    /// assert!(verify(switch).is_ok());
    /// assert_eq!(verify(switch - Duration::from_secs(1)), Err(RejectionReason::SignatureMismatch));
    /// # Ok::<(), tower_webhook::ConfigError>(())
    /// ```
    #[must_use]
    pub fn with_not_before(mut self, time: SystemTime) -> Self {
        self.validity.not_before = Some(time);
        self
    }

    /// Accepts nothing by this secret after `time`: for one that is being retired.
    #[must_use]
    pub fn with_not_after(mut self, time: SystemTime) -> Self {
        self.validity.not_after = Some(time);
        self
    }

    /// The text itself, for a [`Verify`](crate::Verify) of your own. Keep it out of logs and errors.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }

    pub(crate) fn is_weak(&self) -> bool {
        self.weak
    }

    pub(crate) fn validity(&self) -> Validity {
        self.validity
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

fn without_known_prefix(text: &str) -> &str {
    KNOWN_PREFIXES.iter().find_map(|prefix| text.strip_prefix(prefix)).unwrap_or(text)
}

/// One or more signing secrets with labels: any of them verifies.
///
/// To rotate, accept the new secret beside the old one, switch at the provider, and take the old one out
/// when its label has been quiet. The label that matched is on the
/// [`Delivery`](crate::Delivery::secret_label) and in the logs.
///
/// ```
/// use tower_webhook::{Secret, Secrets};
///
/// let secrets = Secrets::new(Secret::new("new-secret-9c61d0e84b77")?)
///     .with_secret("2025", Secret::new("old-secret-5f2a33aa01cd")?)?;
/// assert_eq!(secrets.labels().collect::<Vec<_>>(), ["current", "2025"]);
/// # Ok::<(), tower_webhook::ConfigError>(())
/// ```
#[derive(Debug)]
pub struct Secrets {
    entries: Vec<(String, Secret)>,
    awaiting: Awaiting,
}

impl Secrets {
    /// One secret, labelled `current`.
    #[must_use]
    pub fn new(secret: Secret) -> Self {
        Self { entries: vec![(SOLE_LABEL.to_owned(), secret)], awaiting: Awaiting::Nothing }
    }

    /// Secrets with labels of your own.
    ///
    /// # Errors
    ///
    /// [`ConfigError::NoSecrets`] for none, [`ConfigError::DuplicateSecretLabel`] for a label that stands
    /// there twice.
    pub fn labelled(secrets: impl IntoIterator<Item = (String, Secret)>) -> Result<Self, ConfigError> {
        let mut all = Self { entries: Vec::new(), awaiting: Awaiting::Nothing };
        for (label, secret) in secrets {
            all = all.with_secret(label, secret)?;
        }
        if all.entries.is_empty() {
            return Err(ConfigError::NoSecrets);
        }
        Ok(all)
    }

    /// Reads the secret from the environment variable `name`, labelled `current`, and where it is set a
    /// second one from `{name}_PREVIOUS`, labelled `previous`.
    ///
    /// # Errors
    ///
    /// [`ConfigError::MissingVariable`] where `name` is not set, and [`ConfigError::InvalidVariable`] with what
    /// [`Secret::new`] says of either value: a variable that is set but empty is a mistake, not an absence.
    ///
    /// ```no_run
    /// use tower_webhook::Secrets;
    ///
    /// // CASPAY_WEBHOOK_SECRET, and during a rotation CASPAY_WEBHOOK_SECRET_PREVIOUS
    /// let secrets = Secrets::from_env("CASPAY_WEBHOOK_SECRET")?;
    /// # Ok::<(), tower_webhook::ConfigError>(())
    /// ```
    pub fn from_env(name: &str) -> Result<Self, ConfigError> {
        Self::from_lookup(name, |variable| env::var(variable))
    }

    fn from_lookup(
        name: &str,
        lookup: impl Fn(&str) -> Result<String, VarError>,
    ) -> Result<Self, ConfigError> {
        let read = |variable: &str| {
            let name = variable.to_owned();
            match lookup(variable) {
                Ok(text) => match Secret::new(text) {
                    Ok(secret) => Ok(Some(secret)),
                    Err(problem) => Err(ConfigError::InvalidVariable { name, problem: Box::new(problem) }),
                },
                Err(VarError::NotPresent) => Ok(None),
                Err(VarError::NotUnicode(_)) => Err(ConfigError::VariableNotUtf8 { name }),
            }
        };
        let current = read(name)?.ok_or_else(|| ConfigError::MissingVariable { name: name.to_owned() })?;
        let secrets = Self::new(current);
        match read(&format!("{name}_PREVIOUS"))? {
            Some(previous) => secrets.with_secret("previous", previous),
            None => Ok(secrets),
        }
    }

    /// Accepts one more secret. Each costs one MAC a delivery, in the same pass over the body.
    ///
    /// # Errors
    ///
    /// [`ConfigError::DuplicateSecretLabel`] where the label is taken.
    pub fn with_secret(mut self, label: impl Into<String>, secret: Secret) -> Result<Self, ConfigError> {
        let label = label.into();
        if self.entries.iter().any(|(taken, _)| *taken == label) {
            return Err(ConfigError::DuplicateSecretLabel { label });
        }
        self.entries.push((label, secret));
        Ok(self)
    }

    /// Says that one more secret is on its way, which the provider may sign with before it is here: where the provider
    /// makes the secret of a new endpoint, and delivers by it at once. A layer then answers 503
    /// ([`SecretsUnavailable`](crate::RejectionReason::SecretsUnavailable)) to what no secret verifies, in the place of a
    /// 401 that some senders take as final. Nothing unverified is let through. Replace them by all the secrets when the
    /// new one has come ([`Verifier::replace_secrets`](crate::Verifier::replace_secrets)).
    ///
    /// ```
    /// use tower::ServiceExt as _;
    /// use tower_webhook::{EventRouter, Secret, Secrets, WebhookLayer, caspay, testing};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), tower_webhook::BoxError> {
    /// let old = Secrets::new(Secret::new("the-old-signing-secret")?);
    /// let service = WebhookLayer::new(caspay::provider(), old.awaiting_another())?
    ///     .with_dispatch(EventRouter::new())
    ///     .into_service();
    ///
    /// let request = testing::sign(&caspay::provider(), &Secret::new("the-new-signing-secret")?, "{}");
    /// assert_eq!(service.oneshot(request).await?.status(), 503);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn awaiting_another(self) -> Self {
        self.with_awaiting(Awaiting::Another)
    }

    pub(crate) fn with_awaiting(mut self, awaiting: Awaiting) -> Self {
        self.awaiting = awaiting;
        self
    }

    /// The labels, in the order in which they were added.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(label, _)| label.as_str())
    }

    pub(crate) fn awaiting(&self) -> Awaiting {
        self.awaiting
    }

    pub(crate) fn into_entries(self) -> impl Iterator<Item = (String, Secret)> {
        self.entries.into_iter()
    }
}

impl From<Secret> for Secrets {
    fn from(secret: Secret) -> Self {
        Self::new(secret)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "a-good-signing-secret";

    fn lookup<'a>(variables: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Result<String, VarError> + 'a {
        move |name| {
            variables
                .iter()
                .find(|(variable, _)| *variable == name)
                .map(|(_, value)| (*value).to_owned())
                .ok_or(VarError::NotPresent)
        }
    }

    /// Compiles only while the text of a secret is wiped where it is dropped, and there is one of it: a layer,
    /// which can be cloned, holds no secret that could be.
    #[test]
    fn t014_secrets_are_wiped_and_never_copied() {
        trait MayBeCloned<Marker> {
            fn check() {}
        }
        impl<T> MayBeCloned<()> for T {}
        struct Clonable;
        impl<T: Clone> MayBeCloned<Clonable> for T {}

        fn wiped<T: zeroize::ZeroizeOnDrop>(_: &T) {}
        let Secret { text, .. } = Secret::new(GOOD).unwrap();
        wiped(&text);
        // Ambiguous, and an error, for a type that is `Clone`.
        <Secret as MayBeCloned<_>>::check();
        <Secrets as MayBeCloned<_>>::check();
    }

    #[test]
    fn length_is_counted_without_the_known_prefix() {
        assert!(Secret::new("0123456789abcdef").is_ok());
        assert!(Secret::new("whsec_0123456789abcdef").is_ok());
        assert_eq!(Secret::new("0123456789abcde").unwrap_err(), ConfigError::ShortSecret { length: 15 });
        assert_eq!(
            Secret::new("whsec_0123456789abcde").unwrap_err(),
            ConfigError::ShortSecret { length: 15 }
        );
    }

    #[test]
    fn the_text_is_kept_whole() {
        assert_eq!(Secret::new("whsec_0123456789abcdef").unwrap().expose(), "whsec_0123456789abcdef");
    }

    #[test]
    fn validity_includes_both_ends() {
        let at = |seconds| SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        let secret = || Secret::new(GOOD).unwrap();
        assert!(secret().validity().is_always() && secret().validity().contains(at(0)));
        let within = secret().with_not_before(at(10)).with_not_after(at(20)).validity();
        assert!(!within.is_always());
        let contained = [9, 10, 20, 21].map(|seconds| within.contains(at(seconds)));
        assert_eq!(contained, [false, true, true, false]);
    }

    #[test]
    fn the_environment_gives_current_and_previous() {
        let secrets = Secrets::from_lookup("X", lookup(&[("X", GOOD)])).unwrap();
        assert_eq!(secrets.labels().collect::<Vec<_>>(), ["current"]);

        let both = [("X", GOOD), ("X_PREVIOUS", "another-signing-secret")];
        let secrets = Secrets::from_lookup("X", lookup(&both)).unwrap();
        assert_eq!(secrets.labels().collect::<Vec<_>>(), ["current", "previous"]);
        assert_eq!(secrets.into_entries().last().unwrap().1.expose(), "another-signing-secret");
    }

    #[test]
    fn a_variable_that_is_set_but_bad_is_an_error() {
        let error = |variables: &[(&str, &str)]| Secrets::from_lookup("X", lookup(variables)).unwrap_err();
        assert_eq!(error(&[]), ConfigError::MissingVariable { name: "X".to_owned() });
        assert_eq!(error(&[("X_PREVIOUS", GOOD)]), ConfigError::MissingVariable { name: "X".to_owned() });
        for (variables, named) in
            [(&[("X", "")][..], "X"), (&[("X", GOOD), ("X_PREVIOUS", "")], "X_PREVIOUS")]
        {
            let problem = Box::new(ConfigError::EmptySecret);
            assert_eq!(error(variables), ConfigError::InvalidVariable { name: named.to_owned(), problem });
        }
        let not_utf8 = |_: &str| Err(VarError::NotUnicode("x".into()));
        assert_eq!(
            Secrets::from_lookup("X", not_utf8).unwrap_err(),
            ConfigError::VariableNotUtf8 { name: "X".to_owned() }
        );
    }

    #[test]
    fn a_label_stands_for_one_secret() {
        let secrets = Secrets::new(Secret::new(GOOD).unwrap());
        assert_eq!(
            secrets.with_secret("current", Secret::new(GOOD).unwrap()).unwrap_err(),
            ConfigError::DuplicateSecretLabel { label: "current".to_owned() }
        );
        assert_eq!(Secrets::labelled([]).unwrap_err(), ConfigError::NoSecrets);
    }
}
