"""The private names of OmegaConf that rnnexp uses exist, and mean what they did."""

from omegaconf import OmegaConf, base

from rnnexp.compat.omegaconf import interpolations_parsed_once, root_values


def test_the_root_of_a_node() -> None:
    config = OmegaConf.create({"a": {"b": {"c": 1}}, "d": "${a.b.c}"})
    assert root_values(config.a.b) == {"a": {"b": {"c": 1}}, "d": "${a.b.c}"}


def test_interpolations_are_parsed_once_and_resolved_anew() -> None:
    config = OmegaConf.create({"seed": 1, "data": {"seed": "${seed}"}, "name": "s${seed}"})
    before = base.parse
    with interpolations_parsed_once():
        for seed in (1, 2, 3):
            config.seed = seed
            assert OmegaConf.to_container(config, resolve=True) == {
                "seed": seed,
                "data": {"seed": seed},
                "name": f"s{seed}",
            }
        counts = base.parse.cache_info()
    assert (counts.misses, counts.hits) == (2, 4)
    assert base.parse is before
