"""Translate sentences with one finished run or several: python -m rnnexp.translate run=outputs/train/..."""

from omegaconf import DictConfig

from rnnexp.cli.main import run_program


def translate(config: DictConfig) -> int:
    """Translate sentences from a file, a pipe or a prompt: one line of output for each line of input."""
    from rnnexp.translate.ensemble import load_ensemble
    from rnnexp.translate.io import handle_broken_pipe, open_sentences, open_translations
    from rnnexp.translate.options import make_options
    from rnnexp.translate.session import translate_all

    options = make_options(config)
    sentences = open_sentences(options.input)
    ensemble = load_ensemble(options)
    with handle_broken_pipe(sentences), open_translations(options.output) as output:
        translate_all(ensemble, sentences, output, options)
    return 0


def main() -> None:
    run_program("translate", translate, prints_result=True)


if __name__ == "__main__":
    main()
