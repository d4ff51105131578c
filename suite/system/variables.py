"""Environment variables of the caller: which a worker gets, and which of those the ledger has.

Every release of a framework, of the libraries below it and of Python has switches that nobody here
knows of yet. So a worker gets what is listed here and nothing else, as tox's environments do: a
switch is either unknown to it, or it is in the ledger.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

NEUTRAL = (
    *("HOME", "USER", "LOGNAME", "SHELL", "PATH", "TMPDIR", "TZ", "LANG", "LANGUAGE", "LC_*"),
    *("XDG_*", "TETRAGRAD_*"),
    *("*_proxy", "*_PROXY", "*SSL_CERT_*", "*_CA_BUNDLE"),  # data are fetched through them
)
"""Who and where the user is: no speed and no bit depends on it."""

TOLD = (
    # of Python: where its modules are, and whether it keeps them compiled
    *("PYTHONPATH", "PYTHONHOME", "PYTHONPLATLIBDIR", "PYTHONUSERBASE", "PYTHONNOUSERSITE"),
    *("PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX"),
    # of the dynamic linker: libraries of other names, places and versions
    *("LD_*", "DYLD_*", "NIX_LD*"),
    # of compilers: what torch.compile and Triton build with (CXX is PyTorch's backend's to pass)
    *("CC", "CFLAGS", "CXXFLAGS", "CPPFLAGS", "LDFLAGS", "CPATH", "C_INCLUDE_PATH"),
    *(
        "CPLUS_INCLUDE_PATH",
        "NIX_CC*",
        "NIX_BINTOOLS*",
        "LIBRARY_PATH",
        "COMPILER_PATH",
        "GCC_EXEC_PREFIX",
    ),
    *(
        "SDKROOT",
        "DEVELOPER_DIR",
        "MACOSX_DEPLOYMENT_TARGET",
        "CONDA_PREFIX",
        "CONDA_BUILD_SYSROOT",
    ),
    # of coverage.py, which measures processes below the one it was started for, and slows them
    "COVERAGE_PROCESS_*",
    # of CUDA: where it is
    *("CUDA_HOME", "CUDA_PATH", "CUDA_ROOT", "CUDA_MPS_*"),
)
"""Without them a worker may not start, and they may change a speed or a bit."""


def passed(variables: Mapping[str, str]) -> dict[str, str]:
    """The variables that a worker gets of its caller's."""
    return _named(variables, (*NEUTRAL, *TOLD))


def told(variables: Mapping[str, str]) -> dict[str, str]:
    """Those of a worker's that came from its caller and may matter."""
    return _named(variables, TOLD)


def _named(variables: Mapping[str, str], patterns: tuple[str, ...]) -> dict[str, str]:
    names = sorted(n for n in variables if any(fnmatchcase(n, pattern) for pattern in patterns))
    return {name: variables[name] for name in names}
