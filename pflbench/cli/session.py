"""One call of the command line: its debug switch, and how every error ends it."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import rich_click as click
from click.exceptions import NoArgsIsHelpError

from pflbench.cli.notices import noticing
from pflbench.errors import PflbenchError
from pflbench.report.terminal.encodings import print_in_any_encoding
from pflbench.schema import error_text

F = TypeVar("F", bound=Callable[..., Any])

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells count it (128 + SIGINT)."""


@dataclass
class Session:
    """The state that all commands of one call share (`click.Context.obj`)."""

    debug: bool = False


def debug_option(command: F) -> F:
    """Add `--debug` to a command."""

    def switch_on(ctx: click.Context, _: click.Parameter, value: bool) -> None:
        if value:
            ctx.ensure_object(Session).debug = True

    return click.option(
        "--debug",
        is_flag=True,
        expose_value=False,
        callback=switch_on,
        envvar="PFLBENCH_DEBUG",
        help="Show the traceback of an error.",
    )(command)


def warn(message: str) -> None:
    """Print one line on stderr."""
    click.echo(message, err=True)


def _tell_once() -> Callable[[str], None]:
    """Return a function that prints each notice only the first time."""
    told: set[str] = set()

    def tell(text: str) -> None:
        if text not in told:
            told.add(text)
            warn(f"Notice: {error_text.plain(text)}")

    return tell


def complain(error: BaseException, session: Session) -> int:
    """Print an error in one sentence on stderr; return the exit status."""
    if session.debug and not isinstance(error, click.ClickException):
        trace = "".join(traceback.format_exception(error)).rstrip()
        warn("\n".join(map(error_text.plain, trace.split("\n"))))
    if os.environ.get("LOCAL_RANK", "") in ("", "0"):  # one of a machine's processes says it
        warn(f"{click.style('Error:', fg='red', bold=True)} {error_text.plain(sentence(error))}")
    if isinstance(error, click.ClickException):
        return error.exit_code
    return error.exit_status if isinstance(error, PflbenchError) else 1


def sentence(error: BaseException) -> str:
    """Return an error in one line for users, with the plugin that it comes from."""
    if isinstance(error, click.ClickException):
        return error_text.shortened(error_text.one_line(error.format_message()))
    return error_text.sentence(error)


class ArgumentsKept(click.RichCommand):
    """A command that remembers its arguments, to print how to resume."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse, keeping the arguments as typed."""
        ctx.meta["pflbench.arguments"] = list(args)
        return super().parse_args(ctx, args)


class Commands(click.RichGroup):
    """The top group: subcommands are imported when they are called, errors end in one sentence.

    Parameters
    ----------
    lazy
        Command name to "module:attribute".
    """

    def __init__(self, *args: Any, lazy: dict[str, str] | None = None, **kwargs: Any) -> None:
        self.lazy = lazy or {}
        super().__init__(*args, **kwargs)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order in which help lists them."""
        return list(self.lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in self.lazy:
            return None
        from pflbench.schema.specs import resolve

        command: click.Command = resolve(self.lazy[cmd_name], owner="pflbench")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command of the arguments, or suggest one."""
        from pflbench.errors import UnknownNameError

        if args and not args[0].startswith("-") and args[0] not in self.lazy:
            raise UnknownNameError("command", args[0], self.lazy)
        return super().resolve_command(ctx, args)

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run the command line; in standalone mode, end the process with the exit status."""
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, False, **extra)
        print_in_any_encoding()
        session = Session()
        try:
            with noticing(_tell_once()):
                answer = super().main(args, prog_name, complete_var, False, obj=session, **extra)
            status = answer if isinstance(answer, int) else 0
        except NoArgsIsHelpError as error:
            click.echo(error.message)
            status = error.exit_code
        except click.Abort:
            warn("Interrupted.")
            status = INTERRUPTED
        except BrokenPipeError:  # `pflbench list | head`: the reader has closed the pipe
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            status = 1
        except Exception as error:
            status = complain(error, session)
        sys.exit(status)
