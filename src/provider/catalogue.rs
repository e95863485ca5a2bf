//! The presets, by name: for programs that take a provider's name from their configuration, and for tests of them all.

use std::fmt;

use super::*;

/// A provider that comes with the crate.
#[derive(Clone, Copy)]
pub struct Preset {
    name: &'static str,
    make: fn() -> Provider,
}

impl Preset {
    const fn new(name: &'static str, make: fn() -> Provider) -> Self {
        Self { name, make }
    }

    /// The preset's name: that of the [provider](Provider::name), with what distinguishes it where a provider has
    /// several ways to sign, such as `gitlab-token`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The name of an environment variable of this preset: programs that take presets by name have a place for their
    /// secrets by it. The example `receiver` and the program `tower-webhook` look there.
    ///
    /// ```
    /// use tower_webhook::provider::find;
    ///
    /// let preset = find("standard-webhooks").unwrap();
    /// assert_eq!(preset.variable("WEBHOOK_SECRET"), "STANDARD_WEBHOOKS_WEBHOOK_SECRET");
    /// ```
    #[must_use]
    pub fn variable(&self, what: &str) -> String {
        format!("{}_{what}", self.name.replace(['-', '.'], "_").to_uppercase())
    }

    /// Makes the provider.
    #[must_use]
    pub fn provider(&self) -> Provider {
        (self.make)()
    }
}

impl fmt::Debug for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Preset").field(&self.name).finish()
    }
}

/// Every preset, sorted by name. Those that need a feature are there with it. [`docs::catalogue`](crate::docs::catalogue)
/// is a table of them.
///
/// ```
/// use tower_webhook::provider::catalogue;
///
/// // Who lets a captured request stay valid?
/// let timeless = catalogue().iter().filter(|preset| !preset.provider().signs_timestamp());
/// assert!(timeless.map(|preset| preset.name()).any(|name| name == "github"));
/// ```
#[must_use]
pub fn catalogue() -> &'static [Preset] {
    CATALOGUE
}

/// The preset with this name.
///
/// ```
/// use tower_webhook::provider::find;
///
/// let stripe = find("stripe").map(|preset| preset.provider());
/// assert_eq!(stripe.unwrap().signature_header(), "stripe-signature");
/// assert!(find("Stripe").is_none(), "names are lower case");
/// ```
#[must_use]
pub fn find(name: &str) -> Option<&'static Preset> {
    let index = CATALOGUE.binary_search_by(|preset| preset.name.cmp(name)).ok()?;
    CATALOGUE.get(index)
}

const CATALOGUE: &[Preset] = &[
    Preset::new("adyen", adyen::provider),
    Preset::new("bitbucket-server", bitbucket_server::provider),
    Preset::new("box", boxcom::provider),
    Preset::new("calendly", calendly::provider),
    Preset::new("casapay", casapay::provider),
    Preset::new("cashfree", cashfree::provider),
    Preset::new("caspay", caspay::provider),
    Preset::new("coinbase-commerce", coinbase_commerce::provider),
    Preset::new("convoy", convoy::provider),
    Preset::new("convoy-advanced", convoy::advanced),
    #[cfg(feature = "ed25519")]
    Preset::new("discord", discord::provider),
    Preset::new("docusign", docusign::provider),
    Preset::new("dropbox", dropbox::provider),
    Preset::new("elevenlabs", elevenlabs::provider),
    Preset::new("finch", finch::provider),
    Preset::new("getstream", getstream::provider),
    Preset::new("gitea", gitea::provider),
    Preset::new("github", github::provider),
    Preset::new("gitlab", gitlab::provider),
    Preset::new("gitlab-token", gitlab::dangerous_token),
    Preset::new("gocardless", gocardless::provider),
    Preset::new("gogs", gogs::provider),
    Preset::new("hubspot", hubspot::provider),
    Preset::new("intercom", intercom::provider),
    Preset::new("lemon-squeezy", lemon_squeezy::provider),
    Preset::new("line", line::provider),
    Preset::new("linear", linear::provider),
    Preset::new("mailersend", mailersend::provider),
    Preset::new("mailomat", mailomat::provider),
    Preset::new("meta", meta::provider),
    Preset::new("modern-treasury", modern_treasury::provider),
    Preset::new("mollie", mollie::provider),
    Preset::new("mux", mux::provider),
    Preset::new("notion", notion::provider),
    Preset::new("onfido", onfido::provider),
    Preset::new("outpost", outpost::provider),
    Preset::new("paddle", paddle::provider),
    Preset::new("pagerduty", pagerduty::provider),
    Preset::new("paystack", paystack::provider),
    Preset::new("plivo", plivo::provider),
    Preset::new("polar", polar::provider),
    Preset::new("pusher", pusher::provider),
    Preset::new("razorpay", razorpay::provider),
    Preset::new("recurly", recurly::provider),
    Preset::new("revolut", revolut::provider),
    Preset::new("sanity", sanity::provider),
    Preset::new("shopify", shopify::provider),
    Preset::new("sinch", sinch::provider),
    Preset::new("sinch-numbers", sinch_numbers::provider),
    Preset::new("slack", slack::provider),
    Preset::new("square", square::provider),
    Preset::new("standard-webhooks", standard_webhooks::provider),
    #[cfg(feature = "ed25519")]
    Preset::new("standard-webhooks-v1a", standard_webhooks::asymmetric),
    Preset::new("stripe", stripe::provider),
    Preset::new("svix", svix::provider),
    #[cfg(feature = "ed25519")]
    Preset::new("svix-v1a", svix::asymmetric),
    Preset::new("telegram", telegram::dangerous_token),
    #[cfg(feature = "ed25519")]
    Preset::new("telnyx", telnyx::provider),
    Preset::new("trello", trello::provider),
    Preset::new("twitch", twitch::provider),
    Preset::new("typeform", typeform::provider),
    Preset::new("vercel", vercel::provider),
    Preset::new("webflow", webflow::provider),
    Preset::new("websub", websub::provider),
    Preset::new("woocommerce", woocommerce::provider),
    Preset::new("workos", workos::provider),
    Preset::new("x", x::provider),
    Preset::new("xero", xero::provider),
    Preset::new("zendesk", zendesk::provider),
    Preset::new("zoom", zoom::provider),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Builds every preset, which no caller can see fail.
    #[test]
    fn every_preset_builds_under_its_name() {
        assert!(CATALOGUE.is_sorted_by(|a, b| a.name < b.name), "sorted, and no name twice");
        for preset in CATALOGUE {
            let provider = preset.provider();
            assert!(preset.name.starts_with(provider.name()), "{preset:?} is {}", provider.name());
            assert!(find(preset.name).is_some_and(|found| found.name == preset.name), "{preset:?}");
        }
        assert!(find("nobody").is_none() && find("").is_none());
    }

    /// The variants of a provider share its name, and with it the scope of deduplication; no other two do.
    #[test]
    fn only_variants_share_a_name() {
        let mut seen = BTreeSet::new();
        let shared = CATALOGUE.iter().map(|preset| preset.provider().name().to_owned());
        let shared: Vec<_> = shared.filter(|name| !seen.insert(name.clone())).collect();
        let expected: &[&str] = if cfg!(feature = "ed25519") {
            &["convoy", "gitlab", "standard-webhooks", "svix"]
        } else {
            &["convoy", "gitlab"]
        };
        assert_eq!(shared, expected);
    }
}
