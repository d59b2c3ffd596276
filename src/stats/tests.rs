//! Reference values: SciPy 1.17 and statsmodels 0.15 (`mcnemar`, `proportion_confint(method="wilson")`,
//! `multipletests(method="holm")`; mid-p: statsmodels' exact value less `scipy.stats.binom.pmf`).

use super::*;

fn close(found: f64, expected: f64) -> bool {
    (found - expected).abs() <= 1e-9 * expected.abs().max(1e-3)
}

#[test]
fn paired_tests_give_the_reference_values() {
    // b, c, exact, mid-p, chi-square, the same corrected.
    let reference = [
        (0, 0, 1.0, 1.0, 1.0, 1.0),
        (1, 7, 0.0703125, 0.0390625, 0.033894853524689295, 0.07709987174354202),
        (0, 6, 0.03125, 0.015625, 0.014305878435429641, 0.041226833337163815),
        (
            3,
            12,
            0.03515625,
            0.02127075195312501,
            0.02013675155034633,
            0.03886710381241731,
        ),
        (
            40,
            25,
            0.08168153394154003,
            0.06401750413722561,
            0.06281184751609843,
            0.08247788747320971,
        ),
        (
            120,
            180,
            0.0006342200069283566,
            0.0005224207099608604,
            0.0005320055051392492,
            0.000658337169557234,
        ),
        (
            700,
            600,
            0.0060157938610449395,
            0.005543558709501235,
            0.0055456673152440615,
            0.006036981097798615,
        ),
        (
            2000,
            2150,
            0.020715456049267052,
            0.01989205222148063,
            0.019888137642811287,
            0.02072656691311975,
        ),
    ];
    for (b, c, exact, mid_p, chi2, corrected) in reference {
        for (pairs, turned) in [(Discordant { b, c }, false), (Discordant { b: c, c: b }, true)] {
            let found = [
                PairedTest::Exact,
                PairedTest::MidP,
                PairedTest::Chi2,
                PairedTest::Chi2Corrected,
            ]
            .map(|test| test.p_value(pairs));
            for (found, expected) in found.into_iter().zip([exact, mid_p, chi2, corrected]) {
                assert!(
                    close(found, expected),
                    "{pairs:?} turned {turned}: {found} is not {expected}"
                );
            }
        }
    }
    // As many on either side: no difference at all. (statsmodels corrects beyond 0 here, R does not.)
    let even = Discordant { b: 5, c: 5 };
    let found = PairedTest::ALL.map(|test| test.p_value(even));
    for (found, expected) in found.into_iter().zip([1.0, 0.876953125, 1.0, 1.0]) {
        assert!(close(found, expected), "{found} is not {expected}");
    }
}

#[test]
fn the_least_difference_that_can_show_is_the_first_below_the_bound() {
    // 2 · 2⁻⁵ = 0.0625, 2 · 2⁻⁶ = 0.03125.
    assert_eq!(PairedTest::Exact.fewest_pairs(0.05), 6);
    assert_eq!(PairedTest::Exact.least_significant(5, 0.05), None);
    assert_eq!(PairedTest::Exact.least_significant(6, 0.05), Some(6));
    // 2 and 7 of 9: p = 0.18; 1 and 8: 0.039.
    assert_eq!(PairedTest::Exact.least_significant(9, 0.05), Some(7));
    for (test, discordant) in PairedTest::ALL
        .into_iter()
        .flat_map(|test| (0..60).map(move |count| (test, count)))
    {
        let least = test.least_significant(discordant, 0.05);
        for fewer in 0..=discordant / 2 {
            let pairs = Discordant {
                b: fewer,
                c: discordant - fewer,
            };
            let shows = least.is_some_and(|least| pairs.c - pairs.b >= least);
            assert_eq!(test.p_value(pairs) < 0.05, shows, "{test} {pairs:?}");
        }
    }
}

#[test]
fn shares_have_the_reference_intervals() {
    let reference = [
        (0, 15, 0.95, 0.0, 0.20388330103584867),
        (15, 15, 0.99, 0.6933243211937499, 1.0),
        (420, 792, 0.95, 0.4954823079454249, 0.5648312123769872),
        (1, 3, 0.99, 0.04042662929608465, 0.855783984952333),
        (203, 792, 0.95, 0.22713359395786567, 0.2878451801160705),
    ];
    for (count, n, level, low, high) in reference {
        let found = Proportion { count, n }.wilson(Level::new(level).unwrap()).unwrap();
        assert!(
            close(found.low, low) && close(found.high, high),
            "{count} of {n}: {found:?}"
        );
    }
    let nothing = Proportion { count: 0, n: 0 };
    assert_eq!((nothing.share(), nothing.standard_error()), (None, None));
    assert_eq!(nothing.wilson(Level::default()), None);
}

/// Table 1 of the paper, Aider with GPT-5 over 792 tasks: 53.0 ± 1.8 single, 25.7 ± 1.6 in expansion.
#[test]
fn the_papers_standard_errors_come_out() {
    for (percent, printed) in [(53.0, 1.8), (25.7, 1.6), (14.8, 1.3)] {
        let count = (792.0 * percent / 100.0_f64).round() as u64;
        let error = Proportion { count, n: 792 }.standard_error().unwrap();
        assert_eq!((error * 1000.0).round() / 10.0, printed);
    }
}

#[test]
fn holm_gives_the_reference_values() {
    let found = holm(&[0.01, 0.04, 0.03, 0.005, 0.2, 0.04]);
    let expected = [0.05, 0.12, 0.12, 0.03, 0.2, 0.12];
    assert!(
        found
            .iter()
            .zip(expected)
            .all(|(found, expected)| close(*found, expected)),
        "{found:?}"
    );
    assert_eq!(holm(&[]), Vec::<f64>::new());
}

#[test]
fn markers_are_the_papers() {
    let found = [0.0009, 0.001, 0.0099, 0.01, 0.0499, 0.05, f64::NAN].map(marker);
    assert_eq!(found, ["***", "**", "**", "*", "*", "", ""]);
}
