//! The template engine as chat templates expect it, and its bounds.

use super::*;

fn render(source: &str) -> Result<String, Refusal> {
    let template = Template::new(source, "t".to_owned())?;
    let context: Value = serde_json::from_str(
        r#"{"text": "a,b", "tool": {"z": 1, "a": ["é", "<&'", {}], "e": []}}"#,
    )
    .unwrap();
    template.render(context, Some(jiff::civil::date(2031, 2, 3).at(4, 5, 6, 0)))
}

#[test]
fn what_templates_use_is_there() {
    for (source, expected) in [
        (
            "{{ text.split(',')[-1] }}{{ text.startswith('a') }}",
            "bTrue",
        ),
        (
            "{{ ' x '.strip() }}|{{ 'xyx'.lstrip('x') }}|{{ text | trim }}",
            "x|yx|a,b",
        ),
        (
            "{{ tool.items() | length }}{% for k, v in tool.items() %}{{ k }}{% endfor %}",
            "3zae",
        ),
        ("{{ strftime_now('%d %b %Y') }}", "03 Feb 2031"),
        (
            "{% for i in [1,2,3] %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}",
            "1",
        ),
        ("a\n  {% if true %}\nb\n  {% endif %}\nc\n", "a\nb\nc"),
        ("{%- generation -%} x {%- endgeneration %}", "x"),
        (
            "{{ none is defined }}{{ missing is defined }}{{ missing }}",
            "TrueFalse",
        ),
        (
            "{{ tool | tojson }}",
            r#"{"z": 1, "a": ["é", "<&'", {}], "e": []}"#,
        ),
        (
            "{{ [1, [2]] | tojson(indent=2) }}",
            "[\n  1,\n  [\n    2\n  ]\n]",
        ),
        (
            "{{ {'a': []} | tojson(indent=2, ensure_ascii=false) }}",
            "{\n  \"a\": []\n}",
        ),
        (
            "{% macro m(x) %}<{{ x }}>{% endmacro %}{{ m(text) }}",
            "<a,b>",
        ),
        (
            "{{ messages is defined }}{% set ns = namespace(a=1) %}{% set ns.a = 2 %}{{ ns.a }}",
            "False2",
        ),
    ] {
        assert_eq!(render(source).as_deref(), Ok(expected), "{source}");
    }
}

#[test]
fn bombs_end_in_an_error() {
    for (source, code) in [
        (
            "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
            Code::TemplateInvalid,
        ),
        (
            "{% set x = 'a' * 99999999 %}{% set y = x * 90 %}",
            Code::TemplateOverLimit,
        ),
        (
            "{{ ('a' * 1000000).replace('a', 'b' * 1000000) }}",
            Code::TemplateOverLimit,
        ),
        ("{{ 'a' * 5000000 }}", Code::TemplateOverLimit),
        (
            "{{ ('a' * 100000) | replace('a', 'b' * 1000000) }}",
            Code::TemplateOverLimit,
        ),
        ("{{ ['a' * 100000] * 1000 | join }}", Code::TemplateInvalid),
        ("{{ '%999999999d' | format(1) }}", Code::TemplateOverLimit),
        ("{{ '{:999999999}'.format(1) }}", Code::TemplateOverLimit),
    ] {
        let error = render(source).map(|text| text.len()).map_err(|e| e.code);
        assert_eq!(error, Err(code), "{source}");
    }
}

#[test]
fn values_within_values_do_not_overflow_the_stack() {
    let last = [
        "",
        "{{ ns.l }}",
        "{{ ns.l | tojson }}",
        "{{ ns.l == [ns.l] }}",
        "{{ ns.l | pprint }}",
        "{{ ns.l | sort }}",
    ];
    for shape in ["[ns.l]", "{'a': ns.l}", "namespace(a=ns.l)"] {
        for end in last {
            let once =
                format!("{{% for i in range(99999) %}}{{% set ns.l = {shape} %}}{{% endfor %}}");
            let source = format!("{{% set ns = namespace(l=1) %}}{once}{once}{end}");
            // What comes of it does not matter, but the process must be there to tell.
            let _ = render(&source);
        }
    }
}

#[test]
fn refusals_of_a_template_are_told_from_its_faults() {
    let refused = render("{{ raise_exception('roles must alternate') }}").unwrap_err();
    assert_eq!(refused.code, Code::TemplateRefused);
    assert!(
        refused.reason.contains("`roles must alternate`"),
        "{refused}"
    );
    let broken = render("line\n{{ text.nothing() }}").unwrap_err();
    assert_eq!(
        (broken.code, broken.place.as_str()),
        (Code::TemplateInvalid, "t:2")
    );
    let long = " ".repeat(TEMPLATE_BYTES_MAX + 1);
    assert_eq!(
        render(&long).map_err(|e| e.code),
        Err(Code::TemplateOverLimit)
    );
    let template = Template::new("{{ strftime_now('%Y') }}", String::new()).unwrap();
    let failed = template.render(Value::default(), None);
    assert_eq!(failed.map_err(|e| e.code), Err(Code::TemplateInvalid));
}

#[test]
fn a_deep_template_does_not_overflow_the_stack() {
    let chain = |start: &str, link: &str, end: &str| {
        // An eighth of what is allowed, as some take time that grows with the square.
        let room = TEMPLATE_BYTES_MAX / 8;
        // What comes of it does not matter, but the process must be there to tell.
        let _ = render(&format!("{start}{}{end}", link.repeat(room / link.len())));
    };
    for link in [
        "-",
        "not ",
        "(",
        "[",
        "{1:",
        "1+",
        "1~",
        "1 if 1 else ",
        "1 and ",
        "1<",
        "x(",
        "x[",
        "2**",
    ] {
        chain("{{ ", link, "");
        chain("{{ ", link, "1 }}");
    }
    for link in [
        ".a",
        "|e",
        "[0]",
        "()",
        " is defined",
        "+1",
        "[:1]",
        ",1",
        " or 1",
    ] {
        chain("{{ tool", link, " }}");
    }
    for link in [
        "{% if 1 %}",
        "{% for x in y %}",
        "{% macro m() %}",
        "{% set x %}",
        "{% filter e %}",
    ] {
        chain("", link, "");
    }
    chain("{% if 0 %}", "{%elif 0%}", "{% endif %}");
}

#[test]
fn a_template_that_takes_too_long_is_not_waited_for() {
    let (hold, held) = std::sync::mpsc::channel::<()>();
    let work = move || Ok(held.recv().is_ok());
    let error = deep("t", Duration::ZERO, work).map_err(|e| e.code);
    assert_eq!(error, Err(Code::TemplateOverLimit));
    drop(hold);
    let error = deep::<()>("t", TEMPLATE_TIME, || {
        panic!("as a fault in the engine would")
    });
    assert_eq!(error.map_err(|e| e.code), Err(Code::ComputeFailed));
}
