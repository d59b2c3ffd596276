//! The gateway as agents, providers and the runner see it: over HTTP and in its records.

mod bounds;
mod budget;
mod catalogue;
mod contamination;
mod dialects;
mod edits;
mod passed_on;
mod provider;
mod replay;
mod route;
mod scripted;
mod streams;
mod support;
mod system;
mod thinking;
mod upstream;
