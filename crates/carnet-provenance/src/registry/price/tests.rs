//! Figures as text, and the cost of requests.

use proptest::prelude::*;

use super::*;
use crate::HostId;
use crate::fixture::{day, today, view};

fn cloud() -> HostId {
    HostId::from("cloud")
}

fn price(name: &str) -> Price {
    view().price(&cloud(), name, today()).unwrap().clone()
}

#[test]
fn a_figure_is_read_exactly_and_written_back() {
    for (text, billionths, back) in [
        ("0", 0, "0"),
        ("0.00", 0, "0"),
        ("2.50", 2_500_000_000, "2.5"),
        ("10", 10_000_000_000, "10"),
        ("0.0028", 2_800_000, "0.0028"),
        ("0.000000001", 1, "0.000000001"),
        (
            "17999999999.999999999",
            17_999_999_999_999_999_999,
            "17999999999.999999999",
        ),
    ] {
        let figure: PerMillion = text.parse().unwrap();
        assert_eq!(figure.billionths(), billionths, "{text}");
        assert_eq!(figure.to_string(), back);
        assert_eq!(text.parse(), Ok(Amount(billionths)));
        assert_eq!(Amount(billionths).to_string(), back);
    }
    for text in [
        "",
        ".",
        ".5",
        "5.",
        "+1",
        "-1",
        "1e3",
        "1,5",
        "1_000",
        "1.-5",
        "1.5.0",
        " 1",
        "1 ",
        "٣",
        "NaN",
        "0x10",
        "0.0000000001",
        "18000000000",
        "99999999999999999999999",
    ] {
        assert!(text.parse::<PerMillion>().is_err(), "{text}");
    }
}

#[test]
fn the_length_of_the_whole_prompt_chooses_the_figures() {
    let price = price("alder.r1-v1:0");
    for (input, cached_input, cache_write, of_input) in [
        (200_000, 0, 0, 2_500_000_000),
        (200_001, 0, 0, 5_000_000_000),
        (1, 199_999, 0, 2_500_000_000),
        (1, 199_999, 1, 5_000_000_000),
        (1, u64::MAX, u64::MAX, 5_000_000_000),
    ] {
        let tokens = TokenCounts {
            input,
            cached_input,
            cache_write,
            // The answer is no part of the prompt.
            output: 1_000_000,
        };
        let figures = price.figures_for(tokens.prompt());
        assert_eq!(figures.input, PerMillion(of_input), "{tokens:?}");
    }
}

#[test]
fn a_missing_figure_counts_as_the_input_s() {
    let tokens = TokenCounts {
        input: 1_000_000,
        cached_input: 2_000_000,
        cache_write: 3_000_000,
        output: 4_000_000,
    };
    // Long: 5 for input, and for both of the cache as it has no figures there; 15 for output.
    let long = 5 + 2 * 5 + 3 * 5 + 4 * 15;
    assert_eq!(price("alder.r1-v1:0").cost(&tokens), long * BILLION);
    assert_eq!(price("birch").cost(&tokens), (1 + 2 + 3 + 4 * 2) * BILLION);
}

#[test]
fn a_cost_is_rounded_up_once() {
    let price = price("birch-embed");
    let cost = |input, output| {
        price.cost(&TokenCounts {
            input,
            output,
            ..TokenCounts::default()
        })
    };
    assert_eq!(cost(0, 0), 0);
    assert_eq!(cost(1, 0), 1);
    assert_eq!(cost(500_000, 500_000), 1);
    assert_eq!(cost(1_000_001, 0), 2);
}

#[test]
fn a_price_holds_from_its_first_day_to_the_day_before_its_end() {
    let view = view();
    let input = |name, on| {
        let price = view.price(&cloud(), name, day(on));
        price.map(|price| price.figures.input.to_string())
    };
    assert_eq!(input("birch", "2026-02-28").as_deref(), Some("1"));
    assert_eq!(input("birch", "2026-03-01").as_deref(), Some("1.5"));
    let changes = |on| view.price_changes(&cloud(), "birch", day(on));
    assert_eq!(changes("2026-02-28"), Some(day("2026-03-01")));
    assert_eq!(changes("2026-03-01"), None);
    // A name is exact, and one host says nothing about another.
    assert_eq!(input("Birch", "2026-03-01"), None);
    assert_eq!(input("birch-9", "2026-03-01"), None);
    assert_eq!(view.price(&HostId::from("orphan"), "birch", today()), None);
    let price = price("alder.r1-v1:0");
    assert_eq!(price.currency.as_str(), "QXA");
    assert_eq!(&*price.evidence.source, "https://x.example");
    assert_eq!(price.note.as_deref(), Some("less at night"));
}

#[test]
fn a_price_is_a_claim_of_one_line() {
    let claim = price("alder.r1-v1:0").claim();
    assert_eq!(
        claim.value,
        "alder.r1-v1:0: QXA input 2.5, output 10, cached_input 0.25; \
         above 200000 tokens input 5, output 15; less at night"
    );
    assert_eq!(claim.confidence, Some(crate::Confidence::High));
    let claim = price("birch").claim();
    assert_eq!(claim.valid_to, Some(day("2026-03-01")));
}

fn figures(most: u64) -> impl Strategy<Value = Figures> {
    let figure = move || (0..=most).prop_map(PerMillion);
    let maybe = move || prop::option::of(figure());
    (figure(), maybe(), maybe(), maybe()).prop_map(|(input, output, cached_input, cache_write)| {
        Figures {
            input,
            output,
            cached_input,
            cache_write,
        }
    })
}

fn counts(most: u64) -> impl Strategy<Value = TokenCounts> {
    (0..=most, 0..=most, 0..=most, 0..=most).prop_map(
        |(input, cached_input, cache_write, output)| TokenCounts {
            input,
            cached_input,
            cache_write,
            output,
        },
    )
}

/// What a request costs, times a million: exact, as long as it fits 128 bits.
fn millionfold(figures: &Figures, tokens: &TokenCounts) -> u128 {
    let times = |count: u64, figure: Option<PerMillion>| {
        u128::from(count) * u128::from(figure.unwrap_or(figures.input).0)
    };
    times(tokens.input, None)
        + times(tokens.cached_input, figures.cached_input)
        + times(tokens.cache_write, figures.cache_write)
        + times(tokens.output, figures.output)
}

proptest! {
    #[test]
    fn a_cost_is_the_exact_one_rounded_up(
        usual in figures(1 << 40),
        long in figures(1 << 40),
        above in 1_u32..1_000_000,
        tokens in prop_oneof![counts(1_000_000), counts(1 << 50)],
    ) {
        let price = Price {
            figures: usual,
            long_prompts: Some(LongPrompts { above, figures: long }),
            ..price("birch")
        };
        let prompt = u128::from(tokens.input) + u128::from(tokens.cached_input) + u128::from(tokens.cache_write);
        let figures = if prompt > u128::from(above) { long } else { usual };
        let exact = millionfold(&figures, &tokens);
        let cost = u128::from(price.cost(&tokens));
        prop_assert!(cost * MILLION >= exact || cost == u128::from(u64::MAX), "too little");
        prop_assert!(cost == 0 || (cost - 1) * MILLION < exact, "too much");
    }

    #[test]
    fn no_count_is_too_large(usual in figures(u64::MAX), tokens in counts(u64::MAX)) {
        let price = Price { figures: usual, ..price("birch") };
        // One part alone never costs more than all of them.
        let alone = TokenCounts { output: tokens.output, ..TokenCounts::default() };
        prop_assert!(price.cost(&alone) <= price.cost(&tokens));
    }

    #[test]
    fn what_is_written_is_read_as_the_same(billionths in 0..WHOLE_MAX * BILLION) {
        let figure = PerMillion(billionths);
        prop_assert_eq!(figure.to_string().parse(), Ok(figure));
    }
}

#[test]
fn the_most_tokens_at_the_highest_price_cost_the_largest_number() {
    let most = PerMillion(u64::MAX);
    let price = Price {
        figures: Figures {
            input: most,
            output: Some(most),
            cached_input: Some(most),
            cache_write: Some(most),
        },
        ..price("birch")
    };
    let tokens = TokenCounts {
        input: u64::MAX,
        cached_input: u64::MAX,
        cache_write: u64::MAX,
        output: u64::MAX,
    };
    assert_eq!(price.cost(&tokens), u64::MAX);
}
