"""The command samfast, also as python -m samfast."""

import sys

from .signals import interrupts_outside_imports, termination_raises


def main() -> int:
    """Run the command and return its exit status; an interrupt while its modules are loaded counts as one of the command."""
    try:
        with termination_raises(), interrupts_outside_imports():
            from .cli.main import main as command

            return command()
    except KeyboardInterrupt:
        from .cli.options import interrupted

        print("samfast: interrupted", file=sys.stderr)
        return interrupted()


if __name__ == "__main__":
    sys.exit(main())
