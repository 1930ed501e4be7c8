//! Say what a model is: identity, producer, lineage, host and jurisdiction, each as a sourced claim.
