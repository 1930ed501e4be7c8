//! Facts and rules of an operator, as tests write them.

use crate::sandbox::Sandbox;

/// A machine of which everything is told, in the US.
pub(crate) const RACK: &str = r#"
[[host]]
id = "rack"
operator = "Rented Rack"
country = "US"
parent_country = "US"
kind = "inference"
regions = [{ id = "us-1", country = "US" }]
complete = true
reason = "our own contract"
author = "security office"
until = "2099-12-31"
"#;

impl Sandbox {
    /// Write a pack with these rules into a folder.
    pub(crate) fn pack(&self, folder: &str, rules: &str) -> &Self {
        let name = folder.rsplit('/').next().unwrap();
        let settings = format!(
            "name = \"{name}\"\ntitle = \"a test\"\ndescription = \"a test\"\nmode = \"enforce\"\ntrust = \"overlay\"\n"
        );
        self.write(&format!("{folder}/pack.toml"), settings)
            .write(&format!("{folder}/rules.cedar"), rules)
    }

    /// A folder with one's own machine: `rack.toml`.
    pub(crate) fn with_rack() -> Self {
        let sandbox = Self::new();
        sandbox.write("rack.toml", RACK);
        sandbox
    }
}
