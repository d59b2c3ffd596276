use mtsec_agents::process::{SHEPHERD, shepherd_main};

fn main() {
    let args: Vec<std::ffi::OsString> = std::env::args_os().collect();
    if args.get(1).is_some_and(|name| name == SHEPHERD) {
        std::process::exit(shepherd_main(&args[2..]));
    }
}
