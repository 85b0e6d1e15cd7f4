fn main() -> std::process::ExitCode {
    krakend_node::cli::main()
}
