"""Names as users may choose them, for tests with random names: words that tables, pandas or XGBoost have themselves."""

from hypothesis import strategies as st

WORDS = [
    *(
        "case",
        "role",
        "n",
        "low",
        "high",
        "x_low",
        "'low'",
        "'",
        "max",
        "_max",
        "a",
        "a_max",
        "a_max_max",
        "a'",
        "a@AV",
    ),
    *("NA", "None", "nan", "null", "NULL", "N/A", "<NA>", "true", "False", "007", "1", "1.0", "inf", "-1.#IND", "1e5"),
    *("seconds", "recordings", "sites", "site_AV", "site_count", "repeats", "bmi", "cases:seconds", "cases:a", "site"),
    *("p_a", "p_a_max", "p_a@AV", "rms", "rms@AV", "rms_mean", "present@AV", "latent_a_0", "variance_a", "entropy_a"),
    *("EF<50", "EF>50", "EF[50]", "EF(50)", "EF‹50", "w/", "/w", "a//b", "..", ".", "a:b", "Ä ö", "心音", "💓", "a,b"),
    *("subject", "label", "uncertainty", "another", "not a", "(no label)", "chosen", "index", "feature", '"', "\\"),
]
LETTERS = st.characters(exclude_categories=("Cc", "Cs"), exclude_characters="|")
NAMES = st.sampled_from(WORDS) | st.text(LETTERS, min_size=1, max_size=6).filter(lambda name: name == name.strip())


def distinct(fewest: int, most: int) -> st.SearchStrategy[list[str]]:
    """Lists of distinct names."""
    return st.lists(NAMES, min_size=fewest, max_size=most, unique=True)
