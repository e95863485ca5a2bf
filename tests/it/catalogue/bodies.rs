//! What a preset makes of its provider's bodies. Their shapes are from the providers' documentation and libraries.

use std::collections::BTreeSet;

use http::{HeaderMap, HeaderName, HeaderValue};
use tower_webhook::Delivery;
use tower_webhook::testing::delivery_with_headers;

use super::presets;

/// What tells an event from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Id {
    /// An id of the provider's.
    Is(&'static str),
    Digest,
    Unique,
}
use Id::{Digest, Is, Unique};

struct Example {
    preset: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
    id: Id,
    event_type: &'static str,
    /// `None`: the whole body.
    payload: Option<&'static str>,
}

const fn example(preset: &'static str, body: &'static str, id: Id, event_type: &'static str) -> Example {
    Example { preset, headers: &[], body, id, event_type, payload: None }
}

impl Example {
    const fn with(mut self, headers: &'static [(&'static str, &'static str)]) -> Self {
        self.headers = headers;
        self
    }

    const fn payload(mut self, payload: &'static str) -> Self {
        self.payload = Some(payload);
        self
    }
}

const SVIX: &str = r#"{"type":"user.created","data":{"id":"user_29w"},"object":"event"}"#;
const STANDARD: &str =
    r#"{"type":"contact.created","timestamp":"2022-11-03T20:26:10.344522Z","data":{"id":"1f81"}}"#;
const GITLAB: &str =
    r#"{"object_kind":"push","event_name":"push","ref":"refs/heads/master","project_id":15}"#;

const EXAMPLES: &[Example] = &[
    example("adyen", r#"{"data":{"balancePlatform":"P"},"environment":"test","type":"balancePlatform.transfer.created"}"#, Digest, "balancePlatform.transfer.created"),
    example("bitbucket-server", r#"{"eventKey":"repo:refs_changed","date":"2017-09-19T09:47:32+1000","actor":{"name":"admin"}}"#, Digest, "repo:refs_changed").with(&[("x-request-id", "f6f0"), ("x-event-key", "pr:opened")]),
    example("box", r#"{"type":"webhook_event","id":"eb0c4e06","created_at":"2016-07-11T10:10:33-07:00","trigger":"FILE.UPLOADED","source":{"id":"73835521473"}}"#, Is("eb0c4e06"), "FILE.UPLOADED").with(&[("box-delivery-id", "f96bb992")]).payload(r#"{"id":"73835521473"}"#),
    example("calendly", r#"{"event":"invitee.created","created_at":"2020-11-23T17:51:19.000000Z","payload":{"uri":"https://api.calendly.com/invitees/A"}}"#, Digest, "invitee.created").payload(r#"{"uri":"https://api.calendly.com/invitees/A"}"#),
    example("casapay", r#"{"id":"evt_1","object":"event","type":"invoice.paid","data":{"object":{"id":"in_1"}}}"#, Is("evt_1"), "invoice.paid").payload(r#"{"id":"in_1"}"#),
    example("cashfree", r#"{"data":{"order":{"order_id":"o1"},"payment":{"cf_payment_id":1}},"event_time":"2023-08-01T11:16:10+05:30","type":"PAYMENT_SUCCESS_WEBHOOK"}"#, Digest, "PAYMENT_SUCCESS_WEBHOOK").payload(r#"{"order":{"order_id":"o1"},"payment":{"cf_payment_id":1}}"#),
    example("caspay", r#"{"id":"evt_123","type":"payment.completed","created":1640000000,"data":{"payment":{}}}"#, Is("evt_123"), "payment.completed").payload(r#"{"payment":{}}"#),
    example("coinbase-commerce", r#"{"id":1,"attempt_number":2,"event":{"id":"24934862","type":"charge:confirmed","api_version":"2018-03-22","data":{"code":"66BEOV2A"}}}"#, Is("24934862"), "charge:confirmed").payload(r#"{"code":"66BEOV2A"}"#),
    example("discord", r#"{"version":1,"application_id":"12","type":1,"event":{"type":"APPLICATION_AUTHORIZED","data":{}}}"#, Digest, "discord.events"),
    example("dropbox", r#"{"list_folder":{"accounts":["dbid:AAH4f99T0"]},"delta":{"users":[4245623]}}"#, Unique, "dropbox.events"),
    example("elevenlabs", r#"{"type":"post_call_transcription","event_timestamp":1762713911,"data":{"conversation_id":"c1"}}"#, Digest, "post_call_transcription").payload(r#"{"conversation_id":"c1"}"#),
    example("finch", r#"{"company_id":"720be419","event_type":"directory.updated"}"#, Is("e-1"), "directory.updated").with(&[("finch-event-id", "e-1")]),
    example("getstream", r#"{"type":"message.new","cid":"messaging:fun","message":{"id":"m"}}"#, Digest, "message.new").with(&[("x-webhook-id", "w-1")]),
    example("gitea", r#"{"ref":"refs/heads/develop"}"#, Digest, "push").with(&[("x-gitea-delivery", "f6266f16"), ("x-gitea-event", "push")]),
    example("github", r#"{"zen":"Keep it logically awesome.","hook_id":1}"#, Digest, "ping").with(&[("x-github-delivery", "72d3162e"), ("x-github-event", "ping")]),
    example("gitlab", GITLAB, Is("f5e5f430"), "push").with(&[("webhook-id", "f5e5f430"), ("x-gitlab-event-uuid", "shared")]),
    example("gitlab-token", GITLAB, Is("f5e5f430"), "push").with(&[("idempotency-key", "f5e5f430"), ("x-gitlab-event-uuid", "shared")]),
    example("gogs", r#"{"ref":"refs/heads/develop"}"#, Digest, "push").with(&[("x-gogs-delivery", "f6266f16"), ("x-gogs-event", "push")]),
    example("intercom", r#"{"type":"notification_event","topic":"conversation.user.created","id":"notif_ccd8a4d0","delivery_attempts":1,"data":{"item":{}}}"#, Is("notif_ccd8a4d0"), "conversation.user.created").payload(r#"{"item":{}}"#),
    example("lemon-squeezy", r#"{"meta":{"event_name":"order_created","webhook_id":"h"},"data":{"type":"orders","id":"1"}}"#, Digest, "order_created").with(&[("x-event-name", "order_refunded")]).payload(r#"{"type":"orders","id":"1"}"#),
    example("linear", r#"{"action":"create","type":"Issue","data":{"id":"2174"},"webhookTimestamp":1676056940508,"webhookId":"h"}"#, Digest, "Issue").with(&[("linear-delivery", "234d1a4e"), ("linear-event", "Comment")]),
    example("mailersend", r#"{"type":"activity.sent","webhook_id":"h","data":{"object":"activity","id":"62f1"}}"#, Digest, "activity.sent").payload(r#"{"object":"activity","id":"62f1"}"#),
    example("mailomat", r#"{"recipient":"a@b.test"}"#, Is("m-1"), "delivered").with(&[("x-mom-webhook-id", "m-1"), ("x-mom-webhook-event", "delivered")]),
    example("modern-treasury", r#"{"event":"created","data":{"id":"c4b6","object":"payment_order"}}"#, Digest, "created").with(&[("x-event-id", "e"), ("x-topic", "payment_order")]).payload(r#"{"id":"c4b6","object":"payment_order"}"#),
    example("mollie", r#"{"resource":"event","id":"event_GvJ8","type":"payment-link.paid","entityId":"pl_qng5"}"#, Is("event_GvJ8"), "payment-link.paid"),
    example("mux", r#"{"type":"video.asset.ready","object":{"type":"asset","id":"a"},"id":"3a56ac3d","data":{"status":"ready"},"attempts":[]}"#, Is("3a56ac3d"), "video.asset.ready").payload(r#"{"status":"ready"}"#),
    example("notion", r#"{"id":"367cba44","api_version":"2022-06-28","type":"page.created","attempt_number":1,"entity":{"id":"153104cd"},"data":{}}"#, Is("367cba44"), "page.created"),
    example("onfido", r#"{"payload":{"resource_type":"check","action":"check.completed","object":{"id":"check-123"}}}"#, Digest, "check.completed").payload(r#"{"resource_type":"check","action":"check.completed","object":{"id":"check-123"}}"#),
    example("outpost", r#"{"user_id":"1"}"#, Unique, "user.created").with(&[("x-outpost-event-id", "evt_1"), ("x-outpost-topic", "user.created")]),
    example("paddle", r#"{"event_id":"evt_01h8","event_type":"transaction.completed","occurred_at":"2023-08-21T11:57:47Z","notification_id":"ntf_1","data":{"id":"txn_1"}}"#, Is("evt_01h8"), "transaction.completed").payload(r#"{"id":"txn_1"}"#),
    example("pagerduty", r#"{"event":{"id":"5ac64822","event_type":"incident.acknowledged","occurred_at":"2021-03-16T14:26:31Z","data":{"id":"PGR0VU2"}}}"#, Is("5ac64822"), "incident.acknowledged").with(&[("x-webhook-id", "w")]).payload(r#"{"id":"PGR0VU2"}"#),
    example("paystack", r#"{"event":"charge.success","data":{"id":302961,"domain":"live"}}"#, Digest, "charge.success").payload(r#"{"id":302961,"domain":"live"}"#),
    example("polar", r#"{"type":"order.paid","timestamp":"2025-01-01T00:00:00Z","data":{"id":"o"}}"#, Is("msg_1"), "order.paid").with(&[("webhook-id", "msg_1")]).payload(r#"{"id":"o"}"#),
    example("razorpay", r#"{"entity":"event","account_id":"acc_1","event":"payment.authorized","contains":["payment"],"payload":{"payment":{}},"created_at":1567674606}"#, Digest, "payment.authorized").with(&[("x-razorpay-event-id", "e")]).payload(r#"{"payment":{}}"#),
    example("revolut", r#"{"event":"TransactionCreated","timestamp":"2023-01-26T16:22:21.753463Z","data":{"id":"9a6434d8"}}"#, Digest, "TransactionCreated"),
    example("revolut", r#"{"event":"ORDER_COMPLETED","order_id":"9fc0"}"#, Digest, "ORDER_COMPLETED"),
    example("shopify", r#"{"id":820982911946154508,"email":"jon@example.com"}"#, Digest, "orders/create").with(&[("x-shopify-webhook-id", "b54557e4"), ("x-shopify-topic", "orders/create")]),
    example("sinch", r#"{"app_id":"","project_id":"p","contact_create_notification":{}}"#, Digest, "sinch.events"),
    example("sinch-numbers", r#"{"eventId":"01jr7s","timestamp":"2024-02-10T17:22:09.412722588","resourceId":"+12","eventType":"PROVISIONING_TO_VOICE_PLATFORM"}"#, Is("01jr7s"), "PROVISIONING_TO_VOICE_PLATFORM"),
    example("slack", r#"{"token":"t","type":"event_callback","event_id":"Ev08MFMKH6","event_time":1355517523,"event":{"type":"app_mention","user":"U061"}}"#, Is("Ev08MFMKH6"), "app_mention").payload(r#"{"type":"app_mention","user":"U061"}"#),
    example("square", r#"{"merchant_id":"m","type":"payment.updated","event_id":"6a8f5f28","data":{"type":"payment","id":"hYy9"}}"#, Is("6a8f5f28"), "payment.updated").payload(r#"{"type":"payment","id":"hYy9"}"#),
    example("standard-webhooks", STANDARD, Is("msg_2Kl"), "contact.created").with(&[("webhook-id", "msg_2Kl")]),
    example("standard-webhooks-v1a", STANDARD, Is("msg_2Kl"), "contact.created").with(&[("webhook-id", "msg_2Kl")]),
    example("stripe", r#"{"id":"evt_1NG8","object":"event","api_version":"2019-02-19","created":1686089970,"data":{"object":{"id":"seti_1"}},"livemode":false,"pending_webhooks":0,"type":"setup_intent.created"}"#, Is("evt_1NG8"), "setup_intent.created").payload(r#"{"id":"seti_1"}"#),
    example("svix", SVIX, Is("msg_p5j"), "user.created").with(&[("svix-id", "msg_p5j")]),
    example("svix", SVIX, Is("msg_p5j"), "user.created").with(&[("webhook-id", "msg_p5j")]),
    example("svix-v1a", SVIX, Is("msg_p5j"), "user.created").with(&[("svix-id", "msg_p5j")]),
    example("telegram", r#"{"update_id":10000,"message":{"date":1441645532,"text":"/start"}}"#, Is("10000"), "telegram.update"),
    example("telnyx", r#"{"data":{"event_type":"message.received","id":"0ccc7b54","payload":{"text":"hi"}},"meta":{"attempt":1}}"#, Is("0ccc7b54"), "message.received").payload(r#"{"event_type":"message.received","id":"0ccc7b54","payload":{"text":"hi"}}"#),
    example("trello", r#"{"action":{"id":"51f9424b","type":"voteOnCard","date":"2013-07-31T16:58:51.949Z"},"model":{}}"#, Is("51f9424b"), "voteOnCard").payload(r#"{"id":"51f9424b","type":"voteOnCard","date":"2013-07-31T16:58:51.949Z"}"#),
    example("twitch", r#"{"subscription":{"id":"f1c2","type":"channel.follow"},"event":{"user_id":"1337"}}"#, Is("e76c6bd4"), "channel.follow").with(&[("twitch-eventsub-message-id", "e76c6bd4"), ("twitch-eventsub-subscription-type", "channel.ban")]),
    example("typeform", r#"{"event_id":"LtWXD3crgy","event_type":"form_response","form_response":{"token":"a3a12e"}}"#, Is("LtWXD3crgy"), "form_response").payload(r#"{"token":"a3a12e"}"#),
    example("vercel", r#"{"id":"uev_1","type":"deployment.created","createdAt":1700000000000,"region":"sfo1","payload":{"deployment":{}}}"#, Is("uev_1"), "deployment.created").payload(r#"{"deployment":{}}"#),
    example("webflow", r#"{"triggerType":"form_submission","payload":{"name":"Contact"}}"#, Digest, "form_submission").payload(r#"{"name":"Contact"}"#),
    example("woocommerce", r#"{"id":791,"status":"processing"}"#, Unique, "order.updated").with(&[("x-wc-webhook-delivery-id", "d"), ("x-wc-webhook-topic", "order.updated")]),
    example("workos", r#"{"event":"dsync.user.created","id":"event_01","data":{"object":"directory_user"},"created_at":"2023-04-28 20:05:31.093"}"#, Is("event_01"), "dsync.user.created").payload(r#"{"object":"directory_user"}"#),
    example("zoom", r#"{"event":"meeting.started","event_ts":1626230691572,"payload":{"account_id":"A","object":{"uuid":"u"}}}"#, Digest, "meeting.started").payload(r#"{"account_id":"A","object":{"uuid":"u"}}"#),
    // Not read: several events, or no JSON.
    example("convoy", r#"["anything"]"#, Unique, "convoy.events"),
    example("convoy-advanced", "", Digest, "convoy.events"),
    example("docusign", "<DocuSignEnvelopeInformation/>", Digest, "docusign.events"),
    example("gocardless", r#"{"events":[{"id":"EV1"},{"id":"EV2"}],"meta":{"webhook_id":"WB1"}}"#, Digest, "gocardless.events"),
    example("hubspot", r#"[{"eventId":1,"subscriptionType":"contact.creation","attemptNumber":0}]"#, Digest, "hubspot.events"),
    example("line", r#"{"destination":"U","events":[]}"#, Digest, "line.events"),
    example("meta", r#"{"object":"user","entry":[{"id":"1","changes":[{"field":"photos"}]}]}"#, Digest, "meta.events"),
    example("plivo", "MessageUUID=1&Status=sent", Is("5a8f"), "plivo.events").with(&[("x-plivo-signature-v2-nonce", "5a8f")]),
    example("pusher", r#"{"time_ms":1403175510755,"events":[{"channel":"c","name":"channel_vacated"}]}"#, Digest, "pusher.events"),
    example("recurly", "<new_account_notification/>", Digest, "recurly.events"),
    example("sanity", "null", Digest, "sanity.document"),
    example("websub", "<feed xmlns='http://www.w3.org/2005/Atom'/>", Unique, "websub.events"),
    example("x", r#"{"for_user_id":"2244994945","tweet_create_events":[{"id_str":"1"}]}"#, Digest, "x.events"),
    example("xero", r#"{"events":[],"firstEventSequence":0,"lastEventSequence":0,"entropy":"S0m3"}"#, Digest, "xero.events"),
    example("zendesk", "ticket=7", Digest, "zendesk.events"),
];

#[test]
fn every_preset_reads_its_providers_bodies() {
    let mut read = BTreeSet::new();
    for example in EXAMPLES {
        let Some((name, provider)) = presets().find(|(name, _)| *name == example.preset) else {
            panic!("{} is no preset", example.preset);
        };
        read.insert(name);
        let headers = || -> HeaderMap {
            let lines = example.headers.iter();
            lines
                .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
                .collect()
        };
        let deliver = |body: &str| -> Delivery {
            delivery_with_headers(&provider, headers(), body.to_owned())
                .unwrap_or_else(|error| panic!("{name}: {error}"))
        };
        let delivery = deliver(example.body);
        assert_eq!(delivery.event_type(), example.event_type, "{name}");
        assert_eq!(delivery.payload(), example.payload.unwrap_or(example.body), "{name}");
        // The same event in other bytes, as a retry may bring it.
        let (again, other) = (deliver(example.body), deliver(&format!("{} ", example.body)));
        match example.id {
            Is(id) => assert_eq!([delivery.id(), again.id(), other.id()], [id; 3], "{name}"),
            Digest => {
                assert!(delivery.id().starts_with("sha256:"), "{name}");
                assert_eq!(delivery.id(), again.id(), "{name}");
                assert_ne!(delivery.id(), other.id(), "{name}");
            }
            Unique => assert_ne!(delivery.id(), again.id(), "{name}"),
        }
    }
    assert!(read.into_iter().eq(presets().map(|(name, _)| name)), "every preset has an example, in EXAMPLES");
}

/// The times and versions that are documented in a form that is read.
#[test]
fn what_informs_is_read() {
    let informs = |preset: &str| {
        let example = EXAMPLES.iter().find(|example| example.preset == preset).unwrap();
        let (_, provider) = presets().find(|(name, _)| *name == preset).unwrap();
        let delivery = delivery_with_headers(&provider, HeaderMap::new(), example.body).unwrap();
        (delivery.created(), delivery.livemode(), delivery.api_version().map(str::to_owned))
    };
    let version = |text: &str| Some(text.to_owned());
    assert_eq!(informs("stripe"), (Some(1_686_089_970), Some(false), version("2019-02-19")));
    assert_eq!(informs("slack"), (Some(1_355_517_523), None, None));
    assert_eq!(informs("razorpay"), (Some(1_567_674_606), None, None));
    assert_eq!(informs("elevenlabs"), (Some(1_762_713_911), None, None));
    assert_eq!(informs("coinbase-commerce"), (None, None, version("2018-03-22")));
    assert_eq!(informs("notion"), (None, None, version("2022-06-28")));
}
