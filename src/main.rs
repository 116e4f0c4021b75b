//! The `tidegate` program: wiring only.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use tidegate::cli::args::{Invocation, parse_from};
use tidegate::cli::{
    EXIT_MISTAKES, build, check, demo, explain, import, manual, remote, run, settings, top, verify,
};
use tidegate::config::{Settings, Sources, load};

fn main() -> ExitCode {
    match parse_from(std::env::args_os()) {
        Ok(Invocation::Run(sources)) => with(&sources, |settings| run::run(settings, &sources)),
        Ok(Invocation::Check(sources)) => with(&sources, check::check),
        Ok(Invocation::Explain { statement, sources, .. }) if sources.is_empty() => {
            explain::by_text(&statement)
        }
        Ok(Invocation::Explain { statement, database, sources }) => {
            with(&sources, |settings| explain::with_database(settings, database.as_deref(), &statement))
        }
        Ok(Invocation::Report(args)) => remote::report(&args),
        Ok(Invocation::Learned(args)) => remote::learned(&args),
        Ok(Invocation::Top(args)) => top::top(&args),
        Ok(Invocation::Demo(args)) => demo::demo(&args),
        Ok(Invocation::Verify(args)) => verify::verify(&args),
        Ok(Invocation::Import(args)) => import::import(&args),
        Ok(Invocation::ConfigPrint(sources)) => settings::print(&sources),
        Ok(Invocation::ConfigSchema) => settings::schema(),
        Ok(Invocation::ConfigReference) => settings::reference(),
        Ok(Invocation::Completions(args)) => manual::completions(&args),
        Ok(Invocation::Man(args)) => manual::man(&args),
        Ok(Invocation::Version) => build::version(),
        Err(refusal) if refusal.exit_code == 0 => {
            print!("{}", refusal.text);
            ExitCode::SUCCESS
        }
        Err(refusal) => {
            eprint!("{}", refusal.text);
            ExitCode::from(refusal.exit_code)
        }
    }
}

fn with(sources: &Sources, command: impl FnOnce(&Settings) -> ExitCode) -> ExitCode {
    match load(sources) {
        Ok(settings) => command(&settings),
        Err(mistakes) => {
            eprintln!("{mistakes}");
            ExitCode::from(EXIT_MISTAKES)
        }
    }
}
