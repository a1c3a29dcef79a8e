"""`monitor.toml` and what overrides it: typed, and whatever cannot work is named with what is allowed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.errors import MonitorError
from producers.sources import names as source_names
from stream_infra import names
from stream_infra.config import DEFAULT_TICKERS, Config, ConfigError, enter
from stream_infra.monitor_toml import (
    FILE,
    SETTINGS_CONTEXT,
    Given,
    check_all,
    find_file,
    load,
    read_context,
    read_deployments,
)

ROOT = Path(__file__).parents[2]


def write(folder: Path, text: str) -> Path:
    path = folder / FILE
    path.write_text(text)
    return path


def problem(folder: Path, text: str, name: str = "prod") -> str:
    """What is said of a file that cannot be used."""
    with pytest.raises(ConfigError) as caught:
        load(name, write(folder, text))
    return str(caught.value)


def test_a_deployment_without_a_section_has_the_defaults(tmp_path: Path) -> None:
    assert load("prod", None) == load("prod", write(tmp_path, "")) == Config()
    assert Config().tickers == DEFAULT_TICKERS


def test_settings_are_read_for_the_deployment_that_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, '[local]\nsource = "simulated"\n[eu-1]\nregion = "eu-west-1"\nshards = 2\n')
    assert (load("eu-1", path).region, load("eu-1", path).shards) == ("eu-west-1", 2)
    assert load("local", path).source == "simulated"


def test_tickers_are_a_list_or_a_text_and_are_normalised(tmp_path: Path) -> None:
    for written in ('["aapl", "BRK.B"]', '"aapl, BRK.B"'):
        assert load("prod", write(tmp_path, f"[prod]\ntickers = {written}\n")).tickers == "AAPL,BRK.B"
    assert load("prod", write(tmp_path, '[prod]\nmarkets = { ABC = "XLON" }\n')).markets == "ABC=XLON"
    reference = "s3://a-bucket/watch-lists/all.csv"
    assert load("prod", write(tmp_path, f'[prod]\ntickers = "{reference}"\n')).tickers == reference


def test_a_threshold_is_what_the_parameter_may_hold(tmp_path: Path) -> None:
    table = "{ default = 3, kinds = { gap = 4 } }"
    assert load("prod", write(tmp_path, f"[prod]\nthreshold = {table}\n")).threshold == (
        '{"default": 3, "kinds": {"gap": 4}}'
    )
    assert load("prod", write(tmp_path, "[prod]\nthreshold = 3.5\n")).threshold == "3.5"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            'source = "alpca"',
            r"\[prod\] source: unknown source 'alpca' \(did you mean 'alpaca'\?\); must be one of",
        ),
        ('tickers = "not a ticker!!"', r"\[prod\] tickers: .*'TICKER!!' is no ticker"),
        ("tickers = []", r"\[prod\] tickers: .*names no ticker"),
        ("threshold = 0.05", r"\[prod\] threshold: .*0\.05.*0\.1 to 1000"),
        ("threshold = { kinds = { gaps = 3 } }", r"\[prod\] threshold: .*gaps.*frozen_feed"),
        (
            "shard = 4",
            r"\[prod\] shard: unknown setting 'shard' \(did you mean 'shards'\?\); must be one of .*shards",
        ),
        ('ticker = "AAPL"', r"\[prod\] ticker: unknown setting 'ticker' \(did you mean 'tickers'\?\)"),
        ("shards = 0", r"\[prod\] shards: 0; must be greater than or equal to 1"),
        ("shards = true", r"\[prod\] shards: true; must be a number"),
        ("shards = 2.5", r"\[prod\] shards: 2\.5; must be a valid integer"),
        (
            "shards = 6",
            r"\[prod\]: shards \(6\) x parallelization_factor \(1\) = 6 .*concurrency_limit \(5\)",
        ),
        (
            "poll_interval_seconds = 0.5",
            r"\[prod\] poll_interval_seconds: 0\.5; must be greater than or equal to 1",
        ),
        ('session = "nightly"', r"\[prod\] session: 'nightly'; must be one of regular, extended, always"),
        ('access = "open"', r"\[prod\] access: 'open'; must be one of private, public"),
        ('operations_email = "ops"', r"\[prod\] operations_email: 'ops'; must be an email address"),
        ('people = ["ann"]', r"\[prod\] people: 'ann'; must be an email address"),
        ("people = [1]", r"\[prod\] people: \[1\]; must be email addresses, as a list"),
        ('operations_email = "ops@example"', r"\[prod\] operations_email: 'ops@example'; must be an email"),
        ('target = "local"', r"\[prod\] target must be left out"),
        ('tickers = ["AAPL", ""]', r"\[prod\] tickers: '' is no ticker; must be 1 to 32 of"),
        ('tickers = ["AAPL", 5]', r"\[prod\] tickers: 5 is no ticker; must be 1 to 32 of"),
        ('tickers = ["BRK B"]', r"\[prod\] tickers: 'BRK B' is no ticker"),
        ('tickers = "AAPL, aapl"', r"\[prod\] tickers: AAPL is there twice; must be there once"),
        ('tickers = "s3://bucket"', r"\[prod\] tickers: 's3://bucket' is no reference.*s3://bucket/key"),
        ('tickers = "s4://bucket/key,AAPL"', r"\[prod\] tickers: .*'S4://BUCKET/KEY' is no ticker"),
        ("tickers = 5", r"\[prod\] tickers: 5; must be tickers, as a list or separated by commas"),
        ('markets = "ABC=XLON,abc=XETR"', r"\[prod\] markets: ABC is there twice; must be one market"),
        ('shards = "2"', r"\[prod\] shards: '2'; must be a number, without quotes$"),
        ('tracing = "on"', r"\[prod\] tracing: 'on'; must be true or false, without quotes$"),
        ("retain_data = 1", r"\[prod\] retain_data: 1; must be true or false, without quotes$"),
        ("monthly_cost_limit = inf", r"\[prod\] monthly_cost_limit: inf; must be a finite number"),
        ("poll_interval_seconds = nan", r"\[prod\] poll_interval_seconds: nan; must be"),
        ('dashboard_url = "javascript:alert(1)"', r"\[prod\] dashboard_url: .*; must be a URL, as in"),
        ('dashboard_url = "http://[::1"', r"\[prod\] dashboard_url: .*; must be a URL, as in"),
        ('account = "12"', r"\[prod\] account: '12'; must be the 12 digits of an AWS account"),
        ('region = "us-esat-1"', r"\[prod\] region: unknown region 'us-esat-1' \(did you mean 'us-"),
        ("packages = [5]", r"\[prod\] packages: \[5\]; must be names of installed packages"),
        ('packages = "[pytest"', r"\[prod\] packages: '\[pytest'; must be JSON"),
        ('packages = ["typing_extensions", "typing-extensions"]', r"\[prod\] packages: .* is there twice"),
        ("source_options = { ALPACA_FEED = 5 }", r"\[prod\] source_options: .*5.*; must be a table"),
        ('source_options = { ALPACA_FED = "iex" }', r"source_options: unknown 'ALPACA_FED' \(did you mean"),
        (
            'source_options = { APCA_API_DATA_URL = "not a url" }',
            r"APCA_API_DATA_URL is 'not a url'; must be a URL",
        ),
        ('source_options = { ALPACA_STREAM_URL = "" }', r"ALPACA_STREAM_URL is ''; must be a URL"),
        ('tickers = ["s3://bucket/key", "AAPL"]', r"\[prod\] tickers: 's3://bucket/key' is no ticker"),
        ("account = 123456789012", r"\[prod\] account: 123456789012; must be text, in quotes$"),
        ('people = ["..ann@example.com"]', r"\[prod\] people: '..ann@example.com'; must be an email address"),
        ('operations_email = "ops@-example.com"', r"operations_email: .*; must be an email address"),
        ('dashboard_url = "https://me:word@example.com/"', r"\[prod\] dashboard_url: .*without \?, # and @"),
        ('dashboard_url = "https://example.com/?a=b"', r"\[prod\] dashboard_url: .*without \?, # and @"),
        ('markets = ["ABC=XLON"]', r"\[prod\] markets: .*; must be markets by ticker, as in \{ ABC = "),
        ('markets = { ABC = "XLOM" }', r"\[prod\] markets: unknown market 'XLOM'"),
    ],
)
def test_what_cannot_work_is_named_with_what_is_allowed(tmp_path: Path, line: str, said: str) -> None:
    assert re.search(said, problem(tmp_path, f"[prod]\n{line}\n"))


LONG_KEY = "s3://bucket/watch-lists/" + "k" * (1024 - len("watch-lists/"))
PEOPLE = [f"p{n}@example.com" for n in range(401)]
RULES = {"kinds": {"gap": 3}, "tickers": {f"T{n}": 3 for n in range(400)}}


@pytest.mark.parametrize(
    ("key", "most", "beyond", "said"),
    [
        ("shards", 5, 65, "less than or equal to 64"),
        ("partitions", 256, 257, "less than or equal to 256"),
        ("parallelization_factor", 5, 11, "less than or equal to 10"),
        ("parallelization_factor", 1, 0, "greater than or equal to 1"),
        ("batching_window_seconds", 300, 301, "less than or equal to 300"),
        ("batching_window_seconds", 0, -1, "greater than or equal to 0"),
        ("poll_interval_seconds", 60, 60.5, "less than or equal to 60"),
        ("kept_days", 15, 16, "less than or equal to 15"),
        ("kept_days", 1, 0, "greater than or equal to 1"),
        ("concurrency_limit", 0, -1, "greater than or equal to 0"),
        ("monthly_cost_limit", 0.01, 0, "greater than 0"),
        ("account", "1" * 12, "1" * 13, "must be the 12 digits"),
        ("region", "eu-west-1", "cn-north-1", "commercial regions"),
        ("region", "us-west-2", "us-gov-west-1", "commercial regions"),
        ("region", "ap-south-1", "ap-south-2", "has no EventBridge schemas"),
        ("prefix", "a" * 12, "a" * 13, "1 to 12 of"),
        (
            "tickers",
            ",".join(f"T{n:04}" for n in range(682)),
            ",".join(f"T{n:04}" for n in range(683)),
            "4096 at most",
        ),
        ("tickers", LONG_KEY, LONG_KEY + "k", "a key of at most 1024 bytes"),
        ("tickers", "s3://buc/k", "s3://bu/k", "s3://bucket/key"),
        ("tickers", f"s3://{'b' * 63}/k", f"s3://{'b' * 64}/k", "s3://bucket/key"),
        ("tickers", "s3://bucket/k", "s3://Bucket/k", "s3://bucket/key"),
        ("threshold", {"tickers": {"AAPL": 3}}, RULES, "4096 at most"),
        ("markets", "ABC=XLON", ",".join(f"A{n:03}=XLON" for n in range(201)), "2000 at most"),
        ("dashboard_url", f"https://a.com/{'a' * 986}", f"https://a.com/{'a' * 987}", "1000 at most"),
        ("source_options", {"ALPACA_FEED": "iex"}, {"ALPACA_FEED": "i" * 257}, "256 at most"),
        ("operations_email", f"{'a' * 64}@b.com", f"{'a' * 65}@b.com", "64 of them before the @"),
        ("operations_email", "ops+aws@example.com", "öps@example.com", "ASCII"),
        ("operations_email", "o@" + "b" * 248 + ".com", "o@" + "b" * 249 + ".com", "at most 254"),
        ("people", ["o@" + "b" * 122 + ".com"], ["o@" + "b" * 123 + ".com"], "128 at most"),
        ("people", PEOPLE[:400], PEOPLE, "400 at most"),
        ("people", ["a@b.com"], ["a@b.com", "A@b.com"], "is there twice"),
    ],
)
def test_a_value_at_the_limit_is_taken_and_one_beyond_it_is_named(
    key: str, most: object, beyond: object, said: str
) -> None:
    """Limits that AWS publishes for what a setting becomes; `stream_infra.setting_types` names the page of each."""
    load("prod", None, {key: Given(most, "<given>")})
    with pytest.raises(ConfigError) as caught:
        load("prod", None, {key: Given(beyond, "<given>")})
    assert said in str(caught.value)
    assert "<given>" in str(caught.value)


def test_a_region_is_known_whatever_the_profile_of_the_user_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`make up` ended where AWS_PROFILE named one that is gone."""
    (tmp_path / "config").write_text("[profile\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_PROFILE", "gone")
    assert load("prod", write(tmp_path, '[prod]\nregion = "eu-west-1"')).region == "eu-west-1"


def test_an_unknown_key_of_another_deployment_is_named_too(tmp_path: Path) -> None:
    said = problem(tmp_path, "[prod]\nshards = 2\n[staging]\nshard = 4\n")
    assert f"{FILE} [staging] shard: unknown setting 'shard' (did you mean 'shards'?)" in said


@pytest.mark.parametrize("own", ["", 'region = "eu-west-1"', 'prefix = "a"'])
def test_two_deployments_with_the_same_names_are_rejected(tmp_path: Path, own: str) -> None:
    own = f'account = "123456789012"\n{own}'
    said = problem(tmp_path, f"[prod]\n{own}\n[staging]\n{own}\n", "staging")
    assert said.startswith(
        f"{FILE} [staging]: has account, region and prefix of [prod], so that both would be one"
    )


def test_deployments_are_told_apart_by_prefix_or_account(tmp_path: Path) -> None:
    accounts = '[prod]\naccount = "111111111111"\n[staging]\naccount = "222222222222"\n'
    prefix = f'{accounts.replace("2", "1")}prefix = "staging"\n'
    # Whose account is not named is deployed with the credentials of the moment: to any.
    for text in (accounts, prefix, "[prod]\n[staging]\n"):
        assert load("staging", write(tmp_path, text)).target == "aws"


def test_the_whole_file_is_checked(tmp_path: Path) -> None:
    path = write(
        tmp_path, "[local]\n[prod]\nthreshold = 0.05\nshard = 1\n[staging]\nprefix = 'x'\nshards = 0\n"
    )
    with pytest.raises(ConfigError) as caught:
        check_all(path)
    keys = [line.partition(":")[0] for line in str(caught.value).splitlines()]
    assert keys == [f"{FILE} {of}" for of in ("[prod] shard", "[prod] threshold", "[staging] shards")]


def test_every_wrong_setting_is_named_at_once(tmp_path: Path) -> None:
    said = problem(tmp_path, '[prod]\nsource = "alpca"\nshard = 4\nthreshold = 0.05\n').splitlines()
    assert [line.split(":")[0] for line in said] == [
        f"{FILE} [prod] {key}" for key in ("source", "threshold", "shard")
    ]


def test_the_local_account_reserves_no_concurrency() -> None:
    assert Config(target="local").concurrency_limit == 0
    with pytest.raises(
        ValueError, match="concurrency_limit is 5; must be 0 here: the local AWS is a new account"
    ):
        Config(target="local", concurrency_limit=5)


def test_what_the_local_aws_has_no_use_for_is_rejected_there(tmp_path: Path) -> None:
    assert "[local] region must be left out" in problem(tmp_path, '[local]\nregion = "eu-west-1"\n', "local")


def test_a_file_of_another_shape_is_rejected(tmp_path: Path) -> None:
    assert "shards belongs to no deployment" in problem(tmp_path, "shards = 4\n")
    assert "is no TOML" in problem(tmp_path, "[prod\n")
    assert "is no TOML" in problem(tmp_path, f"[prod]\ntickers = {'[' * 5000}")
    assert "is no TOML" in problem(tmp_path, f"[prod]\nshards = {'9' * 5000}")
    assert "'Prod' is no name of a deployment" in problem(tmp_path, "[Prod]\n")
    assert "unknown deployment 'prodd' (did you mean 'prod'?)" in problem(tmp_path, "", "prodd")


@pytest.mark.parametrize(
    ("written", "asked"), [("locl", "local"), ("loca", "local"), ("prd", "prod"), ("prod-eu", "prod")]
)
def test_a_misspelt_section_is_not_left_out_in_silence(tmp_path: Path, written: str, asked: str) -> None:
    said = problem(tmp_path, f"[{written}]\nthreshold = 3", asked)
    assert f"unknown deployment '{asked}' (did you mean '{written}'?)" in said


def test_the_message_of_an_override_names_where_it_was_given(tmp_path: Path) -> None:
    path = write(tmp_path, '[prod]\nsource = "alpca"\n')
    with pytest.raises(ConfigError, match=r"^SOURCE: unknown source 'yaho' \(did you mean 'yahoo'\?\)"):
        load("prod", path, {"source": Given("yaho", "SOURCE")})
    assert load("prod", path, {"source": Given("yahoo", "SOURCE")}).source == "yahoo"


def test_a_market_that_never_closes_is_polled_always() -> None:
    assert load("prod", None, {"source": Given("simulated", "-c source")}).session == "always"
    assert load("prod", None, {"source": Given("alpaca", "-c source")}).session == "regular"
    asked = {"source": Given("simulated", "-c source"), "session": Given("extended", "-c session")}
    assert load("prod", None, asked).session == "extended"


def test_the_context_of_the_cdk_overrides_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, '[prod]\nshards = 2\nregion = "eu-west-1"\n[staging]\nshards = 3\n')
    monkeypatch.setenv("CDK_DEFAULT_ACCOUNT", "111122223333")
    monkeypatch.setenv("CDK_DEFAULT_REGION", "us-east-1")
    own = {"@aws-cdk/core:newStyleStackSynthesis": True, "aws:cdk:bundling-stacks": ["**"]}
    config = read_context(own, tmp_path)
    assert (config.target, config.shards, config.region, config.account) == (
        "aws",
        2,
        "eu-west-1",
        "111122223333",
    )
    assert read_context({**own, "deployment": "staging"}, tmp_path).shards == 3
    assert read_context({**own, "shards": "4"}, tmp_path).shards == 4
    assert read_context({"target": "local"}, tmp_path).local
    elsewhere = {**own, SETTINGS_CONTEXT: str(tmp_path / FILE), "deployment": "staging"}
    assert read_context(elsewhere, Path("/")).shards == 3
    assert read_context({**own, SETTINGS_CONTEXT: ""}, tmp_path).shards == 1
    with pytest.raises(ConfigError, match=r"-c shard: unknown setting 'shard' \(did you mean 'shards'\?\)"):
        read_context({**own, "shard": "4"}, tmp_path)
    with pytest.raises(
        ConfigError, match=r"-c batching-window-seconds: .*did you mean 'batching_window_seconds'"
    ):
        read_context({**own, "batching-window-seconds": "4"}, tmp_path)
    with pytest.raises(ConfigError, match="-c target: 'nowhere'; must be one of aws, local"):
        read_context({"target": "nowhere"}, tmp_path)


def test_the_nearest_file_is_in_force(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    assert find_file(inner) is None or tmp_path not in (find_file(inner) or inner).parents
    outer = write(tmp_path, "")
    assert find_file(inner) == outer
    assert find_file(inner.parent) == outer
    own = write(inner, "")
    assert find_file(inner) == own


def test_the_file_that_is_shipped_is_right() -> None:
    path = ROOT / FILE
    for name in read_deployments(path):
        load(name, path)
    assert load("local", path).source == "simulated"


def test_the_examples_in_the_file_that_is_shipped_are_right(tmp_path: Path) -> None:
    """What is commented out is offered to be used."""
    text = re.sub(r"(?m)^# (?=[a-z_]+ = |\[)", "", (ROOT / FILE).read_text())
    path = write(tmp_path, text)
    assert len(read_deployments(path)) > len(read_deployments(ROOT / FILE))
    for name in read_deployments(path):
        load(name, path)


def test_every_setting_is_documented_with_its_default() -> None:
    rows = re.findall(r"(?m)^\| `(\w+)` \| (.*?) \|", (ROOT / "docs" / "configuration.md").read_text())
    assert dict(rows).keys() == set(Config.model_fields) - {"target"}
    for name, default in rows:
        value = Config.model_fields[name].default
        if isinstance(value, int | float) and not isinstance(value, bool):
            assert default == f"{value:g}"


@given(
    st.one_of(st.sampled_from(sorted(Config.model_fields)), st.text(max_size=12)),
    st.one_of(
        st.none(),
        st.integers(),
        st.floats(),
        st.text(max_size=20),
        st.lists(st.text(max_size=5)),
        st.booleans(),
    ),
)
def test_whatever_is_given_is_taken_or_named(key: str, value: object) -> None:
    """No setting ends in anything but a Config or an error that names it."""
    try:
        load("prod", None, {key: Given(value, "<given>")})
        said = "<given>"
    except MonitorError as error:
        said = str(error)
    assert "<given>" in said or "detectors at once" in said


def test_sources_are_those_of_the_registry() -> None:
    for name in source_names():
        assert load("prod", None, {"source": Given(name, "-c source")}).source == name


def test_mode_and_markets_are_those_that_there_are() -> None:
    assert Config(source="coinbase", source_mode="stream", markets="ABC=XLON").source_mode == "stream"
    with pytest.raises(ValueError, match="source_mode is 'stream'; must be poll for yahoo"):
        Config(source="yahoo", source_mode="stream")
    with pytest.raises(ValueError, match="unknown market 'LSE'; must be one of 24/7, fx"):
        Config(markets="ABC=LSE")


@pytest.mark.parametrize(
    "prefix",
    ["", "eu", "e", "team-a-2", "abcdefghijkl"],
)
def test_a_prefix_is_what_every_name_may_begin_with(tmp_path: Path, prefix: str) -> None:
    assert load("prod", write(tmp_path, f'[prod]\nprefix = "{prefix}"\n')).prefix == prefix


@pytest.mark.parametrize(
    "prefix",
    [
        "EU",
        "eu-",
        "-eu",
        "e--u",
        "1a",
        "e_u",
        "e.u",
        "abcdefghijklm",
        "ssm1",
        "xn",
        "sthree",
        "amzn",
        "myaws",
        "cognito",
    ],
)
def test_what_aws_lets_no_name_begin_with_is_no_prefix(tmp_path: Path, prefix: str) -> None:
    """S3 guide, "General purpose bucket naming rules"; Parameter Store, PutParameter; Cognito guide, "Configuring a
    user pool domain".
    """
    assert re.search(
        r"\[prod\] prefix: .*; must be 1 to 12 of a-z", problem(tmp_path, f'[prod]\nprefix = "{prefix}"\n')
    )


def test_a_process_works_for_one_deployment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOCK_MONITOR_PREFIX", "")
    monkeypatch.setattr(names, "PREFIX", "")
    with pytest.raises(
        ConfigError, match="the prefix is 'eu', and this process works for the deployment with ''"
    ):
        enter(Config(prefix="eu"))
