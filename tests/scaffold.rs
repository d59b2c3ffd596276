//! The driver at the real Aider, with a scripted model behind a real HTTP server; and at small fake agents for faults
//! that the real one does not show on demand.

#[path = "scaffold/bench.rs"]
mod bench;
#[path = "scaffold/codex.rs"]
mod codex;
mod common;
#[path = "scaffold/exec_faults.rs"]
mod exec_faults;
#[path = "scaffold/faults.rs"]
mod faults;
#[path = "scaffold/install.rs"]
mod install;
#[path = "scaffold/model.rs"]
mod model;
#[path = "scaffold/packed.rs"]
mod packed;
#[path = "scaffold/real.rs"]
mod real;
#[path = "scaffold/replace.rs"]
mod replace;
#[path = "scaffold/responses.rs"]
mod responses;
#[path = "scaffold/script.rs"]
mod script;
#[path = "scaffold/shim_faults.rs"]
mod shim_faults;
#[path = "scaffold/time.rs"]
mod time;
