//! Every call of the three APIs, to be made where it must fail.

use std::cell::OnceCell;

use futures_util::TryStreamExt as _;
use tower_webhook::Secret;
use tower_webhook::endpoints::{
    CasPay, CasaPay, ClientOptions, Diddo, DiddoList, DiddoUpdate, EndpointError, EndpointUpdate, EventQuery,
    NewEndpoint,
};

use super::api::{URL, UUID, WHSEC, casapay, caspay, diddo, failure, types};

pub(super) const CALLS: [&str; 14] = [
    "casapay create",
    "diddo create",
    "caspay create",
    "casapay retrieve",
    "casapay update",
    "casapay delete",
    "casapay list",
    "casapay event",
    "casapay events",
    "diddo retrieve",
    "diddo update",
    "diddo update active",
    "diddo delete",
    "diddo list",
];

pub(super) fn creates(call: &str) -> bool {
    call.ends_with("create")
}

/// Makes one call, which must fail.
pub(super) async fn make(call: &str, url: &str, options: ClientOptions) -> EndpointError {
    Clients::new(url, options).fail(call).await
}

/// The clients of one server, each made when it is needed: that takes longer than a call.
pub(super) struct Clients {
    url: String,
    options: ClientOptions,
    casapay: OnceCell<CasaPay>,
    diddo: OnceCell<Diddo>,
    caspay: OnceCell<CasPay>,
}

impl Clients {
    pub(super) fn new(url: &str, options: ClientOptions) -> Self {
        let (casapay, diddo, caspay) = (OnceCell::new(), OnceCell::new(), OnceCell::new());
        Self { url: url.to_owned(), options, casapay, diddo, caspay }
    }

    /// Makes a call, which must fail.
    pub(super) async fn fail(&self, call: &str) -> EndpointError {
        let options = || self.options.clone();
        match call.split_once(' ').unwrap() {
            ("casapay", call) => {
                of_casapay(self.casapay.get_or_init(|| casapay(&self.url, options())), call).await
            }
            ("diddo", call) => of_diddo(self.diddo.get_or_init(|| diddo(&self.url, options())), call).await,
            (_, call) => {
                assert_eq!(call, "create");
                let client = self.caspay.get_or_init(|| caspay(&self.url, options()));
                let secret = Secret::new(WHSEC).unwrap();
                failure(client.create(URL, &types(&["payment.failed"]), &secret).await)
            }
        }
    }
}

async fn of_casapay(client: &CasaPay, call: &str) -> EndpointError {
    match call {
        "create" => failure(client.create(&NewEndpoint::new(URL, ["invoice.paid"])).await),
        "retrieve" => failure(client.retrieve("we_1").await),
        "update" => failure(client.update("we_1", &EndpointUpdate::new().with_description("x")).await),
        "delete" => failure(client.delete("we_1").await),
        "list" => failure(client.list().await),
        "event" => failure(client.retrieve_event("evt_1").await),
        "events" => failure(client.events(EventQuery::new()).try_collect::<Vec<_>>().await),
        other => panic!("{other}"),
    }
}

async fn of_diddo(client: &Diddo, call: &str) -> EndpointError {
    let id = UUID.parse().unwrap();
    match call {
        "create" => failure(client.create(URL, &types(&["order.submitted"]), None).await),
        "retrieve" => failure(client.retrieve(id).await),
        "update" => failure(client.update(id, &DiddoUpdate::new().with_description("x")).await),
        "update active" => failure(client.update(id, &DiddoUpdate::new().with_active(false)).await),
        "delete" => failure(client.delete(id).await),
        "list" => failure(client.list(DiddoList::new()).try_collect::<Vec<_>>().await),
        other => panic!("{other}"),
    }
}
