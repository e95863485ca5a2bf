//! The program `tower-webhook`, driven as a person would: arguments, variables, files and a keyboard go in, and
//! standard output, standard error and the exit code come out.

mod capture;
mod endpoints;
#[cfg(unix)]
mod interrupt;
mod program;
mod providers;
mod recorder;
mod replay;
mod secrets;
mod send;
mod sign;
mod terminal;
#[cfg(all(unix, not(target_vendor = "apple")))] // elsewhere no file says whom the system trusts
mod tls;
mod verify;
