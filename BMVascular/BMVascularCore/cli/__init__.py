"""The command line ``bmvascular``: the stable face of Core.

Each command is a module ``cmd_<name>`` with ``HELP``, ``add_arguments(parser)`` and
``run(args, folder, call) -> dict`` (summary numbers). This module does the rest: the results
folder, ``<command>.json``, warnings, exit codes and one-line errors.
"""

import argparse
import importlib
import re
import sys
import time

import numpy as np
import SimpleITK as sitk

from BMVascularCore import RESEARCH_NOTICE, __version__
from BMVascularCore.cli.call import Call
from BMVascularCore.errors import BMVascularError, Cancelled
from BMVascularCore.io.output import OutputFolder

COMMANDS = (
    "dsc",
    "t1map",
    "dce",
    "segment",
    "track",
    "phenotype",
    "register",
    "targets",
    "dvh",
    "rtstruct",
    "run",
    "demo",
)

EXIT_DONE, EXIT_OUR_FAULT, EXIT_WRONG_INPUT, EXIT_CANCELLED = 0, 1, 2, 130


def build_parser(only=None):
    """The argument parser.

    Parameters
    ----------
    only : str, optional
        Load just this command's module; the others appear by name (keeps the start quick).
    """
    parser = argparse.ArgumentParser(
        prog="bmvascular",
        description=f"Blood supply of brain metastases, from MRI to planning. {RESEARCH_NOTICE}",
    )
    parser.add_argument("--version", action="version", version=f"bmvascular {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in COMMANDS:
        if only is not None and name != only:
            subparsers.add_parser(name)
            continue
        module = importlib.import_module(f"BMVascularCore.cli.cmd_{name}")
        sub = subparsers.add_parser(name, help=module.HELP, description=module.HELP, allow_abbrev=False)
        module.add_arguments(sub)
        common = sub.add_argument_group("every command")
        common.add_argument(
            "--out",
            required=not getattr(module, "OUT_DEFAULT", None),
            metavar="DIR",
            default=getattr(module, "OUT_DEFAULT", None),
            help="results folder (made if missing)",
        )
        common.add_argument(
            "--overwrite", action="store_true", help="allow a folder that already holds files"
        )
        common.add_argument("--lps", action="store_true", help="positions are LPS instead of RAS")
        common.add_argument("--quiet", action="store_true", help="no progress on the terminal")
        common.add_argument("--debug", action="store_true", help="show a traceback when the program fails")
        sub.set_defaults(module=module)
    return parser


def main(argv=None):
    """Run one command.

    Returns
    -------
    int
        0 done, 2 wrong input or call, 1 our fault, 130 stopped by Ctrl-C.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    only = argv[0] if argv and argv[0] in COMMANDS else None
    args = build_parser(only).parse_args(_with_joined_positions(argv))
    try:
        return _run_command(args)
    except (KeyboardInterrupt, Cancelled):
        print("bmvascular: stopped; nothing was written", file=sys.stderr)
        return EXIT_CANCELLED
    except BMVascularError as error:
        if args.debug:
            raise
        print(f"bmvascular {args.command}: {_one_line(error)}", file=sys.stderr)
        return EXIT_WRONG_INPUT
    except Exception as error:  # the last line of defence: our fault, said in one line
        if args.debug:
            raise
        print(
            f"bmvascular {args.command}: internal error: {type(error).__name__}: {_one_line(error)} "
            "(run again with --debug and report it)",
            file=sys.stderr,
        )
        return EXIT_OUR_FAULT


def _with_joined_positions(argv):
    """``--seed -32,14,60`` as ``--seed=-32,14,60``: argparse takes a leading minus for an option."""
    joined = []
    for text in argv:
        if joined and re.fullmatch(r"--[a-z][\w-]*", joined[-1]) and re.match(r"-[\d.]+(e[-+]?\d+)?,", text):
            joined[-1] += "=" + text
        else:
            joined.append(text)
    return joined


def _run_command(args):
    started = time.perf_counter()
    call = Call(args)
    with OutputFolder(args.out, args.overwrite) as folder:
        summary = args.module.run(args, folder, call) or {}
        # the folder may be moved or shared: names only, no paths, no patient
        record = {
            "command": args.command,
            "notice": RESEARCH_NOTICE,
            "parameters": call.parameters(),
            "inputs": call.inputs,
            "versions": {
                "bmvascular": __version__,
                "python": sys.version.split()[0],
                "numpy": np.__version__,
                "SimpleITK": sitk.Version_VersionString(),
            },
            "units": call.units,
            "summary": summary,
            "warnings": call.warnings,
            "seconds": round(time.perf_counter() - started, 2),
        }
        # a command may put its own contract on the top level (register.json: verdict, reasons, ...)
        record.update(call.top_level)
        folder.write_json(f"{args.command}.json", record)
        names = folder.commit()
    call.finish(args.out, names)
    return EXIT_DONE


def _one_line(error):
    return " ".join(str(error).split())
