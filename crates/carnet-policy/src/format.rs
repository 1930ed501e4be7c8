//! Rule files laid out as Cedar's own tools do it.

use cedar_policy_formatter::{Config, policies_str_to_pretty};

use crate::codes::Code;
use crate::problem::{Place, PolicyProblem};
use crate::shape;

/// The text of a rule file, laid out; comments stay. What it says does not change, and a text that is
/// laid out stays as it is.
///
/// # Errors
/// When it is no Cedar; `pack` and `file` name it.
pub fn format_rules(pack: &str, file: &str, text: &str) -> Result<String, Box<PolicyProblem>> {
    let place = Place { pack, file, text };
    if let Some((offset, message)) = shape::excess(text) {
        let help = "split the rule, or ask a set: `[\"…\", \"…\"].contains(…)`";
        return Err(Box::new(
            place.problem(offset, Code::BadCedar, message).help(help),
        ));
    }
    let config = Config {
        line_width: 100,
        indent_width: 4,
    };
    match policies_str_to_pretty(text, &config) {
        Ok(pretty) => Ok(format!("{}\n", pretty.trim_end())),
        Err(error) => {
            let help = "`carnet policy validate` names the place";
            let problem = place.problem(0, Code::BadCedar, error.to_string());
            Err(Box::new(problem.help(help)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn shipped_rules_keep_their_meaning_and_settle_after_one_pass() {
        for source in fixture::shipped_packs() {
            for (file, text) in source
                .files
                .iter()
                .filter(|(file, _)| file.ends_with(".cedar"))
            {
                let once = format_rules(&source.name, file, text).unwrap();
                let twice = format_rules(&source.name, file, &once).unwrap();
                assert_eq!(once, twice, "{}/{file}", source.name);
                let marks = |text: &str| text.matches("Parameter::\"").count();
                assert_eq!(marks(text), marks(&once), "{}/{file}", source.name);
            }
        }
    }

    #[test]
    fn comments_stay_and_what_is_no_cedar_is_told() {
        let text = "// why\n@id(\"a\") @title(\"A\") permit(principal,action,resource) when{resource.identified};";
        let pretty = format_rules("p", "rules.cedar", text).unwrap();
        assert!(pretty.starts_with("// why\n@id(\"a\")\n@title(\"A\")\npermit (principal, action, resource)\nwhen { resource.identified };"), "{pretty}");
        assert!(format_rules("p", "rules.cedar", "permit;").is_err());
        let deep = format!(
            "permit (principal, action, resource) when {{ {}true{} }};",
            "(".repeat(99),
            ")".repeat(99)
        );
        assert!(format_rules("p", "rules.cedar", &deep).is_err());
    }
}
