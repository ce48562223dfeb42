"""``vmlkit variants``: sentences in, checked variants out; the same command goes on where it was stopped."""

import argparse
import os
from collections.abc import Sequence

from tqdm import tqdm

from vmlkit.components.variants.cache import AnswerCache
from vmlkit.components.variants.generation import Summary, VariantGenerator, generate
from vmlkit.components.variants.llm import OpenAIGenerator
from vmlkit.components.variants.rows import COMPONENTS, SentenceVariant, VariantWriter
from vmlkit.components.variants.sentences import LAYOUTS, read_sentences
from vmlkit.errors import ConfigError, DataError

#: how many refused answers are shown as examples
EXAMPLES = 5


def run_variants(options: argparse.Namespace) -> int:
    """Run the command.

    Raises:
        ConfigError: for options that do not go together.
        DataError: for bad input, an endpoint that gives no answer, or an OUT of another generator.
    """
    options.components = options.components or COMPONENTS
    _check(options)
    sentences = read_sentences(options.sentences, options.format, options.split)[: options.limit]
    generator = make_generator(options)
    summary = Summary()
    with VariantWriter(options.out) as writer:
        _check_source(writer, generator)
        todo = [s for s in sentences if any(not writer.has(s, c) for c in options.components)]
        print(f"{len(sentences)} sentences, {len(sentences) - len(todo)} of them done before")
        try:
            written = generate(
                generator, todo, writer, options.components, workers=options.workers, retries=options.ask_again
            )
            for _ in tqdm(written, total=len(todo), unit="sentence", disable=options.quiet):
                pass
        finally:
            wanted = set(sentences)
            summary.add(row for row in writer.rows if row.sentence in wanted)
            print(_report(summary, [row for row in writer.rows if row.rejected and row.sentence in wanted]))
            if isinstance(generator, OpenAIGenerator):
                print(generator.usage)
                generator.close()
    print(f"written to {options.out}")
    return 0


def _check(options: argparse.Namespace) -> None:
    _check_values(options)
    remote, openai = (options.base_url, options.model, options.api_key_env), options.generator == "openai"
    if openai and not all(remote[:2]):
        raise ConfigError("--generator openai needs --base-url and --model; without them nothing is sent anywhere")
    if not openai and any(remote):
        raise ConfigError("--base-url, --model and --api-key-env are for --generator openai")
    if (options.generator in ("local", "completion")) != (options.folder is not None):
        raise ConfigError("--folder goes together with --generator local or completion")
    if options.generator != "completion" and (options.temperature, options.seed) != (None, None):
        raise ConfigError("--temperature and --seed are for --generator completion")


def _check_values(options: argparse.Namespace) -> None:
    formats = [options.format] if options.format else []
    for name, given, allowed in (("format", formats, LAYOUTS), ("components", options.components, COMPONENTS)):
        wrong = next((value for value in given if value not in allowed), None)
        if wrong is not None:
            raise ConfigError(f"--{name}: {wrong!r} is none of {', '.join(allowed)}")
    for name, least in (("limit", 1), ("workers", 1), ("retries", 0), ("ask_again", 0)):
        value = getattr(options, name)
        if value is not None and value < least:
            raise ConfigError(f"--{name.replace('_', '-')} must be at least {least}, not {value}")
    if not options.timeout > 0:
        raise ConfigError(f"--timeout must be positive, not {options.timeout:g}")


def make_generator(options: argparse.Namespace) -> VariantGenerator:
    """The generator that the options name."""
    if options.generator == "rules":
        from vmlkit.components.variants.rules import RuleGenerator

        return RuleGenerator()
    if options.generator == "local":
        from vmlkit.components.variants.local_llm import LocalGenerator

        return LocalGenerator(options.folder, device=options.device)
    if options.generator == "completion":
        from vmlkit.components.variants.completion import CompletionGenerator

        given = {name: getattr(options, name) for name in ("temperature", "seed") if getattr(options, name) is not None}
        return CompletionGenerator(options.folder, device=options.device, **given)
    key = None if options.api_key_env is None else os.environ.get(options.api_key_env)
    if options.api_key_env is not None and not key:
        raise ConfigError(f"the environment variable {options.api_key_env} holds no key")
    return OpenAIGenerator(
        options.base_url,
        options.model,
        api_key=key,
        timeout=options.timeout,
        retries=options.retries,
        schema=not options.no_schema,
        cache=AnswerCache(options.cache or options.out.with_name(options.out.name + ".cache.sqlite")),
    )


def _check_source(writer: VariantWriter, generator: VariantGenerator) -> None:
    """A file holds what one generator wrote, so that its rows can be compared."""
    wanted = (generator.name, generator.model, generator.prompt_version)
    other = next((row for row in writer.rows if row.source != wanted), None)
    if other is not None:
        raise DataError(
            writer.path,
            f"holds variants of {other.generator}, model {other.model}, prompts {other.prompt_version}",
            "choose another --out",
        )


def _report(summary: Summary, asked_again: Sequence[SentenceVariant]) -> str:
    """A table of what was asked, accepted, absent and refused, the checks that refused answers, and some of those."""
    refused = [row for row in asked_again if not row.valid]
    lines = [f"\n{'':<18} {'asked':>6} {'accepted':>9} {'none':>6} {'refused':>8}   answers refused, by check"]
    for name in COMPONENTS:
        counts = (summary.accepted[name], summary.absent[name], summary.refused[name])
        if any(counts):
            checks = ", ".join(f"{check} {count}" for check, count in summary.checks[name].most_common())
            numbers = f"{name:<18} {sum(counts):>6} {counts[0]:>9} {counts[1]:>6} {counts[2]:>8}"
            lines.append(f"{numbers}   {checks}".rstrip())
    if len(asked_again) > len(refused):
        lines.append(f"{len(asked_again) - len(refused)} of the accepted after a first answer was refused")
    for row in refused[:EXAMPLES]:
        last = row.rejected[-1]
        lines.append(f"refused: {row.component} of {row.sentence!r}: {last.text!r} {last.reason}")
    if len(refused) > EXAMPLES:
        lines.append(f"... and {len(refused) - EXAMPLES} more, each with its reason in the file")
    return "\n".join(lines)
