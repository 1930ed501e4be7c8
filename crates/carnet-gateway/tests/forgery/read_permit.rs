//! A permit cannot be read from data.

fn read(text: &str) -> carnet_policy::Permit {
    serde_json::from_str(text).unwrap()
}

fn main() {}
