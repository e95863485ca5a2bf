//! `endpoints`: the three APIs of the simulator, over real HTTP.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;
use tempfile::TempDir;
use tower_webhook::testing::simulator::{
    CASAPAY_TEST_KEY, CASPAY_AUTH_HEADER, CASPAY_CREATE_PATH, CASPAY_KEY, DIDDO_AUTH_HEADER, DIDDO_KEY,
    Fault, Operation, Platform, Simulator,
};

use super::program::{Program, Ran, program};
use super::recorder::{Recorder, answer};
use crate::servers::free_port;
use crate::support::SECRET;

const HOOK: &str = "http://127.0.0.1:9/hook";

/// The platforms, and a directory for secrets.
struct World {
    simulator: Simulator,
    secrets: TempDir,
}

impl World {
    async fn start() -> Self {
        let simulator = Simulator::builder().start().await.unwrap();
        Self { simulator, secrets: tempfile::tempdir().unwrap() }
    }

    fn casapay(&self, arguments: &str) -> Program {
        let url = self.simulator.casapay_url();
        program(&format!("endpoints {arguments} --provider casapay --api-url {url} --allow-loopback"))
            .env("CASAPAY_API_KEY", CASAPAY_TEST_KEY)
    }

    fn diddo(&self, arguments: &str) -> Program {
        let url = self.simulator.diddo_url();
        program(&format!("endpoints {arguments} --provider diddo --key-header {DIDDO_AUTH_HEADER}"))
            .arg(&format!("--api-url={url}"))
            .arg("--secret-at=/secret")
            .arg("--allow-loopback")
            .env("DIDDO_API_KEY", DIDDO_KEY)
    }

    fn caspay(&self, arguments: &str) -> Program {
        let url = self.simulator.caspay_url();
        program(&format!("endpoints {arguments} --provider caspay --key-header {CASPAY_AUTH_HEADER}"))
            .arg(&format!("--api-url={url}"))
            .arg(&format!("--path={CASPAY_CREATE_PATH}"))
            .arg("--allow-loopback")
            .env("CASPAY_API_KEY", CASPAY_KEY)
    }

    fn saving(&self) -> String {
        format!("--save-to={}", self.secrets.path().display())
    }

    /// The files in the directory for secrets, but for the one that runs lock, which stays.
    fn saved(&self) -> Vec<PathBuf> {
        self.files_that_end_in("secret")
    }

    fn files_that_end_in(&self, extension: &str) -> Vec<PathBuf> {
        let files = std::fs::read_dir(self.secrets.path()).unwrap().map(|entry| entry.unwrap().path());
        files.filter(|path| path.extension().is_some_and(|of| of == extension)).collect()
    }

    fn lock(&self) -> PathBuf {
        self.secrets.path().join(".tower-webhook.lock")
    }

    /// The one secret that was saved, which no output may hold.
    fn secret(&self) -> String {
        let [file] = &self.saved()[..] else { panic!("one secret: {:?}", self.saved()) };
        assert!(self.files_that_end_in("announced").is_empty(), "it is here");
        std::fs::read_to_string(file).unwrap().trim().to_owned()
    }
}

fn id(ran: &Ran) -> String {
    ran.json(0)["endpoint"]["id"].as_str().unwrap().to_owned()
}

async fn listed(list: Program) -> Vec<Value> {
    list.run().await.json(0).as_array().unwrap().clone()
}

#[tokio::test]
async fn an_endpoint_lives_from_its_creation_to_its_end() {
    let world = World::start().await;
    for platform in [World::casapay as fn(&World, &str) -> Program, World::diddo] {
        let types = if world.simulator.calls().is_empty() {
            ["invoice.paid", "charge.failed"]
        } else {
            ["order.submitted", "checkout.failed"]
        };
        let create = format!("create --url {HOOK} --event {} --description shop", types[0]);
        let ran = platform(&world, &create).arg(&world.saving()).run().await;
        let id = id(&ran);
        let file = world.saved().into_iter().find(|path| path.to_string_lossy().contains(&id)).unwrap();
        let secret = std::fs::read_to_string(&file).unwrap();
        assert!(secret.trim().len() >= 16);
        ran.hides(secret.trim());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        }

        let endpoints = listed(platform(&world, "list")).await;
        assert_eq!((&endpoints[0]["id"], &endpoints[0]["url"]), (&id.as_str().into(), &HOOK.into()));
        assert_eq!(endpoints[0]["events"], serde_json::json!([types[0]]));

        let update = format!("update {id} --event {} --active false", types[1]);
        let changed = platform(&world, &update).run().await.json(0);
        assert_eq!((&changed["active"], &changed["events"]), (&false.into(), &serde_json::json!([types[1]])));
        let text = platform(&world, "list --text").run().await;
        assert!(text.text(0).contains("paused") && text.stdout.contains(types[1]), "{text:?}");

        let delete = platform(&world, &format!("delete {id}")).arg(&world.saving());
        assert_eq!(delete.run().await.json(0)["deleted"], id.as_str());
        assert!(!file.exists(), "its secret is accepted still");
        assert!(listed(platform(&world, "list")).await.is_empty());
        let (_, message) = platform(&world, &format!("delete {id}")).run().await.error(1);
        assert!(message.contains("404"), "{message}");
    }
}

#[tokio::test]
async fn ensure_creates_once_and_mends_what_drifted() {
    let world = World::start().await;
    let ensure =
        |events: &str| world.casapay(&format!("ensure --url {HOOK} {events}")).arg(&world.saving()).run();
    let created = ensure("--event invoice.paid").await;
    assert_eq!(created.json(0)["change"], "created");
    created.hides(&world.secret());
    assert_eq!(ensure("--event invoice.paid").await.json(0)["change"], "unchanged");
    let mended = ensure("--event charge.failed").await.json(0);
    assert_eq!((&mended["change"], &mended["id"]), (&"updated".into(), &created.json(0)["id"]));
    assert_eq!(
        (&mended["added"], &mended["removed"]),
        (&serde_json::json!(["charge.failed"]), &serde_json::json!(["invoice.paid"]))
    );
    assert_eq!(listed(world.casapay("list")).await.len(), 1);

    // A secret that nobody has any more is said, and no second endpoint made.
    std::fs::remove_file(&world.saved()[0]).unwrap();
    let ran = ensure("--event charge.failed").await;
    let (kind, message) = ran.error(1);
    assert!(kind == "secret_unknown" && message.contains("secret is not in the sink"), "{message}");
    let error: Value = serde_json::from_str(ran.stderr.trim()).unwrap();
    assert_eq!(error["error"]["endpoints"], serde_json::json!([created.json(0)["id"]]));
    assert_eq!(listed(world.casapay("list")).await.len(), 1);
}

#[tokio::test]
async fn caspay_signs_with_the_merchants_secret() {
    let world = World::start().await;
    let create = format!("create --url {HOOK} --event payment.completed");
    let ran = world.caspay(&create).env("CASPAY_WEBHOOK_SECRET", SECRET).run().await;
    assert_eq!(ran.json(0)["url"], HOOK);
    ran.hides(SECRET);
    assert_eq!(world.simulator.subscribed_types(Platform::CasPay), ["payment.completed"]);

    assert_eq!(world.caspay(&create).run().await.error(4).0, "configuration");
    assert_eq!(world.caspay(&create).arg(&world.saving()).run().await.error(2).0, "usage");
    for arguments in ["list", "delete id", "update id --active false"] {
        assert!(
            world.caspay(arguments).run().await.error(2).1.contains("nothing but creating"),
            "{arguments}"
        );
    }
}

#[tokio::test]
async fn what_is_undocumented_is_asked_for() {
    for (arguments, says) in [
        ("list --provider diddo --api-url https://api.example --secret-at /secret", "--key-header"),
        ("list --provider diddo --api-url https://api.example --key-header x-key", "--secret-at"),
        (
            "create --provider caspay --api-url https://api.example --key-header x-key --url https://a.example --event x",
            "--path",
        ),
        (
            "list --provider casapay --api-url https://api.example --key-header x-key",
            "--key-header is not for casapay",
        ),
    ] {
        let (kind, message) = program(&format!("endpoints {arguments}")).run().await.error(2);
        assert!(kind == "usage" && message.contains(says), "{arguments}: {message}");
    }
    let none = program("endpoints list --provider casapay").run().await;
    assert!(none.error(4).1.contains("CASAPAY_API_URL"));
    let none = program("endpoints list --provider casapay --api-url https://api.example").run().await;
    assert!(none.error(4).1.contains("CASAPAY_API_KEY"));
}

#[tokio::test]
async fn keys_are_not_shown_and_errors_say_what_to_do() {
    let world = World::start().await;
    let ran = world.casapay("list").env("CASAPAY_API_KEY", "sk_test_another-key").run().await;
    let (kind, message) = ran.error(4);
    assert!(kind == "configuration" && message.contains("401"), "{message}");
    ran.hides("sk_test_another-key");

    // Without leave, nothing goes over http, and nothing is subscribed to it.
    let url = world.simulator.casapay_url();
    let plain = program(&format!("endpoints list --provider casapay --api-url {url}"));
    let ran = plain.env("CASAPAY_API_KEY", CASAPAY_TEST_KEY).run().await;
    let (kind, message) = ran.error(2);
    assert!(kind == "invalid_url" && message.contains("https"), "{message}");
    assert!(message.contains("--allow-loopback"), "{message}");
    assert_eq!(world.simulator.calls().len(), 1);
    // Of another machine that is no advice.
    let away = program("endpoints list --provider casapay --api-url http://api.example");
    let (_, message) = away.env("CASAPAY_API_KEY", CASAPAY_TEST_KEY).run().await.error(2);
    assert!(message.contains("https") && !message.contains("--allow-loopback"), "{message}");
    // What the environment says is no mistake of the command line.
    let variable = program("endpoints list --provider casapay").env("CASAPAY_API_KEY", CASAPAY_TEST_KEY);
    assert_eq!(variable.env("CASAPAY_API_URL", "no URL").run().await.error(4).0, "invalid_url");
    let ran = world.casapay("list").env("CASAPAY_API_KEY", "sk_test\n_0123456789").run().await;
    assert_eq!(ran.error(4).0, "configuration");
    // The base URL of something else.
    let url = world.simulator.casapay_url();
    let create = format!("create --url {HOOK} --event invoice.paid --second {}", world.saving());
    for arguments in ["list", &create] {
        let elsewhere = program(&format!("endpoints {arguments} --provider casapay --allow-loopback"));
        let ran =
            elsewhere.arg(&format!("--api-url={url}/elsewhere")).env("CASAPAY_API_KEY", CASAPAY_TEST_KEY);
        let (kind, message) = ran.run().await.error(1);
        assert!(kind == "not_found" && message.contains("is this the base URL of the API?"), "{message}");
    }
    let (kind, message) = world.casapay("delete we_1").run().await.error(1);
    assert!(kind == "not_found" && !message.contains("base URL"), "{message}");

    let nobody = format!("127.0.0.1:{}", free_port());
    let away =
        program(&format!("endpoints list --provider casapay --api-url http://{nobody} --allow-loopback"));
    assert_eq!(away.env("CASAPAY_API_KEY", CASAPAY_TEST_KEY).run().await.error(5).0, "unreachable");
    for arguments in ["update we_1", "create --url https://a.example --event x"] {
        assert_eq!(world.casapay(arguments).run().await.error(2).0, "usage", "{arguments}");
    }
    assert_eq!(world.diddo("delete no-uuid").run().await.error(2).0, "usage");
}

#[tokio::test]
async fn no_endpoint_is_made_whose_secret_has_no_place() {
    let world = World::start().await;
    let create = format!("create --url {HOOK} --event invoice.paid");
    for directory in ["--save-to=nowhere", "--save-to=file"] {
        let ran = world.casapay(&create).file("file", "").arg(directory).run().await;
        assert_eq!(ran.error(6).0, "input");
    }
    assert!(world.simulator.calls().is_empty());

    world.simulator.plan_fault(Platform::CasaPay, Operation::Create, 1, Fault::LostAnswer);
    let (kind, message) = world.casapay(&create).arg(&world.saving()).run().await.error(5);
    assert!(kind == "outcome_unknown" && message.contains("may have been created"), "{message}");
    assert!(world.saved().is_empty());

    world.simulator.plan_fault(Platform::CasaPay, Operation::Create, 1, Fault::WithoutSecret);
    let create = create.replace("/hook", "/other");
    assert_eq!(world.casapay(&create).arg(&world.saving()).run().await.error(1).0, "secret_missing");
}

#[tokio::test]
async fn several_that_start_together_create_one_endpoint() {
    let world = World::start().await;
    // Long enough for all of them to have looked before the first has created.
    let slow = Fault::Slow(std::time::Duration::from_millis(300));
    world.simulator.plan_fault(Platform::CasaPay, Operation::Create, 1, slow);
    let ensure =
        || world.casapay(&format!("ensure --url {HOOK} --event invoice.paid")).arg(&world.saving()).run();
    let ran = futures_util::future::join_all((0..5).map(|_| ensure())).await;
    let changes: Vec<_> = ran.iter().map(|ran| ran.json(0)["change"].as_str().unwrap().to_owned()).collect();
    assert_eq!(changes.iter().filter(|change| *change == "created").count(), 1, "{changes:?}");
    assert_eq!(listed(world.casapay("list")).await.len(), 1);
    assert_eq!(world.saved().len(), 1, "more than the secret is left: {:?}", world.saved());
}

#[tokio::test]
async fn a_second_endpoint_is_made_where_that_is_meant() {
    let world = World::start().await;
    for platform in [World::casapay as fn(&World, &str) -> Program, World::diddo] {
        let event = if world.saved().is_empty() { "invoice.paid" } else { "order.submitted" };
        let create = |url: &str, more: &str| {
            platform(&world, &format!("create --url {url} --event {event} {more}")).arg(&world.saving()).run()
        };
        let first = id(&create(HOOK, "").await);
        // The same URL, written otherwise.
        let ran = create("http://127.0.0.1:09/hook", "").await;
        let (kind, message) = ran.error(2);
        assert_eq!(kind, "duplicate_endpoints");
        assert!(message.contains(&first) && message.contains("--second"), "{message}");
        assert_eq!(listed(platform(&world, "list")).await.len(), 1);
        create("http://127.0.0.1:9/other", "").await.json(0);
    }
    let second = format!("create --url {HOOK} --event charge.failed --second");
    let ran = world.casapay(&second).arg(&world.saving()).run().await;
    assert_eq!(listed(world.casapay("list")).await.len(), 3);
    // It says where the secret is, not only in which directory.
    let file = ran.json(0)["secret_in"].as_str().unwrap().to_owned();
    assert!(file.ends_with(&format!("casapay.{}.secret", id(&ran))) && PathBuf::from(file).is_file());
}

/// Whoever reads the source can sign with it.
#[tokio::test]
async fn the_public_secret_stays_on_this_machine() {
    let world = World::start().await;
    let create = |url: &str| world.caspay(&format!("create --url {url} --event payment.completed"));
    create(HOOK).arg("--development").run().await.json(0);
    let calls = world.simulator.calls().len();
    let public = "caspay-development-secret";
    let (kind, message) = create("https://shop.example/hook").arg("--development").run().await.error(4);
    assert!(kind == "configuration" && message.contains("public"), "{message}");
    // Nor under another name.
    let ran = create("https://shop.example/hook").env("CASPAY_WEBHOOK_SECRET", public).run().await;
    assert_eq!(ran.error(4).0, "configuration");
    let away =
        program(&format!("endpoints create --provider caspay --api-url https://api.example --url {HOOK}"));
    let away = away.arg("--path=/x").arg("--key-header=x-key").arg("--event=payment.completed");
    let ran = away.arg("--development").arg("--allow-loopback").env("CASPAY_API_KEY", CASPAY_KEY).run().await;
    assert!(ran.error(4).1.contains("public"), "{ran:?}");
    assert_eq!(world.simulator.calls().len(), calls);
}

/// Each by the code that is documented, and by a word of its own.
#[tokio::test]
async fn what_the_api_answers_has_its_exit_code() {
    let status = |status| Fault::Status { status, retry_after: None };
    let away = || Fault::Redirect("https://elsewhere.example/".to_owned());
    let world = World::start().await;
    for (fault, kind, says) in [
        (status(400), "bad_request", "400"),
        (status(409), "conflict", "409"),
        // What is asked for is longer than any call waits.
        (Fault::Status { status: 429, retry_after: Some(86_400) }, "rate_limited", "429"),
        (away(), "redirected", "307"),
        // No other status of a server says that it may pass.
        (status(501), "server", "501"),
        (status(418), "unexpected_status", "418"),
        (Fault::MalformedJson, "malformed", "JSON"),
    ] {
        world.simulator.plan_fault(Platform::CasaPay, Operation::List, 1, fault);
        let ran = world.casapay("list").run().await;
        let (found, message) = ran.error(1);
        assert!(found == kind && message.contains(says), "{kind}: {found}: {message}");
        ran.hides(CASAPAY_TEST_KEY);
    }
    world.simulator.plan_fault(Platform::CasaPay, Operation::List, 1, status(403));
    assert_eq!(world.casapay("list").run().await.error(4).0, "configuration");

    let endless = Recorder::default().start(|_| answer(200, r#"{"data":[],"has_more":true}"#)).await;
    let url = endless.url("");
    let list = program(&format!("endpoints list --provider casapay --api-url {url} --allow-loopback"));
    let (kind, message) = list.env("CASAPAY_API_KEY", CASAPAY_TEST_KEY).run().await.error(1);
    assert!(kind == "incomplete_list" && message.contains("more endpoints"), "{message}");
}

/// The directory is gone when the answer comes, and the secret has no place.
#[tokio::test]
async fn an_endpoint_whose_secret_cannot_be_stored_is_deleted_again() {
    let create = format!("create --url {HOOK} --event invoice.paid");
    for (is_undone, fault) in [(true, None), (false, Some(Fault::Status { status: 409, retry_after: None }))]
    {
        let world = World::start().await;
        let slow = Fault::Slow(std::time::Duration::from_secs(2));
        world.simulator.plan_fault(Platform::CasaPay, Operation::Create, 1, slow);
        if let Some(fault) = fault {
            world.simulator.plan_fault(Platform::CasaPay, Operation::Delete, 1, fault);
        }
        let run = tokio::spawn(world.casapay(&create).arg(&world.saving()).run());
        // The list and the creation.
        while world.simulator.calls().len() < 2 {
            tokio::task::yield_now().await;
        }
        std::fs::remove_dir_all(world.secrets.path()).unwrap();
        let ran = run.await.unwrap();
        let (kind, message) = ran.error(6);
        assert!(kind == "secret_not_stored" && message.contains("could not be stored"), "{message}");
        let left = listed(world.casapay("list")).await;
        let error: Value = serde_json::from_str(ran.stderr.trim()).unwrap();
        if is_undone {
            assert!(left.is_empty() && message.contains("it was deleted again"), "{left:?}: {message}");
            assert_eq!(error["error"].get("endpoints"), None);
        } else {
            let id = left[0]["id"].as_str().unwrap();
            assert!(message.contains(&format!("delete {id}, which failed")), "{message}");
            assert_eq!(error["error"]["endpoints"], serde_json::json!([id]));
        }
    }
}

#[tokio::test]
async fn two_creations_at_once_are_one() {
    let world = World::start().await;
    // Long enough for the other one to have looked before this one has created.
    let slow = Fault::Slow(std::time::Duration::from_millis(500));
    world.simulator.plan_fault(Platform::CasaPay, Operation::Create, 1, slow);
    let create =
        || world.casapay(&format!("create --url {HOOK} --event invoice.paid")).arg(&world.saving()).run();
    let (one, other) = tokio::join!(create(), create());
    let (done, refused) = if one.code == Some(0) { (one, other) } else { (other, one) };
    assert_eq!(refused.error(2).0, "duplicate_endpoints");
    assert!(refused.stderr.contains(&id(&done)), "{refused:?}");
    assert_eq!(listed(world.casapay("list")).await.len(), 1);
}

/// Before anybody is asked anything.
#[tokio::test]
async fn nothing_is_ensured_whose_secret_has_no_place() {
    let world = World::start().await;
    for directory in ["--save-to=nowhere", "--save-to=file"] {
        let ensure = world.casapay(&format!("ensure --url {HOOK} --event invoice.paid"));
        let (kind, message) = ensure.file("file", "").arg(directory).run().await.error(6);
        assert!(kind == "input" && message.contains(directory.trim_start_matches("--save-to=")), "{message}");
    }
    assert!(world.simulator.calls().is_empty());
}

/// What is created has to be found again by whoever was told that it failed.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_creation_that_cannot_be_told_says_what_there_is() {
    let world = World::start().await;
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let create = world.casapay(&format!("create --url {HOOK} --event invoice.paid")).arg(&world.saving());
    let ran = create.stdout(full).run().await;
    let (kind, message) = ran.error(6);
    let id = listed(world.casapay("list")).await[0]["id"].as_str().unwrap().to_owned();
    let file = world.saved()[0].display().to_string();
    assert!(kind == "input" && message.contains(&id) && message.contains(&file), "{message}");
    let error: Value = serde_json::from_str(ran.stderr.trim()).unwrap();
    assert_eq!(error["error"]["endpoints"], serde_json::json!([id]));
    ran.hides(&world.secret());
}

#[cfg(unix)]
mod interrupted {
    use std::process::Stdio;
    use std::time::{Duration, SystemTime};

    use rustix::process::Signal;
    use tokio::io::{AsyncBufReadExt as _, BufReader};
    use tokio::process::{Child, Command};

    use super::super::interrupt::send;
    use super::super::program::path;
    use super::*;

    /// The program, to be dealt with while it runs.
    fn command(world: &World, action: &str, hook: &str) -> Command {
        let mut command = Command::new(path());
        command
            .args(["endpoints", action, "--provider=casapay", "--allow-loopback", "--event=invoice.paid"])
            .arg(format!("--api-url={}", world.simulator.casapay_url()))
            .arg(format!("--url={hook}"))
            .arg(world.saving())
            .env_clear()
            .env("CASAPAY_API_KEY", CASAPAY_TEST_KEY)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// A creation that the API has begun, and will answer in the time given.
    async fn creating(world: &World, takes: Duration) -> Child {
        world.simulator.plan_fault(Platform::CasaPay, Operation::Create, 1, Fault::Slow(takes));
        let child = command(world, "create", HOOK).spawn().unwrap();
        // The list and the creation.
        while world.simulator.calls().len() < 2 {
            tokio::task::yield_now().await;
        }
        child
    }

    /// From the keyboard, by a deployment, and by a terminal that is closed.
    const SIGNALS: [Signal; 3] = [Signal::INT, Signal::TERM, Signal::HUP];

    #[tokio::test]
    async fn a_creation_is_finished_first() {
        let ran = SIGNALS.map(async |signal| {
            let world = World::start().await;
            let child = creating(&world, Duration::from_secs(2)).await;
            send(&child, signal);
            let output = child.wait_with_output().await.unwrap();
            assert_eq!(output.status.code(), Some(0), "{signal:?}: {output:?}");
            assert!(String::from_utf8(output.stderr).unwrap().contains("is being finished"));
            assert_eq!(world.saved().len(), 1);
            assert!(world.secret().len() >= 16);
        });
        futures_util::future::join_all(ran).await;
    }

    #[tokio::test]
    async fn who_insists_is_told_what_may_be_left() {
        for (first, second) in
            [(Signal::INT, Signal::INT), (Signal::TERM, Signal::INT), (Signal::INT, Signal::HUP)]
        {
            let world = World::start().await;
            let mut child = creating(&world, Duration::from_secs(60)).await;
            let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
            send(&child, first);
            assert!(said.next_line().await.unwrap().unwrap().contains("is being finished"));
            send(&child, second);
            assert!(said.next_line().await.unwrap().unwrap().contains("may have been created"));
            assert_eq!(child.wait().await.unwrap().code(), Some(130));
        }
    }

    /// Whoever waits for it goes on when it is dead, and not when what it left has become old.
    #[tokio::test]
    async fn a_run_that_is_killed_keeps_nobody_waiting() {
        let world = World::start().await;
        let mut first = creating(&world, Duration::from_secs(3600)).await;
        // It will not become old.
        let lock = std::fs::File::options().write(true).open(world.lock()).unwrap();
        lock.set_modified(SystemTime::now() + Duration::from_secs(86_400)).unwrap();

        let mut second = command(&world, "ensure", "http://127.0.0.1:9/other").spawn().unwrap();
        let mut said = BufReader::new(second.stderr.take().unwrap()).lines();
        assert!(said.next_line().await.unwrap().unwrap().contains("waiting for another run"));
        assert_eq!(world.simulator.calls().len(), 2, "one at a time");
        first.kill().await.unwrap();
        let output = second.wait_with_output().await.unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?} {:?}", said.next_line().await);
        assert_eq!(world.saved().len(), 1);

        // Nor does what is left of both stand in anybody's way.
        let third = command(&world, "ensure", "http://127.0.0.1:9/other").output().await.unwrap();
        assert_eq!((third.status.code(), &*third.stderr), (Some(0), &b""[..]), "{third:?}");
    }
}

/// An API that answers a creation with the endpoint that there is: its secret is in use, and so is the endpoint.
#[tokio::test]
async fn what_was_there_before_is_neither_overwritten_nor_deleted() {
    const IN_USE: &str = "whsec_the-secret-that-is-in-use";
    for command in ["create --second", "ensure"] {
        let secrets = tempfile::tempdir().unwrap();
        let file = secrets.path().join("casapay.we_1.secret");
        std::fs::write(&file, IN_USE).unwrap();
        let (recorder, directory) = (Recorder::default(), secrets.path().to_owned());
        let announced = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&announced);
        let server = recorder
            .start(move |number| {
                if number == 0 {
                    return answer(
                        200,
                        r#"{"data":[{"id":"we_1","object":"webhook_endpoint","url":"http://127.0.0.1:9/other","enabled_events":["x"],"status":"enabled"}]}"#,
                    );
                }
                let names = std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name());
                let is_announced = names.into_iter().any(|name| name.to_string_lossy().ends_with(".announced"));
                seen.store(is_announced, Ordering::Relaxed);
                answer(
                    200,
                    r#"{"id":"we_1","object":"webhook_endpoint","url":"http://127.0.0.1:9/hook","enabled_events":["x"],"status":"enabled","secret":"whsec_of-the-second-answer"}"#,
                )
            })
            .await;
        let ran = program(&format!(
            "endpoints {command} --provider casapay --allow-loopback --api-url {} --url {HOOK} --event invoice.paid \
             --save-to {}",
            server.url(""),
            secrets.path().display()
        ));
        let ran = ran.env("CASAPAY_API_KEY", CASAPAY_TEST_KEY).run().await;
        let (kind, message) = ran.error(1);
        assert!(kind == "conflict" && message.contains("this program prints no secret"), "{message}");
        ran.hides("whsec_of-the-second-answer");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), IN_USE, "{command}");
        assert_eq!(recorder.methods(), [http::Method::GET, http::Method::POST], "{command}");
        assert!(announced.load(Ordering::Relaxed), "{command}: before it is created");
    }
}
