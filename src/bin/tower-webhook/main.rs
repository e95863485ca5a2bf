//! The program `tower-webhook`: signs, verifies, sends and replays webhooks.
//!
//! [`args`] is the command line, [`commands`] has a file for each command. What they share: [`secret`] reads secrets
//! from anywhere but the command line, [`capture`] reads requests that somebody has kept, [`platform`] is a preset with
//! what the environment says of it, [`client`] sends, [`interrupt`] takes Ctrl-C and other signals, [`output`] writes for
//! people and for programs, and [`exit`] has the table of exit codes.

mod args;
mod capture;
mod client;
mod commands;
mod exit;
mod interrupt;
mod output;
mod platform;
mod secret;
// The library's rule, which is nobody else's business.
#[path = "../../endpoints/sink/written.rs"]
mod written;

use std::env;
use std::ffi::OsString;
use std::process::ExitCode;

use self::args::{Args, Command};
use self::exit::{Exit, Failure};
use self::output::Output;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = env::args_os().collect();
    let output = Output::new(&arguments);
    let args = match args::parse(&arguments) {
        Ok(args) => args,
        Err(args::Refused::Asked(text)) => return end(&output, output.text(&text).map(|()| Exit::Done)),
        Err(args::Refused::Mistaken(failure)) => return end(&output, Err(failure)),
    };
    end(&output, run(args, &output))
}

fn run(Args { command, .. }: Args, output: &Output) -> Result<Exit, Failure> {
    let output = *output;
    // All of them run within a runtime, which takes signals.
    client::block_on(async {
        interrupt::watch(output);
        match command {
            Command::Providers(args) => commands::providers::run(&args, &output),
            Command::Endpoints(args) => commands::endpoints::run(&args, &output).await,
            Command::Sign(args) => commands::sign::run(&args, &output),
            Command::Verify(args) => commands::verify::run(&args, &output),
            Command::Send(args) => commands::send::run(&args, &output).await,
            Command::Replay(args) => commands::replay::run(&args, &output).await,
        }
    })
}

fn end(output: &Output, result: Result<Exit, Failure>) -> ExitCode {
    let exit = result.unwrap_or_else(|failure| {
        output.failure(&failure);
        failure.exit
    });
    ExitCode::from(exit.code())
}
