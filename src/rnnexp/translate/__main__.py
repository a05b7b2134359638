"""Translate sentences with one finished run or several: python -m rnnexp.translate run=outputs/train/..."""

from omegaconf import DictConfig

from rnnexp.cli.main import run_program


def translate(config: DictConfig) -> int:
    """Translates what is typed, piped or in a file, a line for each line."""
    from rnnexp.translate.ensemble import load_team
    from rnnexp.translate.io import open_sentences, open_translations, quiet_end
    from rnnexp.translate.session import require_sound_search, translate_all

    require_sound_search(config)
    sentences = open_sentences(config.input)
    team = load_team(config)
    with quiet_end(sentences), open_translations(config.output) as output:
        translate_all(config, team, sentences, output)
    return 0


def main() -> None:
    run_program("translate", translate)


if __name__ == "__main__":
    main()
