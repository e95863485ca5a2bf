//! The events CasaPay documents, typed.
//!
//! Two payloads have a documented shape: the payment intent, and, in general, the API object with its `id`
//! and `object`. So the `payment_intent.*` events carry a [`PaymentIntent`] and all others an
//! [`ApiObject`], whose further fields are kept as they come. What a payload holds beyond the fields named
//! here is kept and written back.
//!
//! ```
//! use tower_webhook::provider::casapay::events::{InvoicePaid, PaymentIntentSucceeded};
//!
//! // What stands under `data.object` in the event.
//! let PaymentIntentSucceeded(intent) = serde_json::from_str(
//!     r#"{"id":"pi_1","object":"payment_intent","amount":120000,"currency":"eur",
//!         "status":"succeeded","customer":"cus_1","payment_method":"pm_1"}"#,
//! )?;
//! assert_eq!(intent.amount, 120_000);
//!
//! let InvoicePaid(invoice) = serde_json::from_str(r#"{"id":"in_1","object":"invoice","number":7}"#)?;
//! assert_eq!(invoice.id, "in_1");
//! assert_eq!(invoice.other.get("number").and_then(|number| number.as_u64()), Some(7));
//! # Ok::<(), serde_json::Error>(())
//! ```

use serde::{Deserialize, Serialize};

use crate::provider::Fields;
use crate::provider::payload::{newtype_events, open_text_enum};

/// Every event type CasaPay documents, in the order of its documentation; a name that ends in `.*` stands
/// for a family of which the documentation lists no members.
///
/// One page of the documentation says `payment_intent.failed` where the others say
/// `payment_intent.payment_failed`; both are here.
///
/// ```
/// use tower_webhook::provider::casapay::events::EVENT_TYPES;
///
/// assert!(EVENT_TYPES.contains(&"invoice.paid"));
/// assert!(EVENT_TYPES.contains(&"identity_check.*"));
/// ```
pub const EVENT_TYPES: &[&str] = &[
    "payment_intent.created",
    "payment_intent.requires_action",
    "payment_intent.processing",
    "payment_intent.succeeded",
    "payment_intent.payment_failed",
    "payment_intent.canceled",
    "payment_intent.failed",
    "charge.succeeded",
    "charge.failed",
    "charge.refunded",
    "payment_method.attached",
    "payment_method.detached",
    "mandate.created",
    "mandate.active",
    "mandate.cancelled",
    "mandate.failed",
    "bank_authorisation.authorised",
    "bank_authorisation.failed",
    "dispute.created",
    "dispute.updated",
    "dispute.won",
    "dispute.lost",
    "invoice.paid",
    "collection_case.updated",
    "verification_session.completed",
    "payment_agreement.created",
    "payment_agreement.activated",
    "payment_agreement.suspended",
    "payment_agreement.cancelled",
    "payment_request.created",
    "payment_request.processing",
    "payment_request.succeeded",
    "payment_request.failed",
    "payment_request.retrying",
    families::VERIFICATION_SESSION,
    families::VERIFICATION_REPORT,
    families::DOCUMENT_UPLOAD,
    families::IDENTITY_CHECK,
    families::SCORE_REQUEST,
    families::SCORE_REPORT,
];

/// The families of event types whose members the documentation does not list: patterns to register a
/// handler with.
///
/// The payload of a family's event is an [`ApiObject`] as well, or any type of your own.
///
/// ```
/// use tower_webhook::provider::casapay::events::families;
///
/// // events.on_type(families::VERIFICATION_SESSION, on_verification)
/// assert_eq!(families::VERIFICATION_SESSION, "verification_session.*");
/// ```
pub mod families {
    /// `verification_session.*`; of this family `verification_session.completed` is documented by name.
    pub const VERIFICATION_SESSION: &str = "verification_session.*";
    /// `verification_report.*`.
    pub const VERIFICATION_REPORT: &str = "verification_report.*";
    /// `document_upload.*`.
    pub const DOCUMENT_UPLOAD: &str = "document_upload.*";
    /// `identity_check.*`.
    pub const IDENTITY_CHECK: &str = "identity_check.*";
    /// `score_request.*`.
    pub const SCORE_REQUEST: &str = "score_request.*";
    /// `score_report.*`.
    pub const SCORE_REPORT: &str = "score_report.*";
}

/// A payment intent, as the `payment_intent.*` events carry it.
///
/// `id`, `amount` and `currency` are required: a handler that books a payment can do nothing right without
/// one of them, and the event is better kept as unreadable than booked wrongly. The documentation shows the
/// other fields too, but only by the example of an intent that succeeded; an intent that was just created
/// may have no payment method yet, so their absence (or `null`) is tolerated.
///
/// ```
/// use tower_webhook::provider::casapay::events::PaymentIntent;
///
/// let intent: PaymentIntent = serde_json::from_str(
///     r#"{"id":"pi_1","object":"payment_intent","amount":120000,"currency":"eur","tenancy":"ten_1"}"#,
/// )?;
/// assert_eq!(intent.amount, 120_000);
/// assert_eq!(intent.payment_method, None);
/// assert_eq!(intent.other.get("tenancy").and_then(|id| id.as_str()), Some("ten_1"));
///
/// let text = r#"{"id":"pi_1","amount":"120000","currency":"eur"}"#;
/// assert!(serde_json::from_str::<PaymentIntent>(text).is_err());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PaymentIntent {
    /// The payment intent's id, `pi_` and more.
    pub id: String,
    /// The kind of object, `payment_intent`. Not checked: the event type decides what is parsed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// The amount, an exact integer. A JSON number with a fraction or an exponent is refused, and so is a
    /// string.
    ///
    /// The documentation's example, `120000` with `eur`, reads as minor units of the currency (1,200.00
    /// euros). We have seen no sentence that says so, nor how currencies without minor units are sent:
    /// compare with a payment you know before you convert.
    pub amount: u64,
    /// The currency as sent; the documentation shows `eur`, in lower case.
    pub currency: String,
    /// The status, or `None` where the payload has none: the event type then says what happened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<PaymentIntentStatus>,
    /// The id of the customer who pays, `cus_` and more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer: Option<String>,
    /// The id of the payment method, `pm_` and more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payment_method: Option<String>,
    /// The fields that the documentation does not show.
    #[serde(flatten)]
    pub other: Fields,
}

open_text_enum! {
    /// The status of a [`PaymentIntent`].
    ///
    /// The documentation's payload shows `succeeded`; the spelling of the others is taken from the event
    /// types. Any other text is kept in [`Other`](Self::Other).
    ///
    /// ```
    /// use tower_webhook::provider::casapay::events::PaymentIntentStatus;
    ///
    /// let status: PaymentIntentStatus = serde_json::from_str(r#""succeeded""#)?;
    /// assert_eq!(status, PaymentIntentStatus::Succeeded);
    ///
    /// let unknown: PaymentIntentStatus = serde_json::from_str(r#""requires_capture""#)?;
    /// assert_eq!(unknown.as_str(), "requires_capture");
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    PaymentIntentStatus {
        RequiresAction = "requires_action",
        Processing = "processing",
        Succeeded = "succeeded",
        Canceled = "canceled",
    }
}

/// An API object whose further shape the documentation does not give.
///
/// `data.object` is documented as the full API object, and every object that the documentation shows has an
/// `id` and names its kind in `object`. The `id` is required, because an event that does not say what it is
/// about cannot be handled; `object` is not, because the event type says the same.
///
/// ```
/// use tower_webhook::provider::casapay::events::ApiObject;
///
/// let text = r#"{"id":"dp_1","object":"dispute","evidence":{"due_by":1740000000}}"#;
/// let dispute: ApiObject = serde_json::from_str(text)?;
/// assert_eq!(dispute.id, "dp_1");
/// assert_eq!(dispute.object.as_deref(), Some("dispute"));
/// assert_eq!(dispute.other.get("evidence").unwrap()["due_by"], 1_740_000_000);
/// assert_eq!(serde_json::to_string(&dispute)?, text);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ApiObject {
    /// The object's id.
    pub id: String,
    /// The kind of object, such as `payment_intent`. Not checked: the event type decides what is parsed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// All other fields.
    #[serde(flatten)]
    pub other: Fields,
}

newtype_events! { "casapay", PAYMENT_INTENT_EVENTS, PaymentIntent:
    /// `payment_intent.created`: a payment intent was created.
    PaymentIntentCreated = "payment_intent.created";
    /// `payment_intent.requires_action`: a payment intent requires an action.
    PaymentIntentRequiresAction = "payment_intent.requires_action";
    /// `payment_intent.processing`: a payment intent is being processed.
    PaymentIntentProcessing = "payment_intent.processing";
    /// `payment_intent.succeeded`: a payment intent succeeded.
    PaymentIntentSucceeded = "payment_intent.succeeded";
    /// `payment_intent.payment_failed`: a payment failed.
    ///
    /// One page of the documentation calls a failure `payment_intent.failed`, which is
    /// [`PaymentIntentFailed`]. Handle both until you have seen which one is sent to you.
    PaymentIntentPaymentFailed = "payment_intent.payment_failed";
    /// `payment_intent.canceled`: a payment intent was canceled.
    PaymentIntentCanceled = "payment_intent.canceled";
    /// `payment_intent.failed`: a payment failed, as one page of the documentation spells it.
    ///
    /// The others say `payment_intent.payment_failed`, which is [`PaymentIntentPaymentFailed`].
    PaymentIntentFailed = "payment_intent.failed";
}

newtype_events! { "casapay", OBJECT_EVENTS, ApiObject:
    /// `charge.succeeded`: a charge succeeded.
    ChargeSucceeded = "charge.succeeded";
    /// `charge.failed`: a charge failed.
    ChargeFailed = "charge.failed";
    /// `charge.refunded`: a charge was refunded.
    ChargeRefunded = "charge.refunded";
    /// `payment_method.attached`: a payment method was attached.
    PaymentMethodAttached = "payment_method.attached";
    /// `payment_method.detached`: a payment method was detached.
    PaymentMethodDetached = "payment_method.detached";
    /// `mandate.created`: a mandate was created.
    MandateCreated = "mandate.created";
    /// `mandate.active`: a mandate is active.
    MandateActive = "mandate.active";
    /// `mandate.cancelled`: a mandate was cancelled.
    MandateCancelled = "mandate.cancelled";
    /// `mandate.failed`: a mandate failed.
    MandateFailed = "mandate.failed";
    /// `bank_authorisation.authorised`: a bank authorisation was given.
    BankAuthorisationAuthorised = "bank_authorisation.authorised";
    /// `bank_authorisation.failed`: a bank authorisation failed.
    BankAuthorisationFailed = "bank_authorisation.failed";
    /// `dispute.created`: a dispute was created.
    DisputeCreated = "dispute.created";
    /// `dispute.updated`: a dispute was updated.
    DisputeUpdated = "dispute.updated";
    /// `dispute.won`: a dispute was won.
    DisputeWon = "dispute.won";
    /// `dispute.lost`: a dispute was lost.
    DisputeLost = "dispute.lost";
    /// `invoice.paid`: an invoice was paid.
    InvoicePaid = "invoice.paid";
    /// `collection_case.updated`: a collection case was updated.
    CollectionCaseUpdated = "collection_case.updated";
    /// `verification_session.completed`: a verification session was completed.
    ///
    /// The other events of [this family](families::VERIFICATION_SESSION) are not documented by name.
    VerificationSessionCompleted = "verification_session.completed";
    /// `payment_agreement.created`: a payment agreement was created.
    PaymentAgreementCreated = "payment_agreement.created";
    /// `payment_agreement.activated`: a payment agreement was activated.
    PaymentAgreementActivated = "payment_agreement.activated";
    /// `payment_agreement.suspended`: a payment agreement was suspended.
    PaymentAgreementSuspended = "payment_agreement.suspended";
    /// `payment_agreement.cancelled`: a payment agreement was cancelled.
    PaymentAgreementCancelled = "payment_agreement.cancelled";
    /// `payment_request.created`: a payment request was created.
    PaymentRequestCreated = "payment_request.created";
    /// `payment_request.processing`: a payment request is being processed.
    PaymentRequestProcessing = "payment_request.processing";
    /// `payment_request.succeeded`: a payment request succeeded.
    PaymentRequestSucceeded = "payment_request.succeeded";
    /// `payment_request.failed`: a payment request failed.
    PaymentRequestFailed = "payment_request.failed";
    /// `payment_request.retrying`: a payment request is being tried again.
    PaymentRequestRetrying = "payment_request.retrying";
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::provider::payload::tests::{assert_text, assert_types_match, refusal};

    /// The documentation's payment intent; it elides the ids.
    const DOCUMENTED: &str = r#"{"id":"pi_..","object":"payment_intent","amount":120000,"currency":"eur","status":"succeeded","customer":"cus_..","payment_method":"pm_.."}"#;

    fn with_amount(amount: &str) -> String {
        DOCUMENTED.replace("120000", amount)
    }

    #[test]
    fn the_documented_payment_intent_parses_exactly() {
        let PaymentIntentSucceeded(intent) = serde_json::from_str(DOCUMENTED).unwrap();
        assert_eq!(intent.id, "pi_..");
        assert_eq!(intent.object.as_deref(), Some("payment_intent"));
        assert_eq!(intent.amount, 120_000);
        assert_eq!(intent.currency, "eur");
        assert_eq!(intent.status, Some(PaymentIntentStatus::Succeeded));
        assert_eq!(intent.customer.as_deref(), Some("cus_.."));
        assert_eq!(intent.payment_method.as_deref(), Some("pm_.."));
        assert!(intent.other.is_empty());
        assert_eq!(serde_json::to_string(&PaymentIntentSucceeded(intent)).unwrap(), DOCUMENTED);
    }

    #[test]
    fn an_amount_is_any_64_bit_integer_and_nothing_else() {
        for amount in [0, 100_000_000_000, (1 << 53) + 1, u64::MAX] {
            let intent: PaymentIntent = serde_json::from_str(&with_amount(&amount.to_string())).unwrap();
            assert_eq!(intent.amount, amount);
        }
        for amount in
            ["1200.0", "1200.50", "12e4", "-1", "-0", "18446744073709551616", r#""120000""#, "null", "[1]"]
        {
            let error = refusal::<PaymentIntent>(&with_amount(amount));
            assert!(error.contains("expected u64"), "{amount}: {error}");
        }
    }

    #[test]
    fn only_id_amount_and_currency_are_required() {
        let least = json!({"id": "pi_1", "amount": 1, "currency": "eur"});
        for name in ["id", "amount", "currency"] {
            let mut payload = least.clone();
            payload.as_object_mut().unwrap().remove(name);
            let error = refusal::<PaymentIntent>(&payload.to_string());
            assert!(error.contains(&format!("missing field `{name}`")), "{error}");
        }
        let mut nulls = least.clone();
        for name in ["object", "status", "customer", "payment_method"] {
            nulls[name] = Value::Null;
        }
        for payload in [&least, &nulls] {
            let intent: PaymentIntent = serde_json::from_str(&payload.to_string()).unwrap();
            assert_eq!((intent.status.as_ref(), intent.customer.as_deref()), (None, None));
            assert_eq!(serde_json::to_value(&intent).unwrap(), least);
        }
    }

    #[test]
    fn an_open_object_requires_its_id_alone() {
        assert!(refusal::<InvoicePaid>(r#"{"object":"invoice"}"#).contains("missing field `id`"));
        let InvoicePaid(invoice) = serde_json::from_str(r#"{"id":"in_1"}"#).unwrap();
        assert_eq!((invoice.object, invoice.other), (None, Fields::default()));
    }

    #[test]
    fn a_status_is_known_or_kept_as_sent() {
        assert_text("requires_action", &PaymentIntentStatus::RequiresAction);
        assert_text("processing", &PaymentIntentStatus::Processing);
        assert_text("succeeded", &PaymentIntentStatus::Succeeded);
        assert_text("canceled", &PaymentIntentStatus::Canceled);
        for other in ["requires_capture", "Requires_Action", "requires_action ", "d\u{e9}j\u{e0}", ""] {
            assert_text(other, &PaymentIntentStatus::Other(other.into()));
        }
    }

    #[test]
    fn an_unknown_status_is_kept() {
        let payload = DOCUMENTED.replace("succeeded", "requires_capture");
        let intent: PaymentIntent = serde_json::from_str(&payload).unwrap();
        assert_eq!(intent.status, Some(PaymentIntentStatus::Other("requires_capture".into())));
        assert_eq!(serde_json::to_string(&intent).unwrap(), payload);
    }

    #[test]
    fn unknown_fields_are_kept() {
        let payload = json!({
            "id": "pi_1", "object": "payment_intent", "amount": 1, "currency": "eur", "status": "processing",
            "created": 1_740_000_000, "large": u64::MAX, "small": i64::MIN, "odd": 9_007_199_254_740_993_u64,
            "last_error": {"code": "insufficient_funds"}, "none": null,
        });
        let intent: PaymentIntent = serde_json::from_str(&payload.to_string()).unwrap();
        assert_eq!(intent.other.get("odd").and_then(Value::as_u64), Some(9_007_199_254_740_993));
        assert_eq!(intent.other.get("none"), Some(&Value::Null));
        assert_eq!(serde_json::to_value(&intent).unwrap(), payload);
    }

    #[test]
    fn t074_a_duplicate_field_is_refused() {
        for double in [
            r#""id":"pi_2""#,
            r#""\u0069d":"pi_2""#,
            r#""object":null"#,
            r#""amount":120000"#,
            r#""currency":"usd""#,
            r#""status":"canceled""#,
            r#""customer":null"#,
            r#""payment_method":null"#,
            r#""new":1,"new":2"#,
        ] {
            let payload = DOCUMENTED.replace('}', &format!(",{double}}}"));
            let error = refusal::<PaymentIntentSucceeded>(&payload);
            assert!(error.contains("duplicate field"), "{double}: {error}");
        }
        for payload in [r#"{"id":"in_1","id":"in_2"}"#, r#"{"id":"in_1","paid":true,"paid":false}"#] {
            assert!(refusal::<InvoicePaid>(payload).contains("duplicate field"), "{payload}");
        }
    }

    #[test]
    fn an_array_is_not_read_by_position() {
        let intent = r#"["pi_1","payment_intent",1,"eur","succeeded","cus_1","pm_1"]"#;
        assert!(refusal::<PaymentIntent>(intent).contains("invalid type: sequence"));
        assert!(refusal::<PaymentIntentSucceeded>(intent).contains("invalid type: sequence"));
        assert!(refusal::<InvoicePaid>(r#"["in_1","invoice"]"#).contains("invalid type: sequence"));
    }

    #[test]
    fn every_documented_type_has_an_event_or_is_a_family() {
        assert_types_match(EVENT_TYPES, &[PAYMENT_INTENT_EVENTS, OBJECT_EVENTS]);
        let families: Vec<_> = EVENT_TYPES.iter().filter(|name| name.ends_with(".*")).collect();
        assert_eq!(families.len(), 6);
    }

    #[test]
    fn every_event_writes_back_what_it_read_and_refuses_arrays_and_doubles() {
        let open = r#"{"id":"x_1","object":"x","lines":[{"amount":1}],"total":18446744073709551615}"#;
        for (events, payload) in [(PAYMENT_INTENT_EVENTS, DOCUMENTED), (OBJECT_EVENTS, open)] {
            for (event_type, rewrite) in events {
                let expected: Value = serde_json::from_str(payload).unwrap();
                assert_eq!(rewrite(payload).unwrap(), expected, "{event_type}");
                assert!(rewrite("[]").is_err(), "{event_type}");
                let double = payload.replacen('{', r#"{"id":"y_1","#, 1);
                assert!(rewrite(&double).is_err(), "{event_type}");
            }
        }
    }
}
