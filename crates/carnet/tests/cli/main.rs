//! The commands as they are typed: the built binary in a folder of its own, with its exit code and
//! what it says on both streams. No network, no clock but the machine's.

#![cfg(test)]

mod audit;
mod backup;
mod bom;
mod check;
mod config;
mod demo;
mod doctor;
mod engine;
mod evidence;
mod evidence_hostile;
mod facts;
mod files;
mod help;
mod import;
mod key;
mod pipes;
mod policy;
mod policy_tools;
mod registry;
mod registry_bundle;
mod registry_hostile;
mod registry_view;
mod registry_world;
mod resolve;
mod sandbox;
mod serve;
mod traps;
