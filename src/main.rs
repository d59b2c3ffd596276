fn main() {
    let mut arguments = std::env::args_os().skip(1);
    if arguments
        .next()
        .is_some_and(|first| first == mtsec_agents::sandbox::INIT_ARGUMENT)
    {
        mtsec_agents::sandbox::init_main(arguments);
    }
}
