//! The events CasPay documents, typed.
//!
//! Only the payment payload has a documented shape. The payloads of the `subscription.*` events are
//! therefore kept as they come, as [`Fields`]. What a payload holds beyond the fields named here is kept
//! and written back.
//!
//! ```
//! use tower_webhook::provider::caspay::events::PaymentCompleted;
//!
//! // What stands under `data` in the event.
//! let event: PaymentCompleted = serde_json::from_str(
//!     r#"{"payment":{"id":"pay_123","amount":100000000000,"currency":"CSPR",
//!         "status":"completed","metadata":{"orderId":"order_456"}}}"#,
//! )?;
//! assert_eq!(event.payment.amount, 100_000_000_000); // motes: 100 CSPR
//! # Ok::<(), serde_json::Error>(())
//! ```

use serde::{Deserialize, Serialize};

use crate::Event;
use crate::provider::Fields;
use crate::provider::payload::{fields_or_null, newtype_events, open_text_enum};

/// Every event type CasPay documents, in the order of its documentation.
///
/// ```
/// use tower_webhook::provider::caspay::events::EVENT_TYPES;
///
/// assert!(EVENT_TYPES.contains(&"payment.completed"));
/// ```
pub const EVENT_TYPES: &[&str] = &[
    "payment.completed",
    "payment.failed",
    "payment.pending",
    "subscription.created",
    "subscription.updated",
    "subscription.canceled",
    "subscription.payment_succeeded",
    "subscription.payment_failed",
];

/// A payment, as the `payment.*` events carry it.
///
/// `id`, `amount` and `currency` are required: a handler that books a payment can do nothing right without
/// one of them, and the event is better kept as unreadable than booked wrongly. The documentation shows the
/// other two fields too, but only by example, so their absence is tolerated.
///
/// ```
/// use tower_webhook::provider::caspay::events::Payment;
///
/// let payment = r#"{"id":"pay_123","amount":18446744073709551615,"currency":"CSPR","network":"main"}"#;
/// let payment: Payment = serde_json::from_str(payment)?;
/// assert_eq!(payment.amount, u64::MAX);
/// assert_eq!(payment.status, None);
/// assert_eq!(payment.other.get("network").and_then(|name| name.as_str()), Some("main"));
///
/// let float = r#"{"id":"pay_123","amount":100.0,"currency":"CSPR"}"#;
/// assert!(serde_json::from_str::<Payment>(float).is_err());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Payment {
    /// The payment's id, such as `pay_123`.
    pub id: String,
    /// The amount in motes, the smallest unit of CSPR (1 CSPR is 1,000,000,000 motes).
    ///
    /// Exact, and commonly beyond 32 bits. A JSON number with a fraction or an exponent is refused, and so
    /// is a string.
    pub amount: u64,
    /// The currency as sent; the documentation shows `CSPR`.
    pub currency: String,
    /// The status, or `None` where the payload has none: the event type then says what happened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<PaymentStatus>,
    /// What the merchant attached when the payment was made, such as an order id. Empty where it is absent
    /// or `null`.
    #[serde(default, deserialize_with = "fields_or_null", skip_serializing_if = "Fields::is_empty")]
    pub metadata: Fields,
    /// The fields that the documentation does not show.
    #[serde(flatten)]
    pub other: Fields,
}

open_text_enum! {
    /// The status of a [`Payment`].
    ///
    /// The documentation shows `completed`; the spelling of the two others is taken from the event types.
    /// Any other text is kept in [`Other`](Self::Other).
    ///
    /// ```
    /// use tower_webhook::provider::caspay::events::PaymentStatus;
    ///
    /// let status: PaymentStatus = serde_json::from_str(r#""completed""#)?;
    /// assert_eq!(status, PaymentStatus::Completed);
    ///
    /// let unknown: PaymentStatus = serde_json::from_str(r#""on_hold""#)?;
    /// assert_eq!(unknown.as_str(), "on_hold");
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    PaymentStatus {
        Completed = "completed",
        Failed = "failed",
        Pending = "pending",
    }
}

macro_rules! payment_events {
    ($($(#[$meta:meta])* $name:ident = $event_type:literal;)+) => {
        $(
            $(#[$meta])*
            ///
            /// ```
            #[doc = concat!(" use tower_webhook::{Event, provider::caspay::events::", stringify!($name), "};")]
            ///
            #[doc = concat!(" assert_eq!(", stringify!($name), "::TYPE, \"", $event_type, "\");")]
            /// ```
            #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
            #[non_exhaustive]
            pub struct $name {
                /// The payment.
                pub payment: Payment,
                /// What stands beside the payment.
                #[serde(flatten)]
                pub other: Fields,
            }

            impl Event for $name {
                const TYPE: &'static str = $event_type;
            }
        )+

        #[cfg(test)]
        const PAYMENT_EVENTS: &[crate::provider::payload::tests::TypedEvent] =
            &[$(($name::TYPE, crate::provider::payload::tests::rewrite::<$name>),)+];
    };
}

payment_events! {
    /// `payment.completed`: a payment was completed.
    PaymentCompleted = "payment.completed";
    /// `payment.failed`: a payment failed.
    PaymentFailed = "payment.failed";
    /// `payment.pending`: a payment is pending.
    PaymentPending = "payment.pending";
}

newtype_events! { "caspay", SUBSCRIPTION_EVENTS, Fields:
    /// `subscription.created`: a subscription was created. The payload's shape is undocumented.
    SubscriptionCreated = "subscription.created";
    /// `subscription.updated`: a subscription was updated. The payload's shape is undocumented.
    SubscriptionUpdated = "subscription.updated";
    /// `subscription.canceled`: a subscription was canceled. The payload's shape is undocumented.
    SubscriptionCanceled = "subscription.canceled";
    /// `subscription.payment_succeeded`: a subscription's payment succeeded. The payload's shape is
    /// undocumented.
    SubscriptionPaymentSucceeded = "subscription.payment_succeeded";
    /// `subscription.payment_failed`: a subscription's payment failed. The payload's shape is undocumented.
    SubscriptionPaymentFailed = "subscription.payment_failed";
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::provider::payload::tests::{assert_text, assert_types_match, refusal};

    /// `data` of the documentation's example, byte for byte.
    const DOCUMENTED: &str = r#"{"payment":{"id":"pay_123","amount":100000000000,"currency":"CSPR","status":"completed","metadata":{"orderId":"order_456"}}}"#;

    fn with_amount(amount: &str) -> String {
        DOCUMENTED.replace("100000000000", amount)
    }

    #[test]
    fn the_documented_payment_parses_exactly() {
        let event: PaymentCompleted = serde_json::from_str(DOCUMENTED).unwrap();
        let payment = &event.payment;
        assert_eq!(payment.id, "pay_123");
        assert_eq!(payment.amount, 100_000_000_000);
        assert_eq!(payment.currency, "CSPR");
        assert_eq!(payment.status, Some(PaymentStatus::Completed));
        assert_eq!(payment.metadata.get("orderId"), Some(&json!("order_456")));
        assert!(payment.other.is_empty() && event.other.is_empty());
        assert_eq!(serde_json::to_string(&event).unwrap(), DOCUMENTED);
    }

    #[test]
    fn an_amount_is_any_64_bit_integer_and_nothing_else() {
        for amount in [0, 1 << 32, (1 << 53) + 1, u64::MAX - 1, u64::MAX] {
            let event: PaymentPending = serde_json::from_str(&with_amount(&amount.to_string())).unwrap();
            assert_eq!(event.payment.amount, amount);
        }
        for amount in [
            "100000000000.0",
            "1e11",
            "-1",
            "-0",
            "18446744073709551616",
            r#""100000000000""#,
            "null",
            "true",
            "[1]",
        ] {
            let error = refusal::<PaymentPending>(&with_amount(amount));
            assert!(error.contains("expected u64"), "{amount}: {error}");
        }
    }

    #[test]
    fn id_amount_and_currency_are_required() {
        for name in ["id", "amount", "currency"] {
            let mut payload: Value = serde_json::from_str(DOCUMENTED).unwrap();
            payload["payment"].as_object_mut().unwrap().remove(name);
            let error = refusal::<PaymentFailed>(&payload.to_string());
            assert!(error.contains(&format!("missing field `{name}`")), "{error}");
        }
        assert!(refusal::<PaymentFailed>("{}").contains("missing field `payment`"));
    }

    #[test]
    fn status_and_metadata_may_be_absent_or_null() {
        let least = json!({"payment": {"id": "pay_1", "amount": 1, "currency": "CSPR"}});
        let mut nulls = least.clone();
        nulls["payment"]["status"] = Value::Null;
        nulls["payment"]["metadata"] = Value::Null;
        for payload in [&least, &nulls] {
            let event: PaymentFailed = serde_json::from_str(&payload.to_string()).unwrap();
            assert_eq!(event.payment.status, None);
            assert!(event.payment.metadata.is_empty());
            assert_eq!(serde_json::to_value(&event).unwrap(), least);
        }
    }

    #[test]
    fn a_status_is_known_or_kept_as_sent() {
        assert_text("completed", &PaymentStatus::Completed);
        assert_text("failed", &PaymentStatus::Failed);
        assert_text("pending", &PaymentStatus::Pending);
        for other in ["on_hold", "Completed", "completed ", "d\u{e9}j\u{e0}", ""] {
            assert_text(other, &PaymentStatus::Other(other.into()));
        }
    }

    #[test]
    fn an_unknown_status_is_kept() {
        let payload = DOCUMENTED.replace("\"completed\"", "\"refund.d\\u00e9\"");
        let event: PaymentCompleted = serde_json::from_str(&payload).unwrap();
        assert_eq!(event.payment.status, Some(PaymentStatus::Other("refund.d\u{e9}".into())));
        assert_eq!(serde_json::to_value(&event).unwrap()["payment"]["status"], "refund.d\u{e9}");
    }

    #[test]
    fn unknown_fields_are_kept_beside_and_inside_the_payment() {
        let payload = json!({
            "payment": {
                "id": "pay_1", "amount": 1, "currency": "CSPR", "status": "pending",
                "fee": u64::MAX, "delta": i64::MIN, "odd": 9_007_199_254_740_993_u64, "route": [{"hop": null}],
            },
            "attempt": 3,
        });
        let event: PaymentPending = serde_json::from_str(&payload.to_string()).unwrap();
        assert_eq!(event.other.get("attempt"), Some(&json!(3)));
        assert_eq!(event.payment.other.get("fee").and_then(Value::as_u64), Some(u64::MAX));
        assert_eq!(serde_json::to_value(&event).unwrap(), payload);
    }

    #[test]
    fn t074_a_duplicate_field_is_refused() {
        let payment = r#""id":"pay_1","amount":1,"currency":"CSPR","metadata":{"orderId":"a"},"new":1"#;
        for double in [
            r#""id":"pay_2""#,
            r#""\u0069d":"pay_2""#,
            r#""amount":1"#,
            r#""currency":"EUR""#,
            r#""metadata":null"#,
            r#""new":2"#,
        ] {
            let payload = format!(r#"{{"payment":{{{payment},{double}}}}}"#);
            let error = refusal::<PaymentCompleted>(&payload);
            assert!(error.contains("duplicate field"), "{double}: {error}");
        }
        let twice = format!(r#"{{"payment":{{{payment}}},"payment":{{{payment}}}}}"#);
        assert!(refusal::<PaymentCompleted>(&twice).contains("duplicate field `payment`"));
        let metadata = DOCUMENTED.replace(r#""order_456""#, r#""order_456","orderId":"order_457""#);
        assert!(refusal::<PaymentCompleted>(&metadata).contains("duplicate field"));
    }

    #[test]
    fn an_array_is_not_read_by_position() {
        let payment = r#"["pay_1",1,"CSPR","completed",{}]"#;
        assert!(refusal::<Payment>(payment).contains("invalid type: sequence"));
        assert!(refusal::<PaymentCompleted>(&format!("[{payment}]")).contains("invalid type: sequence"));
        assert!(refusal::<PaymentCompleted>(&format!(r#"{{"payment":{payment}}}"#)).contains("sequence"));
    }

    #[test]
    fn every_documented_type_has_an_event() {
        assert_types_match(EVENT_TYPES, &[PAYMENT_EVENTS, SUBSCRIPTION_EVENTS]);
    }

    #[test]
    fn every_event_writes_back_what_it_read_and_refuses_arrays_and_doubles() {
        let open = r#"{"plan":{"id":"plan_1"},"amount":"any","total":18446744073709551615}"#;
        for (events, payload) in [(PAYMENT_EVENTS, DOCUMENTED), (SUBSCRIPTION_EVENTS, open)] {
            for (event_type, rewrite) in events {
                let expected: Value = serde_json::from_str(payload).unwrap();
                assert_eq!(rewrite(payload).unwrap(), expected, "{event_type}");
                assert!(rewrite("[]").is_err(), "{event_type}");
                let double = payload.replacen('{', r#"{"x":1,"x":1,"#, 1);
                assert!(rewrite(&double).is_err(), "{event_type}");
            }
        }
    }
}
