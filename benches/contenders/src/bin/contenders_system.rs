//! All contenders with the system's allocator.

fn main() -> std::process::ExitCode {
    malstrom_contenders::main("system")
}
